// One trace: what is selected and folded, and when it is drawn anew.

import { ENTITY, ask, foot } from './app.js';
import { axis } from './axis.js';
import { details } from './details.js';
import { h, lanes, replace } from './dom.js';
import { between } from './format.js';
import { drawHead, drawLog, drawShares } from './head.js';
import { overview, prepare, rows } from './rows.js';
import { drawAxis, linkLines, ROW, rowElement } from './timeline.js';

/** Rows drawn above and below those that can be seen. */
const OVERSCAN = 12;
/** How often a trace that has not ended is loaded again, in milliseconds. */
const AGAIN = 1000;
/** How long after a change the trace is loaded again, in milliseconds: changes seldom come alone. */
const SETTLE = 200;
/** A trace with more spans is folded at first. */
const LONG = 45;
/** The height of the part that sticks to the top of the window, in pixels. */
const TOP = 130;

/** entity: the order whose verdict is shown, when the trace is about several. */
export async function showTrace(main, id, url, entity) {
  const view = new TraceView(id, url, entity);
  await view.load();
  view.fold();
  replace(main, view.element);
  view.draw();
  view.reveal();
  return view;
}

/** The row of an open group cannot be selected; its first span, right below, can. */
const selectable = row => row.type === 'span' || (row.type === 'group' && !row.open);

class TraceView {
  constructor(id, url, entity) {
    this.id = id;
    this.query = entity ? `?entity=${encodeURIComponent(entity)}` : '';
    this.selected = url.searchParams.get('span');
    this.trueScale = url.searchParams.has('true-scale');
    this.folded = new Set();
    this.opened = new Set();
    this.rows = [];
    this.head = h('section', { class: 'verdict' });
    this.shares = h('section', { class: 'shares', 'aria-label': 'Where the time went' });
    this.tools = h('div', { class: 'tools' });
    this.scale = h('div', { class: 'axis', 'aria-hidden': 'true' });
    this.bands = h('div', { class: 'bands', 'aria-hidden': 'true' });
    this.grid = h('div', {
      class: 'grid',
      role: 'treegrid',
      tabindex: 0,
      'aria-label': 'Spans of this trace',
    });
    this.aside = h('aside', { class: 'details', hidden: true, 'aria-label': 'Details of the selected span' });
    this.log = h('section', { class: 'log', 'aria-label': 'Log' });
    const timeline = h(
      'section',
      { class: 'timeline', 'aria-label': 'Timeline' },
      h('div', { class: 'columns' }, h('div', { class: 'names' }, 'Service and operation'), this.scale),
      h('div', { class: 'body' }, this.bands, this.grid),
    );
    this.element = h(
      'div',
      { class: 'trace' },
      this.head,
      this.shares,
      this.tools,
      h('div', { class: 'split' }, timeline, this.aside),
      this.log,
    );
    this.onscroll = () => {
      this.frame ??= requestAnimationFrame(() => {
        this.frame = null;
        this.drawRows();
      });
    };
    addEventListener('scroll', this.onscroll, { passive: true });
    addEventListener('resize', this.onscroll);
    this.grid.addEventListener('click', event => this.click(event));
  }

  leave() {
    this.left = true;
    clearTimeout(this.timer);
    removeEventListener('scroll', this.onscroll);
    removeEventListener('resize', this.onscroll);
  }

  /** A long trace starts with what became of its messages; what is folded is one click away. */
  fold() {
    const { spans } = this.trace;
    if (spans.length > LONG && spans.some(span => span.messages)) this.folded = new Set(overview(this.trace));
  }

  async load() {
    this.trace = prepare(await ask(`/view/traces/${this.id}${this.query}`));
    this.lane = lanes(new Set(this.trace.spans.map(span => span.service)));
    const { verdict, entity } = this.trace;
    document.title = `${verdict.headline} · ${entity ? `${ENTITY} ${entity.slice(0, 8)}` : this.id.slice(0, 8)}`;
    foot(this.trace.held);
    clearTimeout(this.timer);
    if (verdict.tone === 'open') this.timer = setTimeout(() => this.reload(), AGAIN);
  }

