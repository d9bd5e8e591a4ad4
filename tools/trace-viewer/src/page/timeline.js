// What a row of the timeline looks like, and the axis above all of them.

import { h, replace } from './dom.js';
import { between, human } from './format.js';

/** The height of a row, as the style sheet has it too. */
export const ROW = 28;

const DESTINATION = 'messaging.destination.name';
const DEEPEST = 14;
/** More marks than these on one bar could not be told apart. */
const MARKS = 50;
const PIECES = 200;

const percent = x => `${100 * x}%`;

export function drawAxis(scale, bands, axis) {
  const cut = piece => ({ class: 'cut', style: { left: percent(piece.x), width: percent(piece.width) } });
  const left = x => ({ class: 'tick', style: { left: percent(x) } });
  replace(
    scale,
    axis.ticks.map(tick => h('span', left(tick.x), tick.label)),
    axis.breaks.map(piece =>
      h(
        'span',
        { ...cut(piece), title: `${human(piece.to - piece.from)} in which nothing happened` },
        h('small', {}, 'left out'),
        human(piece.to - piece.from),
      ),
    ),
  );
  replace(
    bands,
    h(
      'div',
      { class: 'area' },
      axis.ticks.map(tick => h('i', left(tick.x))),
      axis.breaks.map(piece => h('i', cut(piece))),
    ),
  );
}

/** context: the trace, the lanes, the axis; what happens on a click is the caller's. */
export function rowElement(context, row, at, selected) {
  const { span, type } = row;
  const unfolds = type === 'group' || (type === 'span' && span.children.length > 0);
  const open = type === 'group' ? row.open : !row.folded;
  const classes = ['row', type, selected && 'selected', type === 'span' && span.failed && 'failed'];
  return h(
    'div',
    {
      class: classes.filter(Boolean).join(' '),
      role: 'row',
      id: `row-${at}`,
      style: { top: `${at * ROW}px` },
      'aria-rowindex': at + 1,
      'aria-level': row.depth + 1,
      'aria-selected': String(selected),
      'aria-expanded': unfolds ? String(open) : null,
    },
    h(
      'div',
      { class: 'names', role: 'gridcell' },
      h('span', {
        class: 'guides',
        style: { width: `${Math.min(row.depth, DEEPEST) * 14}px` },
        'aria-hidden': 'true',
      }),
      h('span', { class: 'twisty', 'aria-hidden': 'true' }, unfolds ? (open ? '▾' : '▸') : ''),
      h('span', { class: 'label' }, name(context, row)),
      type === 'span' ? badges(span) : null,
    ),
    h('div', { class: 'area', role: 'gridcell' }, type === 'missing' ? null : bars(context, row)),
  );
}

/** From the selected span to those that it is linked to; its parent is plain to see already. */
export function linkLines(context, rows, active) {
  const span = rows[active]?.span;
  const links =
    span?.links.filter(link => link.trace === context.trace.id && link.span !== span.parent) ?? [];
  const ids = new Set(links.map(link => link.span));
  const ends = rows.flatMap((row, at) => (row.type === 'span' && ids.has(row.span.id) ? [at] : []));
  if (ends.length === 0) return null;
  const left = `calc(${percent(context.axis.at(span.from))} - 10px)`;
  const line = at =>
    h('div', {
      class: 'link',
      style: {
        left,
        top: `${(Math.min(at, active) + 0.5) * ROW}px`,
        height: `${Math.abs(at - active) * ROW}px`,
      },
    });
  return h('div', { class: 'links', 'aria-hidden': 'true' }, h('div', { class: 'area' }, ends.map(line)));
}

function name({ lane }, row) {
  const { span, type } = row;
  switch (type) {
    case 'missing':
      return h('span', { class: 'quiet' }, `A span that has not come (${row.id})`);
    case 'queue':
      return h(
        'span',
        { class: 'what' },
        'in the queue ',
        h('span', { class: 'quiet' }, span.attribute[DESTINATION] ?? ''),
      );
    case 'outbox':
      return h('span', { class: 'what' }, 'in the outbox');
    case 'open':
      return h('span', { class: 'what' }, `waiting in ${span.attribute[DESTINATION] ?? 'the queue'}`);
    case 'shelf':
      return h('span', { class: 'what' }, 'in the dead letters');
    case 'pause':
      return h('span', { class: 'quiet' }, 'pause before the next attempt');
    default:
      return [
        h('i', { class: `lane ${lane[span.service]}`, 'aria-hidden': 'true' }),
        h('span', { class: 'service' }, span.service),
        ' ',
        type === 'group' ? h('b', { class: 'count' }, `${row.spans.length} ×`) : null,
        h('span', { class: 'operation', title: span.name }, span.name || '(no name)'),
      ];
  }
}

function badges(span) {
  const badge = (kind, text) => h('span', { class: `badge ${kind}` }, text);
  return [
    span.attempt && badge('attempt', `attempt ${span.attempt}`),
    span.dead_letter && badge('dead', 'dead letter'),
    span.replay && badge('replay', 'replay'),
    span.links.some(link => link.span !== span.parent) && badge('linked', 'linked'),
    span.failed && badge('error', 'error'),
  ];
}

function bars(context, row) {
  const { axis, lane } = context;
  const { span, type } = row;
  const from = axis.at(Math.max(0, row.from ?? span.from));
  const to = axis.at(row.to ?? span.to);
  const color = type === 'span' || type === 'group' ? lane[span.service] : '';
  const bar = (kind, a, b) =>
    h('div', { class: kind, style: { left: percent(a), width: `max(2px, ${percent(b - a)})` } });
  const between = (kind, [a, b]) => bar(kind, axis.at(a), axis.at(b));
  return [
    bar(`bar ${type} ${color}`, from, to),
    type === 'group'
      ? row.spans.slice(0, PIECES).map(one => between(`bar one ${color}`, [one.from, one.to]))
      : null,
    type === 'span' ? span.critical.map(part => between('path', part)) : null,
    type === 'span' ? marks(context, span) : null,
    label(row, from, to),
  ];
}

/** Events and log lines, at their time. */
function marks({ trace, axis }, span) {
  const events = span.events.map(event => [
    event.time,
    event.name === 'exception' ? 'mark bad' : 'mark',
    event.name,
  ]);
  const mine = trace.logs.filter(line => line.span === span.id);
  const logs = mine.map(line => [line.time, line.severity >= 17 ? 'mark log bad' : 'mark log', line.body]);
  return [...events, ...logs]
    .slice(0, MARKS)
    .map(([time, kind, title]) =>
      h('i', { class: kind, title, style: { left: percent(axis.at(between(trace.start, time))) } }),
    );
}

/** Beside the bar, on whichever side there is room, or in it. */
function label(row, from, to) {
  if (to - from > 0.35)
    return h(
      'span',
      { class: `time inside ${row.type}`, style: { left: `calc(${percent(from)} + 8px)` } },
      time(row),
    );
  const style =
    to > 0.84 ? { right: `calc(${percent(1 - from)} + 6px)` } : { left: `calc(${percent(to)} + 6px)` };
  return h('span', { class: 'time', style }, time(row));
}

function time({ span, type, spans, from, to, time }) {
  switch (type) {
    case 'queue':
      return `${human(time)} in the queue`;
    case 'outbox':
      return `${human(time)} in the outbox`;
    case 'open':
      return `${human(to - from)} and waiting`;
    case 'shelf':
      return `${human(to - from)} in the dead letters`;
    case 'pause':
      return human(to - from);
    case 'group':
      return `${human(time)} in ${spans.length}`;
    default:
      return span.took < 0 ? 'ends before it starts' : human(span.took);
  }
}
