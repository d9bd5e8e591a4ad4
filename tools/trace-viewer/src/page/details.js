// Everything about one span.

import { breakable, copyButton, h } from './dom.js';
import { between, clock, exactTime, human, sql, timeOfDay } from './format.js';

const GROUPS = [
  ['Messaging', /(^|\.)(messaging|outbox)\./],
  ['Database', /^db\./],
  ['HTTP', /^(http|url|user_agent)\./],
  ['Error', /^(exception|error)\./],
];
/** Belongs to the first of these groups that is not empty. */
const PEERS = /^(server|client|network)\./;

const LEVELS = [
  [17, 'error'],
  [13, 'warn'],
  [9, 'info'],
  [5, 'debug'],
  [0, 'trace'],
];

export function details(trace, span, lane, close) {
  const resource = trace.resources[span.resource];
  const lines = trace.logs.filter(line => line.span === span.id);
  return [
    h(
      'header',
      {},
      h(
        'h2',
        {},
        h('span', { class: `chip ${lane[span.service]}` }, span.service),
        ' ',
        span.name || '(no name)',
      ),
      h('button', { type: 'button', class: 'close', 'aria-label': 'Close details', onclick: close }, '✕'),
    ),
    span.failed
      ? h('p', { class: 'fault' }, h('strong', {}, 'Failed'), span.message ? `: ${span.message}` : '')
      : null,
    h(
      'dl',
      { class: 'facts' },
      fact('Duration', span.took < 0 ? `ends ${human(-span.took)} before it starts` : human(span.took)),
      fact(
        'Starts',
        `${human(span.from)} into the trace`,
        h('span', { class: 'quiet', title: exactTime(span.start) }, ` · ${timeOfDay(span.start)}`),
      ),
      span.parentSpan ? fact('After its parent', offset(span.from - span.parentSpan.from)) : null,
      span.queue ? fact('In the queue', h('span', { class: 'queued' }, human(Number(span.queue)))) : null,
      span.outbox ? fact('In the outbox', h('span', { class: 'queued' }, human(Number(span.outbox)))) : null,
      span.kind ? fact('Kind', span.kind) : null,
      span.missing ? fact('Parent', h('span', { class: 'fault' }, `${span.missing} has not come`)) : null,
      wayThereAndBack(span),
      skew(span),
      fact('Span id', h('code', {}, span.id), copyButton(span.id, 'span id')),
    ),
    links(trace, span),
    groups(span.attributes),
    events(trace, span),
    logs(trace, span, lines),
    fold('Resource', [
      ...resource.attributes,
      ...(span.scope ? [['scope', 'string', span.scope]] : []),
      ...(span.trace_state ? [['tracestate', 'string', span.trace_state]] : []),
    ]),
  ];
}

const fact = (name, ...value) => [h('dt', {}, name), h('dd', {}, ...value)];

const offset = nanos => (nanos < 0 ? `${human(-nanos)} before it` : human(nanos));

/** A call: how long the request was on its way, how long the answer. */
function wayThereAndBack(span) {
  const call = span.kind === 'client' ? span : span.kind === 'server' ? span.parentSpan : null;
  const answer = span.kind === 'server' ? span : span.children.find(child => child.kind === 'server');
  if (call?.kind !== 'client' || !answer || answer.service === call.service) return null;
  const there = answer.from - call.from;
  const back = call.to - answer.to;
  const text = `${human(there)} there, ${human(back)} back`;
  const doubt = there < 0 || back < 0 ? ' (the clocks of the two differ)' : '';
  return fact('On the way', text + doubt);
}

/** What can't be: a call that is answered before it is made. */
function skew(span) {
  const parent = span.parentSpan;
  if (!parent || span.from >= parent.from || parent.service === span.service) return null;
  return fact(
    'Clocks',
    `${span.service} is at least ${human(parent.from - span.from)} behind ${parent.service}; nothing was moved`,
  );
}

