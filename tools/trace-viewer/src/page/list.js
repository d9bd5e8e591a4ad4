// The list of traces, newest first. It is live, but does not move while it is used: while the pointer or the
// keyboard focus is in it, or it is scrolled, new traces wait behind a button.

import { ENTITY, NAME, ask, foot, go } from './app.js';
import { h, lanes, replace } from './dom.js';
import { ago, clock, human } from './format.js';

export const SIGNS = { good: '✓', warn: '!', bad: '✕', open: '…' };

/** How often a list with a trace that has not ended is loaded again, in milliseconds. */
const AGAIN = 2000;
const NOTHING_FITS = 'No trace fits.';
const NOTHING_YET = 'No trace has come yet. Send OTLP to port 4317 (gRPC) or 4318 (HTTP).';

export async function showList(main, url, words) {
  const params = new URLSearchParams(url.search);
  if (words) params.set('q', words);
  const news = h('button', { type: 'button', class: 'news', hidden: true }, 'New traces: show');
  const filters = h('form', { class: 'filters', 'aria-label': 'Narrow the list' });
  const table = h('table', { class: 'traces' });
  const empty = h('p', { class: 'quiet' });
  const pages = h('nav', { class: 'pages', 'aria-label': 'Pages of the list' });
  let known = null;

  const busy = () =>
    scrollY > 60 ||
    table.matches(':hover') ||
    (main.contains(document.activeElement) && document.activeElement !== main);
  let timer = null;
  let loading = false;
  let left = false;

  /** Loads again after a while, unless the list is in use. */
  function lookAgain(after) {
    clearTimeout(timer);
    timer = setTimeout(() => (busy() || loading ? lookAgain(AGAIN) : load().catch(() => {})), after);
  }

  async function load() {
    loading = true;
    const answer = await ask(`/view/traces?${params}`).finally(() => (loading = false));
    if (left) return;
    known = new Set(answer.traces.map(trace => trace.id));
    news.hidden = true;
    foot(answer.held);
    drawFilters(filters, params, answer);
    drawTable(table, answer);
    drawPages(pages, params, answer.next);
    table.hidden = answer.traces.length === 0;
    empty.textContent = table.hidden ? (String(params) ? NOTHING_FITS : NOTHING_YET) : '';
    if (answer.traces.some(trace => trace.verdict.tone === 'open')) lookAgain(AGAIN);
  }

  await load();
  replace(main, h('h1', { class: 'hidden' }, 'Traces'), filters, news, table, empty, pages);
  document.title = `Traces · ${NAME}`;

  const changed = ids => {
    // An older page shows what was held when it was opened.
    if (params.has('before')) return;
    if (!busy()) return lookAgain(0);
    const count = ids.filter(id => !known.has(id)).length;
    if (count > 0) news.hidden = false;
  };
  news.addEventListener('click', () => {
    scrollTo(0, 0);
    load();
  });
  filters.addEventListener('change', event => {
    // The operations of one service are not those of another, and the older pages of one list not of another.
    params.delete('before');
    if (event.target.name === 'service') filters.querySelector('[name=operation]')?.remove();
    if (event.target.name === 'service') params.delete('operation');
    for (const [key, value] of new FormData(filters)) value ? params.set(key, value) : params.delete(key);
    go(`${location.pathname === '/' ? '/search' : location.pathname}?${params}`);
  });
  filters.addEventListener('submit', event => event.preventDefault());
  const leave = () => {
    left = true;
    clearTimeout(timer);
  };
  return { changed, leave };
}

