// One trace: the verdict, where the time went, and the timeline.

import { ask, foot } from './app.js';
import { axis } from './axis.js';
import { copyButton, h, lanes, replace } from './dom.js';
import { details, logLine } from './details.js';
import { between, clock, human } from './format.js';
import { doubts, prepare, rows } from './rows.js';
import { SIGNS } from './list.js';

const ROW = 28;
const OVERSCAN = 12;
/** A trace that is waited for is looked at again so often. */
const AGAIN = 1000;
/** After a change so long, because it seldom comes alone. */
const SETTLE = 200;
/** A share of the time is labelled when it is at least so wide; the others are named below. */
const LABELLED = 0.11;

export async function showTrace(main, id, url) {
  const view = new TraceView(id, url);
  await view.load();
  replace(main, view.element);
  view.draw();
  view.reveal();
  return view;
}

class TraceView {
  constructor(id, url) {
    this.id = id;
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
    this.grid = h('div', { class: 'grid', role: 'treegrid', tabindex: 0, 'aria-label': 'Spans of this trace' });
    this.logs = h('section', { class: 'log', 'aria-label': 'Log' });
    this.aside = h('aside', { class: 'details', hidden: true, 'aria-label': 'Details of the selected span' });
    this.timeline = h('section', { class: 'timeline' },
      h('div', { class: 'columns' }, h('div', { class: 'names' }, 'Service and operation'), this.scale),
      h('div', { class: 'body' }, this.bands, this.grid));
    this.element = h('div', { class: 'trace' }, this.head, this.shares, this.tools,
      h('div', { class: 'split' }, this.timeline, this.aside), this.logs);
    this.onscroll = () => requestAnimationFrame(() => this.drawRows());
    addEventListener('scroll', this.onscroll, { passive: true });
    addEventListener('resize', this.onscroll);
  }

  leave() {
    this.left = true;
    clearTimeout(this.timer);
    removeEventListener('scroll', this.onscroll);
    removeEventListener('resize', this.onscroll);
  }

  async load() {
    this.trace = prepare(await ask(`/view/traces/${this.id}`));
    this.lane = lanes([...new Set(this.trace.spans.map(span => span.service))]);
    document.title = `${this.trace.verdict.headline} · ${this.trace.order ? `order ${this.trace.order.slice(0, 8)}` : this.id.slice(0, 8)}`;
    ask('/view/traces?limit=0').then(answer => foot(answer.held)).catch(() => {});
    clearTimeout(this.timer);
    if (this.trace.verdict.tone === 'open') this.timer = setTimeout(() => this.reload(), AGAIN);
  }

  async reload() {
    await this.load().catch(() => {});
    if (!this.left) this.draw();
  }