function links(trace, span) {
  if (span.links.length === 0) return null;
  return h(
    'section',
    {},
    h('h3', {}, 'Links'),
    h(
      'ul',
      {},
      span.links.map(link => h('li', {}, target(trace, span, link), reason(link))),
    ),
  );
}

function target(trace, span, link) {
  if (!link.trace) return 'to nothing (its id is all zero)';
  const here = link.trace === trace.id;
  const other = here ? trace.spans.find(other => other.id === link.span) : null;
  const text = other
    ? `${other.service} ${other.name}${other === span.parentSpan ? ' (its parent)' : ''}`
    : here
      ? `span ${link.span}, which has not come`
      : `another trace, ${link.trace.slice(0, 8)}…`;
  return h('a', { href: `/trace/${link.trace}?span=${link.span ?? ''}` }, text);
}

const reason = link =>
  link.attributes.map(([key, , value]) => h('div', { class: 'quiet' }, `${key} = ${value}`));

function groups(attributes) {
  const left = new Set(attributes);
  const take = pattern => {
    const mine = [...left].filter(([key]) => pattern.test(key));
    mine.forEach(attribute => left.delete(attribute));
    return mine;
  };
  const sections = GROUPS.map(([title, pattern]) => [title, take(pattern)]);
  sections.find(([, mine]) => mine.length > 0)?.[1].push(...take(PEERS));
  const rest = [['Attributes', [...left]], ...sections];
  return rest
    .filter(([, mine]) => mine.length > 0)
    .map(([title, mine]) => h('section', {}, h('h3', {}, title), table(mine)));
}

function table(attributes) {
  const sorted = attributes.toSorted((a, b) => (a[0] < b[0] ? -1 : 1));
  return h(
    'table',
    { class: 'attributes' },
    h(
      'tbody',
      {},
      sorted.map(([key, type, value]) =>
        h(
          'tr',
          {},
          h('th', { scope: 'row' }, breakable(key)),
          h('td', { class: type }, shown(key, type, value), copyButton(value, key)),
        ),
      ),
    ),
  );
}

function shown(key, type, value) {
  if (type === 'empty') return h('span', { class: 'quiet' }, 'no value');
  if (type === 'bytes') return [h('span', { class: 'quiet' }, 'bytes, base64 '), h('code', {}, value)];
  if (key === 'db.query.text') return h('pre', {}, sql(value));
  if (value.includes('\n')) return h('pre', {}, value);
  return h('span', { class: 'value' }, value);
}

function events(trace, span) {
  if (span.events.length === 0) return null;
  return h(
    'section',
    {},
    h('h3', {}, 'Events'),
    span.events.map(event =>
      h(
        'details',
        { open: event.name === 'exception' },
        h(
          'summary',
          {},
          h('span', { class: 'when' }, at(trace, span, event.time)),
          ' ',
          event.name || '(no name)',
        ),
        table(event.attributes),
      ),
    ),
  );
}

const at = (trace, span, time) => `+${human(between(span.start, time))}`;

function logs(trace, span, lines) {
  if (lines.length === 0) return null;
  return h(
    'section',
    {},
    h('h3', {}, 'Log'),
    h(
      'ol',
      { class: 'log' },
      lines.map(line => logLine(line, at(trace, span, line.time))),
    ),
  );
}

export function logLine(line, when, ...who) {
  const level = LEVELS.find(([least]) => line.severity >= least)?.[1] ?? 'trace';
  return h(
    'li',
    { class: level },
    h('span', { class: 'when', title: clock(line.time) }, when),
    ' ',
    who,
    ' ',
    h('b', {}, level.toUpperCase()),
    ' ',
    line.body,
    line.attributes.length > 0 ? h('details', {}, h('summary', {}, 'more'), table(line.attributes)) : null,
  );
}

function fold(title, attributes) {
  if (attributes.length === 0) return null;
  return h('details', { class: 'section' }, h('summary', {}, title), table(attributes));
}
