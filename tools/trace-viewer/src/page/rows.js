// From spans to rows: what is folded, what is told once instead of a hundred times, and the rows that no
// span stands for (a queue, an outbox, a pause between attempts, a span that never came).

import { between } from './format.js';

const MANY = 5;

/** Adds to each span what the page needs: offsets from the trace's start as numbers, service, children. */
export function prepare(trace) {
  const path = [];
  for (const [at, span] of trace.spans.entries()) {
    span.at = at;
    span.from = between(trace.start, span.start);
    span.to = Math.max(span.from, between(trace.start, span.end));
    span.took = between(span.start, span.end);
    span.service = trace.resources[span.resource].service;
    span.attribute = Object.fromEntries(span.attributes.map(([key, , value]) => [key, value]));
    span.critical = span.critical.map(([from, to]) => [between(trace.start, from), between(trace.start, to)]);
    span.children = [];
    path.length = span.depth;
    path[span.depth] = span;
    span.parentSpan = span.parent ? path[span.depth - 1] : null;
    span.parentSpan?.children.push(span);
  }
  for (const span of trace.spans.toReversed()) {
    span.messages =
      ['producer', 'consumer'].includes(span.kind) || span.children.some(child => child.messages);
  }
  trace.length = Math.max(1, between(trace.start, trace.end));
  return trace;
}

/** What to fold so that only the way of the messages is left; without any, all but the top. */
export function overview(trace) {
  const plain = !trace.spans.some(span => span.messages);
  const hides = span => (plain ? span.depth > 0 : !span.children.some(child => child.messages));
  return trace.spans.filter(span => span.children.length > 0 && hides(span)).map(span => span.id);
}

/** The rows to show, given what is folded (ids) and which groups are opened. */
export function rows(trace, folded, opened, now) {
  const out = [];
  const tops = trace.spans.filter(span => !span.parentSpan);
  addAll(tops, out, { folded, opened, now });
  return out;
}

function addAll(tops, out, state) {
  const waiting = entries(tops, state).reverse();
  while (waiting.length > 0) {
    const entry = waiting.pop();
    if (entry.missing)
      out.push({ type: 'missing', depth: 0, id: entry.missing, key: `missing-${entry.missing}` });
    else if (entry.group) out.push(groupRow(entry.group));
    else {
      addSpan(entry.span, out, state);
      if (!state.folded.has(entry.span.id)) waiting.push(...entries(entry.span.children, state).reverse());
    }
  }
}

function addSpan(span, out, state) {
  const before = [];
  if (span.outbox) before.push(wait(span, 'outbox', Number(span.outbox)));
  if (span.queue && Number(span.queue) > 0) before.push(wait(span, 'queue', Number(span.queue)));
  if (span.replay && span.parentSpan.to < span.from) {
    before.push({
      type: 'shelf',
      span,
      depth: span.depth,
      from: span.parentSpan.to,
      to: span.from,
      key: `shelf-${span.at}`,
    });
  }
  const previous = previousAttempt(span);
  if (previous && span.from > previous.to) {
    before.push({
      type: 'pause',
      span,
      depth: span.depth,
      from: previous.to,
      to: span.from,
      key: `pause-${span.at}`,
    });
  }
  out.push(...before);
  out.push({
    type: 'span',
    span,
    depth: span.depth,
    folded: state.folded.has(span.id),
    key: `span-${span.at}`,
  });
  if (span.unprocessed && state.now) {
    out.push({
      type: 'open',
      span,
      depth: span.depth + 1,
      from: span.from,
      to: state.now,
      key: `open-${span.at}`,
    });
  }
}

function wait(span, type, time) {
  return {
    type,
    span,
    depth: span.depth,
    from: span.from - time,
    to: span.from,
    time,
    key: `${type}-${span.at}`,
  };
}

function previousAttempt(span) {
  if (!span.attempt) return null;
  const siblings = span.parentSpan?.children ?? [];
  return siblings.filter(other => other.kind === 'consumer' && other.from < span.from).at(-1);
}

/** Spans, with those that repeat each other as one, and a word before those whose parent never came. */
function entries(spans, state) {
  const groups = new Map();
  for (const span of spans) {
    const key = groupKey(span);
    if (!key) continue;
    if (groups.has(key)) groups.get(key).push(span);
    else groups.set(key, [span]);
  }
  const found = [];
  let missing = null;
  for (const span of spans) {
    if (span.missing && span.missing !== missing) found.push({ missing: span.missing });
    missing = span.missing;
    const group = groups.get(groupKey(span));
    if (!group || group.length < MANY) found.push({ span });
    else if (group[0] === span) {
      found.push({ group: { spans: group, open: state.opened.has(span.id) } });
      if (state.opened.has(span.id)) found.push({ span });
    } else if (state.opened.has(group[0].id)) found.push({ span });
  }
  return found;
}

function groupKey(span) {
  if (span.children.length > 0 || span.failed || span.kind === 'consumer') return null;
  return JSON.stringify([span.service, span.name, span.attribute['db.query.text'] ?? '']);
}

function groupRow({ spans, open }) {
  const [first] = spans;
  const time = spans.reduce((sum, span) => sum + span.took, 0);
  const to = spans.reduce((latest, span) => Math.max(latest, span.to), 0);
  return {
    type: 'group',
    span: first,
    spans,
    open,
    time,
    from: first.from,
    to,
    depth: first.depth,
    key: `group-${first.at}`,
  };
}
