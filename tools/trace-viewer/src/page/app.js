// Addresses and what they show. Every view is an address, so the back button and a copied link work.

import { h, replace } from './dom.js';
import { bytes, clock } from './format.js';
import { showList } from './list.js';
import { showTrace } from './trace.js';

const main = document.getElementById('main');
const search = document.getElementById('search');
const input = document.getElementById('q');

/** The settings: the system's name, the word for what a trace is about ('order', or ''), and its attribute. */
export const { name: NAME, entity: ENTITY, attribute: ATTRIBUTE } = document.documentElement.dataset;

/** How often the server is asked for changes, in milliseconds, while the tab is seen. */
const POLL = 500;

/** The view on screen: its functions for changes, for keys, and for when it is left. */
let view = {};
let shown = 0;

/** Goes to an address of this page. */
export function go(address, replaceIt = false) {
  history[replaceIt ? 'replaceState' : 'pushState'](null, '', address);
  return show();
}

/** Asks the server. An answer that is no success is thrown, with its message. */
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
  const [, kind, part] = url.pathname.split('/');
  const id = decoded(part);
  const isEntity = ENTITY && kind === ENTITY;
  input.value = isEntity || kind === 'trace' ? id : (url.searchParams.get('q') ?? '');
  try {
    const next = isEntity
      ? await entity(id, url)
      : kind === 'trace'
        ? await showTrace(main, id, url)
        : await showList(main, url);
    if (mine === shown) view = next ?? {};
    else next?.leave?.();
  } catch (error) {
    if (mine === shown) notFound(error, kind);
  }
}

/** A part of an address; as it is when it is no valid encoding. */
function decoded(part = '') {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

async function entity(id, url) {
  const { traces } = await ask(`/view/entities/${encodeURIComponent(id)}`);
  if (traces.length === 1) return showTrace(main, traces[0].id, url, id);
  return showList(main, url, `${ATTRIBUTE}=${id}`);
}

function notFound(error, kind) {
  const held = error.held;
  if (held) foot(held);
  // The trace may be on its way.
  view = { changed: () => show() };
  const what =
    ENTITY && kind === ENTITY
      ? `No trace of this ${ENTITY} is held`
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

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const TRACE = /^[0-9a-f]{16}(?:[0-9a-f]{16})?$/i;

search.addEventListener('submit', event => {
  event.preventDefault();
  const words = input.value.trim();
  const id = ATTRIBUTE && words.startsWith(`${ATTRIBUTE}=`) ? words.slice(ATTRIBUTE.length + 1) : words;
  if (ENTITY && UUID.test(id)) go(`/${ENTITY}/${id.toLowerCase()}`);
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

// Asked again and again: a stream would keep a connection for each tab, and a browser has six for one server.
let serverClock = '';
let timer;
let asking = false;

async function poll() {
  if (asking) return;
  asking = true;
  clearTimeout(timer);
  try {
    const answer = await ask(`/view/changes?since=${serverClock || 0}`);
    const changed = answer.changed ?? ['*'];
    serverClock = answer.clock;
    if (changed.length > 0) view.changed?.(changed);
  } catch {
    // Everything may have changed once the viewer is back.
    serverClock = '';
    document.getElementById('held').textContent = 'The viewer does not answer. Asking again.';
  }
  asking = false;
  if (!document.hidden) timer = setTimeout(poll, POLL);
}

document.addEventListener('visibilitychange', () => document.hidden || poll());

show();
poll();
