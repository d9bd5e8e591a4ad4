// Addresses and what they show. Every view is an address, so the back button and a copied link work.

import { h, replace } from './dom.js';
import { bytes, clock } from './format.js';
import { showList } from './list.js';
import { showTrace } from './trace.js';

const main = document.getElementById('main');
const search = document.getElementById('search');
const input = document.getElementById('q');

/** What the view on screen wants to be told: of changes, of keys, and when it is left. */
let view = {};
let shown = 0;

/** Goes to an address of this page. */
export function go(address, replaceIt = false) {
  history[replaceIt ? 'replaceState' : 'pushState'](null, '', address);
  return show();
}

/** Asks the server; an answer that is no success is thrown, with what it says. */
export async function ask(path) {
  const response = await fetch(path);
  const answer = await response.json();
  if (!response.ok) throw Object.assign(new Error(answer.error), { held: answer.held });
  return answer;
}

async function show() {
  const mine = ++shown;
  view.leave?.();
  view = {};
  const url = new URL(location.href);
  const [, kind, id] = url.pathname.split('/');
  input.value =
    kind === 'order' || kind === 'trace' ? decodeURIComponent(id) : (url.searchParams.get('q') ?? '');
  try {
    const next =
      kind === 'order'
        ? await order(decodeURIComponent(id), url)
        : kind === 'trace'
          ? await trace(id, url)
          : await showList(main, url);
    if (mine === shown) view = next ?? {};
    else next?.leave?.();
  } catch (error) {
    if (mine === shown) notFound(error, kind);
  }
}

async function order(id, url) {
  const { traces } = await ask(`/view/orders/${encodeURIComponent(id)}`);
  if (traces.length === 1) return trace(traces[0].id, url);
  return showList(main, url, `order.id=${id}`);
}

async function trace(id, url) {
  return showTrace(main, id, url);
}

function notFound(error, kind) {
  const held = error.held;
  if (held) foot(held);
  // What is looked for may be on its way.
  view = { changed: () => show() };
  const what =
    kind === 'order'
      ? 'No trace of this order is held'
      : kind === 'trace'
        ? 'This trace is not held'
        : 'The viewer does not answer';
  const why = held
    ? `Traces are held since ${clock(held.since).slice(0, -4)}. One that came before was dropped to make room; one that was not sampled never came.`
    : error.message;
  replace(
    main,
    h(
      'section',
      { class: 'verdict bad' },
      h('div', { class: 'sign', 'aria-hidden': 'true' }, '?'),
      h(
        'div',
        {},
        h('h1', {}, what),
        h('p', { class: 'meta' }, why),
        h('p', {}, h('a', { href: '/' }, 'Show the latest traces')),
      ),
    ),
  );
}

/** How much is held, at the foot of the page. */
export function foot(held) {
  const number = new Intl.NumberFormat('en');
  replace(
    document.getElementById('held'),
    `Holding ${number.format(held.traces)} of ${number.format(held.traces_seen)} traces seen, `,
    `${bytes(held.bytes)} of ${bytes(held.max_bytes)}, since ${clock(held.since).slice(0, -4)}. `,
    'In memory only: a restart forgets them.',
  );
}

const ORDER = /^(?:order\.id=)?([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$/i;
const TRACE = /^[0-9a-f]{16}(?:[0-9a-f]{16})?$/i;

search.addEventListener('submit', event => {
  event.preventDefault();
  const words = input.value.trim();
  const order = ORDER.exec(words);
  if (order) go(`/order/${order[1].toLowerCase()}`);
  else if (TRACE.test(words)) go(`/trace/${words.toLowerCase()}`);
  else go(words ? `/search?q=${encodeURIComponent(words)}` : '/');
  main.focus({ preventScroll: true });
});

document.addEventListener('click', event => {
  const link = event.target.closest('a[href^="/"]');
  if (
    !link ||
    link.target ||
    event.defaultPrevented ||
    event.button !== 0 ||
    event.ctrlKey ||
    event.metaKey ||
    event.shiftKey
  )
    return;
  event.preventDefault();
  go(link.getAttribute('href'));
  scrollTo(0, 0);
});

document.addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches('input, select, textarea');
  if (event.key === 'Escape' && typing) event.target.blur();
  else if (typing) return;
  else if (event.key === '/') {
    event.preventDefault();
    input.focus();
    input.select();
  } else view.key?.(event);
});

addEventListener('popstate', show);

const live = new EventSource('/view/live');
live.addEventListener('changed', event => view.changed?.(JSON.parse(event.data)));
live.addEventListener('open', () => view.changed?.(['*']));

show();
