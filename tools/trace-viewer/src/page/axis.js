// The time axis. Stretches in which nothing happened are cut out when they would flatten the rest, at a
// visible break that says how much is left out.

import { human } from './format.js';

/** Wide enough for what a break says. */
const breakWidth = () => (innerWidth < 900 ? 0.12 : 0.07);

/**
 * intervals: [from, to] in nanoseconds from the trace's start, while something happens.
 * Gives at(nanos) → 0…1, the ticks and the breaks.
 */
export function axis(intervals, end, trueScale) {
  const busy = merge(intervals);
  const gaps = trueScale ? [] : longGaps(busy, end);
  const cut = gaps.reduce((sum, gap) => sum + gap.to - gap.from, 0);
  const breaks = Math.min(breakWidth(), 0.4 / Math.max(1, gaps.length));
  const scale = (1 - breaks * gaps.length) / Math.max(1, end - cut);
  const pieces = [];
  let time = 0;
  let x = 0;
  const push = (to, width, isBreak) => {
    pieces.push({ from: time, to, x, width, isBreak });
    time = to;
    x += width;
  };
  for (const gap of gaps) {
    push(gap.from, (gap.from - time) * scale, false);
    push(gap.to, breaks, true);
  }
  push(end, (end - time) * scale, false);
  const at = nanos => {
    const piece = pieces.find(piece => nanos <= piece.to) ?? pieces.at(-1);
    const part = piece.to > piece.from ? (nanos - piece.from) / (piece.to - piece.from) : 0;
    return piece.x + Math.min(1, Math.max(0, part)) * piece.width;
  };
  return { at, ticks: ticks(pieces, scale), breaks: pieces.filter(piece => piece.isBreak) };
}

function merge(intervals) {
  const merged = [];
  for (const [from, to] of intervals.toSorted((a, b) => a[0] - b[0])) {
    const last = merged.at(-1);
    if (last && from <= last.to) last.to = Math.max(last.to, to);
    else merged.push({ from, to });
  }
  return merged;
}

/** Those that are longer than all the time in which something happens. */
function longGaps(busy, end) {
  const active = busy.reduce((sum, piece) => sum + piece.to - piece.from, 0);
  const gaps = busy.map((piece, at) => ({ from: piece.to, to: busy[at + 1]?.from ?? end }));
  return gaps.filter(gap => gap.to - gap.from > Math.max(active, 1e6));
}

/** Round times, about seven of them; behind a break they count from where it ends. */
function ticks(pieces, scale) {
  const step = round(1 / scale / 7);
  const found = [];
  for (const [at, piece] of pieces.entries()) {
    if (piece.isBreak) continue;
    const afterBreak = at > 0;
    const first = afterBreak ? piece.from : 0;
    for (let time = first; time <= piece.to; time += step) {
      const x = piece.x + (time - piece.from) * scale;
      const label = afterBreak
        ? time === first
          ? human(time)
          : `+${human(time - first)}`
        : time === 0
          ? '0'
          : human(time);
      const crowded = found.length > 0 && x - found.at(-1).x < 0.06;
      const cutOff = piece.x + piece.width - x < label.length * 0.01;
      if (!crowded && !cutOff) found.push({ x, label });
    }
  }
  return found;
}

function round(nanos) {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, nanos)));
  return power * [1, 2, 5, 10].find(step => step * power >= nanos);
}