  changed(ids) {
    if (!ids.includes(this.trace.id) && !ids.includes('*')) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.reload(), SETTLE);
  }

  draw() {
    const open = this.trace.verdict.tone === 'open' && this.trace.spans.some(span => span.unprocessed);
    this.now = open ? Math.max(this.trace.length, between(this.trace.start, this.trace.now)) : null;
    this.end = this.now ?? this.trace.length;
    this.rows = rows(this.trace, this.folded, this.opened, this.now);
    this.axis = axis(this.trace.spans.map(span => [span.from, span.to]), this.end, this.trueScale);
    this.drawHead();
    this.drawShares();
    this.drawTools();
    this.drawAxis();
    this.grid.style.height = `${this.rows.length * ROW}px`;
    this.grid.setAttribute('aria-rowcount', this.rows.length);
    this.drawRows();
    this.drawDetails();
    this.drawLogs();
  }

  drawHead() {
    const { verdict, order, id, spans } = this.trace;
    const errors = spans.filter(span => span.failed).length;
    const services = Object.keys(this.lane).length;
    this.head.className = `verdict ${verdict.tone}`;
    replace(this.head,
      h('div', { class: 'sign', 'aria-hidden': 'true' }, SIGNS[verdict.tone]),
      h('div', {},
        h('h1', {}, verdict.headline, verdict.detail ? h('span', {}, `: ${verdict.detail}`) : null),
        h('p', { class: 'meta' },
          order ? h('span', {}, 'Order ', h('code', {}, order), copyButton(order, 'order id')) : null,
          h('span', {}, 'Trace ', h('code', {}, id), copyButton(id, 'trace id')),
          h('span', {}, clock(this.trace.start)),
          h('span', {}, `${spans.length} span${spans.length === 1 ? '' : 's'}, ${services} service${services === 1 ? '' : 's'}`),
          this.trace.linked_from.map(link => h('a', { href: `/trace/${link.trace}?span=${link.span}` }, `linked from ${link.service} ${link.name} of another trace`)),
          errors > 0 ? h('button', { type: 'button', class: 'errors', onclick: () => this.nextError() }, `${errors} failed: show`) : null),
        doubts(this.trace).map(doubt => h('p', { class: 'doubt' }, doubt))));
  }

  /** All that was logged, in the order of time; those of no span too. */
  drawLogs() {
    const lines = this.trace.logs.toSorted((a, b) => between(b.time, a.time));
    const drawn = `${lines.length}`;
    if (lines.length === 0 || this.logs.dataset.drawn === drawn) return;
    this.logs.dataset.drawn = drawn;
    replace(this.logs, h('details', { open: this.logs.querySelector('details')?.open }, h('summary', {}, `Log, ${lines.length} line${lines.length === 1 ? '' : 's'}`),
      h('ol', {}, lines.map(line => {
        const span = this.trace.spans.find(span => span.id === line.span);
        const item = logLine(line, human(between(this.trace.start, line.time)), h('span', { class: `chip ${this.lane[line.service] ?? ''}` }, line.service));
        if (span) item.append(' ', h('a', { href: `/trace/${this.id}?span=${span.id}` }, span.name || '(no name)'));
        return item;
      }))));
  }

  drawShares() {
    const sum = shares => shares.reduce((sum, share) => sum + Number(share.time), 0);
    const work = sum(this.trace.shares.filter(share => share.kind === 'service'));
    // A long wait is not drawn to scale, or nothing else could be seen; its label tells the truth.
    const drawn = ({ kind, time }) => kind === 'service' ? Number(time) : Math.min(Number(time), work * 0.6);
    const width = this.trace.shares.reduce((sum, share) => sum + drawn(share), 0);
    const share = ({ kind, name, time }) => {
      const part = drawn({ kind, time }) / width;
      const text = `${kind === 'queue' ? 'in the queue' : name} ${human(Number(time))}`;
      return h('div', { class: `share ${kind === 'service' ? this.lane[name] : kind}`, style: { flexGrow: Math.max(part, 0.004) }, title: text },
        part > LABELLED ? h('span', {}, text) : null);
    };
    const named = new Set(this.trace.shares.map(share => share.name));
    const small = this.trace.shares.filter(share => drawn(share) / width <= LABELLED);
    const silent = Object.keys(this.lane).filter(name => !named.has(name)).map(name => ({ kind: 'service', name, time: '0' }));
    replace(this.shares, h('div', { class: 'whole' }, this.trace.shares.map(share)),
      h('ul', {}, [...small, ...silent].map(({ kind, name, time }) => h('li', {},
        h('i', { class: kind === 'service' ? this.lane[name] : kind }), kind === 'queue' ? 'in the queue' : name,
        Number(time) > 0 ? ` ${human(Number(time))}` : ''))));
  }

  drawTools() {
    if (this.tools.contains(document.activeElement)) return;
    const check = (label, value, change, title) => h('label', { title }, h('input', { type: 'checkbox', checked: value, onchange: change }), ` ${label}`);
    const cut = this.axis.breaks.length > 0 || this.trueScale;
    const withChildren = this.trace.spans.filter(span => span.children.length > 0);
    replace(this.tools,
      h('button', { type: 'button', onclick: () => { this.folded.clear(); this.draw(); } }, 'Unfold all'),
      h('button', { type: 'button', onclick: () => { this.folded = new Set(withChildren.filter(span => span.depth > 0).map(span => span.id)); this.draw(); } }, 'Fold all'),
      cut ? check('true scale', this.trueScale, event => { this.trueScale = event.target.checked; this.address(); this.draw(); }, 'Do not cut idle stretches out of the time axis') : null,
      h('span', { class: 'legend' }, h('i', { class: 'queue' }), 'in the queue', h('i', { class: 'line' }), 'critical path: what the end waited for'),
      h('span', { class: 'keys' }, h('kbd', {}, '↑'), h('kbd', {}, '↓'), ' move ', h('kbd', {}, '←'), h('kbd', {}, '→'), ' fold ', h('kbd', {}, 'e'), ' next error ', h('kbd', {}, 'Esc'), ' close'));
  }

  drawAxis() {
    const percent = x => `${100 * x}%`;
    replace(this.scale,
      this.axis.ticks.map(tick => h('span', { class: 'tick', style: { left: percent(tick.x) } }, tick.label)),
      this.axis.breaks.map(piece => h('span', { class: 'cut', style: { left: percent(piece.x), width: percent(piece.width) }, title: `${human(piece.to - piece.from)} in which nothing happened are left out` }, h('small', {}, 'left out'), human(piece.to - piece.from))));
    replace(this.bands, h('div', { class: 'area' },
      this.axis.ticks.map(tick => h('i', { class: 'tick', style: { left: percent(tick.x) } })),
      this.axis.breaks.map(piece => h('i', { class: 'cut', style: { left: percent(piece.x), width: percent(piece.width) } }))));
  }

  /** Only the rows that can be seen: a trace may have ten thousand. */
  drawRows() {
    const top = this.grid.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(-top / ROW) - OVERSCAN);
    const last = Math.min(this.rows.length, Math.ceil((innerHeight - top) / ROW) + OVERSCAN);
    const active = this.rows.findIndex(row => row.type === 'span' && row.span.id === this.selected);
    replace(this.grid, this.rows.slice(first, last).map((row, at) => this.row(row, first + at, first + at === active)), this.drawLinks(active));
    if (active >= first && active < last) this.grid.setAttribute('aria-activedescendant', `row-${active}`);
    else this.grid.removeAttribute('aria-activedescendant');
  }

  /** From the selected span to those that it is linked to; its parent is plain to see already. */
  drawLinks(active) {
    const span = this.rows[active]?.span;
    const ids = (span?.links ?? []).filter(link => link.trace === this.trace.id && link.span !== span.parent).map(link => link.span);
    const lines = this.rows.flatMap((row, at) => row.type === 'span' && ids.includes(row.span.id) ? [at] : []).map(at => h('div', {
      class: 'link', style: { left: `calc(${100 * this.axis.at(span.from)}% - 10px)`, top: `${(Math.min(at, active) + 0.5) * ROW}px`, height: `${Math.abs(at - active) * ROW}px` } }));
    return lines.length > 0 ? h('div', { class: 'links', 'aria-hidden': 'true' }, h('div', { class: 'area' }, lines)) : null;
  }

  row(row, at, selected) {
    const { span } = row;
    const unfolds = row.type === 'span' && span.children.length > 0 || row.type === 'group';
    const open = row.type === 'group' ? row.open : !row.folded;
    const classes = ['row', row.type, selected && 'selected', row.type === 'span' && span.failed && 'failed', span?.dead_letter && row.type === 'span' && 'dead'];
    const element = h('div', {
      class: classes.filter(Boolean).join(' '), role: 'row', id: `row-${at}`, style: { top: `${at * ROW}px` },
      'aria-rowindex': at + 1, 'aria-level': row.depth + 1, 'aria-selected': String(selected), 'aria-expanded': unfolds ? String(open) : null,
    }, h('div', { class: 'names', role: 'gridcell' }, this.guides(row.depth), twisty(unfolds, open), h('span', { class: 'label' }, this.name(row)), row.type === 'span' ? badges(span) : null),
      h('div', { class: 'area', role: 'gridcell' }, row.type === 'missing' ? null : this.bars(row)));
    element.addEventListener('click', event => {
      if (event.target.closest('.twisty') && unfolds) this.toggle(row);
      else if (row.type === 'group') this.toggle(row);
      else if (span) {
        this.select(span.id);
        this.reveal();
      }
    });
    return element;
  }

  guides(depth) {
    return h('span', { class: 'guides', style: { width: `${Math.min(depth, 14) * 14}px` }, 'aria-hidden': 'true' });
  }

  name(row) {
    const { span, type } = row;
    if (type === 'missing') return h('span', { class: 'quiet' }, `A span that has not come (${row.id})`);
    if (type === 'queue') return h('span', { class: 'what' }, 'in the queue ', h('span', { class: 'quiet' }, row.topic ?? ''));
    if (type === 'outbox') return h('span', { class: 'what' }, 'in the outbox');
    if (type === 'open') return h('span', { class: 'what' }, 'waiting in ', span.attribute['messaging.destination.name'] ?? 'the queue');
    if (type === 'pause') return h('span', { class: 'quiet' }, 'pause before the next attempt');
    const count = type === 'group' ? h('b', { class: 'count' }, `${row.spans.length} ×`) : null;
    return [h('i', { class: `lane ${this.lane[span.service]}`, 'aria-hidden': 'true' }), h('span', { class: 'service' }, span.service), ' ', count,
      h('span', { class: 'operation', title: span.name }, span.name || '(no name)')];
  }

  bars(row) {
    const { span, type } = row;
    const from = this.axis.at(Math.max(0, row.from ?? span.from));
    const to = this.axis.at(row.to ?? span.to);
    const place = (a, b) => ({ left: `${100 * a}%`, width: `max(2px, ${100 * (b - a)}%)` });
    const color = type === 'span' || type === 'group' ? this.lane[span.service] : '';
    const bar = h('div', { class: `bar ${type} ${color}`, style: place(from, to) });
    const parts = type === 'group'
      ? row.spans.slice(0, 200).map(one => h('div', { class: `bar one ${color}`, style: place(this.axis.at(one.from), this.axis.at(one.to)) }))
      : type === 'span' ? span.critical.map(([a, b]) => h('div', { class: 'path', style: place(this.axis.at(a), this.axis.at(b)) })) : [];
    const marks = type === 'span' ? this.marks(span) : [];
    return [bar, parts, marks, this.label(row, from, to)];
  }

  marks(span) {
    const events = span.events.map(event => [event.time, event.name === 'exception' ? 'mark bad' : 'mark', event.name]);
    const logs = this.trace.logs.filter(line => line.span === span.id).map(line => [line.time, line.severity >= 17 ? 'mark log bad' : 'mark log', line.body]);
    return [...events, ...logs].slice(0, 50).map(([time, mark, title]) =>
      h('i', { class: mark, title, style: { left: `${100 * this.axis.at(between(this.trace.start, time))}%` } }));
  }

  label(row, from, to) {
    const { span, type } = row;
    const text = type === 'queue' ? `${human(row.time)} in the queue`
      : type === 'outbox' ? `${human(row.time)} in the outbox`
      : type === 'open' ? `${human(row.to - row.from)} and waiting`
      : type === 'pause' ? human(row.to - row.from)
      : type === 'group' ? `${human(row.time)} in ${row.spans.length}`
      : span.took < 0 ? 'ends before it starts' : human(span.took);
    const inside = to - from > 0.35;
    const left = !inside && to > 0.84;
    const style = inside ? { left: `calc(${100 * from}% + 8px)` } : left ? { right: `calc(${100 * (1 - from)}% + 6px)` } : { left: `calc(${100 * to}% + 6px)` };
    return h('span', { class: inside ? `time inside ${type}` : 'time', style }, text);
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

  /** The selected span and the scale are part of the address. */
  address() {
    const url = new URL(location.href);
    this.selected ? url.searchParams.set('span', this.selected) : url.searchParams.delete('span');
    this.trueScale ? url.searchParams.set('true-scale', '') : url.searchParams.delete('true-scale');
    history.replaceState(null, '', url);
  }

  drawDetails() {
    const span = this.trace.spans.find(span => span.id === this.selected);
    this.aside.hidden = !span;
    this.element.classList.toggle('narrow', Boolean(span));
    if (!span) {
      this.drawn = null;
      return replace(this.aside);
    }
    // Not again for nothing: it would lose what is unfolded and how far it is scrolled.
    const drawn = [span.id, this.trace.spans.length, this.trace.logs.length].join();
    if (this.drawn === drawn) return;
    this.drawn = drawn;
    replace(this.aside, details(this.trace, span, this.lane, () => this.close()));
  }

  close() {
    this.select(null);
    this.grid.focus({ preventScroll: true });
  }

  /** Unfolds what hides the selected span, and brings it into view. */
  reveal() {
    const span = this.trace.spans.find(span => span.id === this.selected);
    if (!span) return;
    for (let above = span.parentSpan; above; above = above.parentSpan) this.folded.delete(above.id);
    this.draw();
    let at = this.rows.findIndex(row => row.type === 'span' && row.span === span);
    if (at < 0) {
      const group = this.rows.find(row => row.type === 'group' && row.spans.includes(span));
      if (!group) return;
      this.opened.add(group.span.id);
      this.draw();
      at = this.rows.findIndex(row => row.type === 'span' && row.span === span);
    }
    const top = this.grid.getBoundingClientRect().top + at * ROW;
    const bottom = getComputedStyle(this.aside).position === 'fixed' ? this.aside.getBoundingClientRect().top : innerHeight;
    if (top < 130 || top > bottom - 2 * ROW) scrollBy(0, top - Math.max(130, bottom / 3));
  }

  nextError() {
    // Where it began to fail, not all that failed because of it.
    const failed = this.trace.spans.filter(span => span.failed && !span.children.some(child => child.failed));
    if (failed.length === 0) return;
    const at = failed.findIndex(span => span.id === this.selected);
    this.select(failed[(at + 1) % failed.length].id);
    this.reveal();
  }

  key(event) {
    const spans = this.rows.filter(row => row.type === 'span' || row.type === 'group');
    const at = spans.findIndex(row => row.span.id === this.selected);
    const current = spans[at];
    const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
    if (event.target.closest?.('.details') && event.key !== 'Escape') return;
    if (step) this.select(spans[Math.max(0, Math.min(spans.length - 1, at + step))]?.span.id);
    else if (event.key === 'e') return this.nextError();
    else if (event.key === 'Escape') return this.close();
    else if (current && event.key === 'ArrowLeft') this.fold(current, true);
    else if (current && event.key === 'ArrowRight') this.fold(current, false);
    else return;
    event.preventDefault();
    this.reveal();
  }

  fold(row, wanted) {
    const isFolded = row.type === 'group' ? !row.open : row.folded;
    if (wanted && isFolded && row.span.parentSpan) this.select(row.span.parentSpan.id);
    else if (wanted !== isFolded && (row.type === 'group' || row.span.children.length > 0)) this.toggle(row);
    else if (wanted && row.span.parentSpan) this.select(row.span.parentSpan.id);
  }
}

const twisty = (unfolds, open) => h('span', { class: 'twisty', 'aria-hidden': 'true' }, unfolds ? (open ? '▾' : '▸') : '');

function badges(span) {
  const names = [span.attempt && `attempt ${span.attempt}`, span.dead_letter && 'dead letter', span.replay && 'replay', span.missing && 'parent missing', span.links.length > 0 && span.links.some(link => link.span !== span.parent) && 'linked'];
  return [names.filter(Boolean).map(name => h('span', { class: `badge ${name.split(' ')[0]}` }, name)), span.failed ? h('span', { class: 'badge error' }, 'error') : null];
}
