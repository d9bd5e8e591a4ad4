// Above the timeline: the verdict, what is doubtful, and where the time went. Below it: the log.

import { ENTITY } from './app.js';
import { copyButton, h, replace } from './dom.js';
import { logLine } from './details.js';
import { between, clock, human, many } from './format.js';
import { SIGNS } from './list.js';

/** A share of the time is labelled when there is room for so many pixels a letter; the others are named below. */
const LETTER = 8;

export function drawHead(element, trace, lane, showFailure) {
  const { verdict, entity, entities, id, spans } = trace;
  const errors = spans.filter(span => span.failed).length;
  element.className = `verdict ${verdict.tone}`;
  replace(
    element,
    h('div', { class: 'sign', 'aria-hidden': 'true' }, SIGNS[verdict.tone]),
    h(
      'div',
      {},
      h('h1', {}, verdict.headline, verdict.detail ? h('span', {}, `: ${verdict.detail}`) : null),
      h(
        'p',
        { class: 'meta' },
        entity ? h('span', { class: 'entity' }, `${ENTITY} `, h('code', {}, entity), copyButton(entity, `${ENTITY} id`)) : null,
        h('span', {}, 'Trace ', h('code', {}, id), copyButton(id, 'trace id')),
        h('span', {}, clock(trace.start)),
        h('span', {}, `${many(spans.length, 'span')}, ${many(Object.keys(lane).length, 'service')}`),
        h('a', { href: `/api/traces/${id}`, target: '_blank', rel: 'noopener' }, 'JSON'),
        trace.linked_from.map(linkedFrom),
        errors > 0
          ? h('button', { type: 'button', class: 'errors', onclick: showFailure }, `${errors} failed: show`)
          : null,
      ),
      entities.length > 0 ? h('ul', { class: 'entities' }, entities.map(oneOf)) : null,
      trace.refused > 0
        ? h(
            'p',
            { class: 'doubt full' },
            `This trace is full: ${trace.refused} more spans and log lines came and are not shown. A single trace may use half of the viewer's memory.`,
          )
        : null,
      doubts(trace).map(doubt => h('p', { class: 'doubt' }, doubt)),
    ),
  );
}

/** A trace of several orders: each with what became of it. */
const oneOf = ({ id, verdict }) =>
  h(
    'li',
    { class: verdict.tone },
    h('a', { href: `/${ENTITY}/${encodeURIComponent(id)}` }, `${ENTITY} ${id}`),
    ' ',
    h('span', { class: 'tone', 'aria-hidden': 'true' }, SIGNS[verdict.tone]),
    ` ${verdict.headline}`,
    verdict.detail ? h('span', { class: 'quiet' }, `: ${verdict.detail}`) : null,
  );

const linkedFrom = link =>
  h(
    'a',
    { href: `/trace/${link.trace}?span=${link.span}` },
    `linked from ${link.service} ${link.name} of another trace`,
  );

/** What can't be right, or is not there: said, and nothing set right in silence. */
function doubts(trace) {
  const behind = {};
  for (const span of trace.spans) {
    const parent = span.parentSpan;
    const by = parent && parent.service !== span.service ? parent.from - span.from : 0;
    if (by > (behind[span.service]?.by ?? 0)) behind[span.service] = { by, parent: parent.service };
  }
  const clocks = Object.entries(behind).map(
    ([service, { by, parent }]) =>
      `Clocks differ: ${service} is at least ${human(by)} behind ${parent}. Nothing was moved.`,
  );
  const missing = new Set(trace.spans.map(span => span.missing).filter(Boolean)).size;
  const lost = missing === 1 ? 'A span has not come' : `${missing} spans have not come`;
  return missing === 0
    ? clocks
    : [...clocks, `${lost}: killed before it was exported, still open, or dropped.`];
}

/** A long wait is not drawn to scale, or nothing else could be seen; its label tells the truth. */
export function drawShares(element, { shares }, lane) {
  const time = share => Number(share.time);
  const work = shares.filter(share => share.kind === 'service').reduce((sum, share) => sum + time(share), 0);
  const drawn = share => (share.kind === 'service' ? time(share) : Math.min(time(share), work * 0.6));
  const width = shares.reduce((sum, share) => sum + drawn(share), 0);
  const part = share => drawn(share) / width;
  const color = share => (share.kind === 'service' ? lane[share.name] : share.kind);
  const name = share => (share.kind === 'queue' ? 'in the queue' : share.name);
  const text = share => `${name(share)} ${human(time(share))}`;
  const labelled = share => part(share) * element.clientWidth > (text(share).length + 4) * LETTER;
  const named = new Set(shares.map(share => share.name));
  const silent = Object.keys(lane).filter(service => !named.has(service));
  replace(
    element,
    h(
      'div',
      { class: 'whole' },
      shares.map(share =>
        h(
          'div',
          {
            class: `share ${color(share)}`,
            style: { flexGrow: Math.max(part(share), 0.004) },
            title: text(share),
          },
          labelled(share) ? h('span', {}, text(share)) : null,
        ),
      ),
    ),
    h(
      'ul',
      {},
      shares
        .filter(share => !labelled(share))
        .map(share => h('li', {}, h('i', { class: color(share) }), text(share))),
      silent.map(service => h('li', {}, h('i', { class: lane[service] }), service)),
    ),
  );
}

/** All that was logged, in the order of time; what belongs to no span too. */
export function drawLog(element, trace, lane) {
  const lines = trace.logs.toSorted((a, b) => between(b.time, a.time));
  if (lines.length === 0 || element.dataset.lines === String(lines.length)) return;
  element.dataset.lines = lines.length;
  const spans = new Map(trace.spans.map(span => [span.id, span]));
  const open = element.querySelector('details')?.open;
  replace(
    element,
    h(
      'details',
      { open },
      h('summary', {}, `Log, ${many(lines.length, 'line')}`),
      h(
        'ol',
        {},
        lines.map(line => {
          const service = h('span', { class: `chip ${lane[line.service] ?? ''}` }, line.service);
          const item = logLine(line, human(between(trace.start, line.time)), service);
          const span = spans.get(line.span);
          if (span)
            item.append(
              ' ',
              h('a', { href: `/trace/${trace.id}?span=${span.id}` }, span.name || '(no name)'),
            );
          return item;
        }),
      ),
    ),
  );
}