  async reload() {
    const before = this.state();
    await this.load().catch(() => {});
    // Only when something changed: a row that is drawn again between press and release gets no click.
    if (!this.left && (this.state() !== before || this.waiting())) this.draw();
  }

  /** Differs when anything has come: spans and lines are only ever added. */
  state() {
    const { spans, logs, verdict, refused } = this.trace;
    return [spans.length, logs.length, verdict.headline, verdict.detail, refused].join('|');
  }

  /** True while there is a message that no consumer was seen to handle. */
  waiting() {
    return this.trace.verdict.tone === 'open' && this.trace.spans.some(span => span.unprocessed);
  }

  changed(ids) {
    if (!ids.includes(this.trace.id) && !ids.includes('*')) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.reload(), SETTLE);
  }

  draw() {
    const { trace } = this;
    const now = this.waiting() ? Math.max(trace.length, between(trace.start, trace.now)) : null;
    this.rows = rows(trace, this.folded, this.opened, now);
    this.axis = axis(
      trace.spans.map(span => [span.from, span.to]),
      now ?? trace.length,
      this.trueScale,
    );
    drawHead(this.head, trace, this.lane, () => this.nextFailure());
    drawShares(this.shares, trace, this.lane);
    this.drawTools();
    drawAxis(this.scale, this.bands, this.axis);
    this.grid.style.height = `${this.rows.length * ROW}px`;
    this.grid.setAttribute('aria-rowcount', this.rows.length);
    this.drawRows();
    this.drawDetails();
    drawLog(this.log, trace, this.lane);
  }

  drawTools() {
    if (this.tools.contains(document.activeElement)) return;
    const button = (text, folded) =>
      h(
        'button',
        {
          type: 'button',
          onclick: () => {
            this.folded = new Set(folded());
            this.draw();
          },
        },
        text,
      );
    const scale = h(
      'label',
      { title: 'Do not cut idle stretches out of the time axis' },
      h('input', {
        type: 'checkbox',
        checked: this.trueScale,
        onchange: event => this.setTrueScale(event.target.checked),
      }),
      ' true scale',
    );
    replace(
      this.tools,
      button('Unfold all', () => []),
      button('Overview', () => overview(this.trace)),
      this.axis.breaks.length > 0 || this.trueScale ? scale : null,
      h(
        'span',
        { class: 'legend' },
        h('i', { class: 'queue' }),
        'in the queue',
        h('i', { class: 'line' }),
        'critical path: what the end waited for',
      ),
      h(
        'span',
        { class: 'keys' },
        h('kbd', {}, '↑'),
        h('kbd', {}, '↓'),
        ' move ',
        h('kbd', {}, '←'),
        h('kbd', {}, '→'),
        ' fold ',
        h('kbd', {}, 'e'),
        ' next failure ',
        h('kbd', {}, 'Esc'),
        ' close',
      ),
    );
  }

  /** Only the rows that can be seen: a trace may have ten thousand. */
  drawRows() {
    const top = this.grid.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(-top / ROW) - OVERSCAN);
    const last = Math.min(this.rows.length, Math.ceil((innerHeight - top) / ROW) + OVERSCAN);
    const active = this.place();
    const seen = this.rows.slice(first, last);
    replace(
      this.grid,
      seen.map((row, at) => rowElement(this, row, first + at, first + at === active)),
      linkLines(this, this.rows, active),
    );
    if (active >= first && active < last) this.grid.setAttribute('aria-activedescendant', `row-${active}`);
    else this.grid.removeAttribute('aria-activedescendant');
  }

  drawDetails() {
    const span = this.selectedSpan();
    this.aside.hidden = !span;
    this.element.classList.toggle('narrow', Boolean(span));
    // Only when something changed: drawing loses what is unfolded and how far it is scrolled.
    const drawn = span ? [span.id, this.trace.spans.length, this.trace.logs.length].join() : '';
    if (this.drawn === drawn) return;
    this.drawn = drawn;
    replace(this.aside, span ? details(this.trace, span, this.lane, () => this.close()) : null);
  }

  selectedSpan() {
    return this.trace.spans.find(span => span.id === this.selected);
  }

  /** The row of the selected span, which a folded group stands for; -1 when it is hidden. */
  place() {
    return this.rows.findIndex(row => selectable(row) && row.span.id === this.selected);
  }

  click(event) {
    const row = this.rows[event.target.closest('.row')?.getAttribute('aria-rowindex') - 1];
    if (!row?.span) return;
    const folds = row.type === 'group' || (row.span.children.length > 0 && event.target.closest('.twisty'));
    if (folds) this.toggle(row);
    else {
      this.select(row.span.id);
      this.reveal();
    }
  }

  toggle(row) {
    const set = row.type === 'group' ? this.opened : this.folded;
    if (!set.delete(row.span.id)) set.add(row.span.id);
    this.draw();
  }

  select(id) {
    this.selected = id;
    this.address();
    this.drawRows();
    this.drawDetails();
  }

  close() {
    this.select(null);
    this.grid.focus({ preventScroll: true });
  }

  setTrueScale(trueScale) {
    this.trueScale = trueScale;
    this.address();
    this.draw();
  }

  /** The selected span and the scale are part of the address. */
  address() {
    const url = new URL(location.href);
    url.searchParams.delete('span');
    url.searchParams.delete('true-scale');
    if (this.selected) url.searchParams.set('span', this.selected);
    if (this.trueScale) url.searchParams.set('true-scale', '');
    history.replaceState(null, '', url);
  }

  /** Unfolds what hides the selected span, and brings it into view. */
  reveal() {
    const span = this.selectedSpan();
    if (!span) return;
    for (let above = span.parentSpan; above; above = above.parentSpan) this.folded.delete(above.id);
    this.draw();
    const group = this.rows.find(row => row.type === 'group' && row.spans.includes(span));
    if (group && this.place() < 0) {
      this.opened.add(group.span.id);
      this.draw();
    }
    const top = this.grid.getBoundingClientRect().top + this.place() * ROW;
    const covered = getComputedStyle(this.aside).position === 'fixed';
    const bottom = covered ? this.aside.getBoundingClientRect().top : innerHeight;
    if (top < TOP || top > bottom - 2 * ROW) scrollBy(0, top - Math.max(TOP, bottom / 3));
  }

  /** Where it began to fail, not all that failed because of it. */
  nextFailure() {
    const failed = this.trace.spans.filter(span => span.failed && !span.children.some(child => child.failed));
    if (failed.length === 0) return;
    const at = failed.findIndex(span => span.id === this.selected);
    this.select(failed[(at + 1) % failed.length].id);
    this.reveal();
  }

  key(event) {
    if (event.key === 'Escape') return this.close();
    if (event.target.closest?.('.details, .tools, .log')) return;
    if (event.key === 'e') return this.nextFailure();
    const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
    if (!step && event.key !== 'ArrowLeft' && event.key !== 'ArrowRight') return;
    event.preventDefault();
    const rows = this.rows.filter(selectable);
    const at = rows.findIndex(row => row.span.id === this.selected);
    if (step) this.select(rows[Math.max(0, Math.min(rows.length - 1, at + step))]?.span.id);
    else if (at >= 0) this.step(rows[at], event.key === 'ArrowLeft');
    this.reveal();
  }

  /** As in any tree: to the left folds, or goes to what it is in; to the right unfolds. */
  step(row, wanted) {
    const group = this.rows.find(other => other.open && other.spans?.includes(row.span));
    if (group && wanted) {
      this.toggle(group);
      return this.select(group.span.id);
    }
    const folded = row.type === 'group' ? !row.open : row.folded;
    const folds = row.type === 'group' || row.span.children.length > 0;
    if (folds && folded !== wanted) this.toggle(row);
    else if (wanted && row.span.parentSpan) this.select(row.span.parentSpan.id);
  }
}