function drawFilters(filters, params, answer) {
  if (filters.contains(document.activeElement)) return;
  const select = (name, label, options) =>
    h(
      'label',
      {},
      h('span', {}, label),
      h(
        'select',
        { name },
        options.map(([value, text]) =>
          h('option', { value, selected: (params.get(name) ?? '') === value }, text),
        ),
      ),
    );
  const names = list => list.map(name => [name, name || '(no name)']);
  replace(
    filters,
    select('service', 'Service', [['', 'all'], ...names(answer.services)]),
    params.get('service')
      ? select('operation', 'Operation', [['', 'all'], ...names(answer.operations)])
      : null,
    select('status', 'Errors', [
      ['', 'with and without'],
      ['error', 'with errors'],
      ['ok', 'without'],
    ]),
    h(
      'label',
      {},
      h('span', {}, 'At least'),
      h('input', {
        name: 'min',
        type: 'number',
        min: '0',
        step: '10',
        value: params.get('min') ?? '',
        placeholder: '0',
      }),
      ' ms',
    ),
    [...params.keys()].length > 0 ? h('a', { href: '/' }, 'Clear') : null,
  );
}

/** Each page is an address: the list from the last row of the page before on. */
function drawPages(pages, params, next) {
  const link = (before, text) => {
    const page = new URLSearchParams(params);
    before ? page.set('before', before) : page.delete('before');
    return h('a', { href: `/search?${page}` }, text);
  };
  replace(pages, params.has('before') ? link(null, 'Newest traces') : null, next ? link(next, 'Older traces') : null);
}

function drawTable(table, answer) {
  const lane = lanes(answer.services);
  const longest = answer.traces.reduce((most, trace) => Math.max(most, Number(trace.duration)), 1);
  const head = [
    'Started',
    'Trace',
    'What became of it',
    'Duration',
    'In the queue',
    'Services',
    'Spans',
    'Errors',
  ];
  replace(
    table,
    h('caption', { class: 'hidden' }, 'Traces, newest first'),
    h(
      'thead',
      {},
      h(
        'tr',
        {},
        head.map(title => h('th', { scope: 'col' }, title)),
      ),
    ),
    h(
      'tbody',
      {},
      answer.traces.map(trace => row(trace, answer.now, lane, longest)),
    ),
  );
}

function row(trace, now, lane, longest) {
  const address = trace.entity ? `/${ENTITY}/${encodeURIComponent(trace.entity)}` : `/trace/${trace.id}`;
  const { tone, headline, detail } = trace.verdict;
  const tr = h(
    'tr',
    { class: tone },
    h('td', { class: 'number', title: clock(trace.start) }, ago(trace.start, now)),
    h(
      'td',
      {},
      h('a', { href: address }, h('span', { class: 'name' }, trace.name || '(no name)')),
      ' ',
      h('span', { class: 'quiet' }, trace.service),
      h('div', { class: 'id' }, trace.entity ? `${ENTITY} ${trace.entity}` : trace.id),
    ),
    h(
      'td',
      { class: 'outcome' },
      h('span', { class: 'sign', 'aria-hidden': 'true' }, SIGNS[tone]),
      h('strong', {}, headline),
      detail ? h('div', { class: 'quiet' }, detail) : null,
    ),
    h(
      'td',
      { class: 'number' },
      human(Number(trace.duration)),
      h(
        'div',
        { class: 'meter', 'aria-hidden': 'true' },
        h('i', { style: { width: `${(100 * Number(trace.duration)) / longest}%` } }),
      ),
    ),
    h(
      'td',
      { class: 'number' },
      trace.queue === null ? '–' : h('span', { class: 'queued' }, human(Number(trace.queue))),
    ),
    h(
      'td',
      { class: 'chips' },
      trace.services.map(service => h('span', { class: `chip ${lane[service]}`, title: service }, service)),
    ),
    h('td', { class: 'number' }, String(trace.spans)),
    h(
      'td',
      { class: 'number' },
      trace.errors > 0 ? h('span', { class: 'errors' }, String(trace.errors)) : '–',
    ),
  );
  tr.addEventListener('click', event => {
    if (event.target.closest('a') || String(getSelection())) return;
    go(address);
    scrollTo(0, 0);
  });
  return tr;
}
