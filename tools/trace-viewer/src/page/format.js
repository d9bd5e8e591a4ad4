// Times and durations for people. Nanoseconds come as texts, become BigInt, and are made numbers only
// once they are small: JavaScript's numbers would round a time of day.

const SECOND = 1e9;

/** '412 µs', '4.1 ms', '41 ms', '1.24 s', '7 min 37 s'; the same as the server says it. */
export function human(nanos) {
  const n = Math.abs(nanos);
  const sign = nanos < 0 ? '−' : '';
  if (n < 1e3) return `${sign}${Math.round(n)} ns`;
  if (n < 999.5e3) return `${sign}${digits(n / 1e3, 1)} µs`;
  if (n < 999.5e6) return `${sign}${digits(n / 1e6, 1)} ms`;
  if (n < 60 * SECOND) return `${sign}${digits(n / SECOND, 2)} s`;
  const seconds = Math.round(n / SECOND);
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${sign}${minutes} min ${seconds % 60} s`;
  return `${sign}${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function digits(amount, most) {
  const places = Math.max(0, most - (amount < 9.95 ? 0 : amount < 99.5 ? 1 : 2));
  return String(Number(amount.toFixed(places)));
}

/** Nanoseconds between two times, as a number. */
export const between = (from, to) => Number(BigInt(to) - BigInt(from));

/** '23 Nov 2026, 03:56:26.544' */
export function clock(nanos) {
  const date = new Date(Number(BigInt(nanos) / 1000000n));
  const day = date.toLocaleDateString('en-GB', { day: 'numeric', month: 'short', year: 'numeric' });
  return `${day}, ${timeOfDay(nanos)}`;
}

/** '03:56:26.544' */
export function timeOfDay(nanos) {
  const date = new Date(Number(BigInt(nanos) / 1000000n));
  const two = number => String(number).padStart(2, '0');
  const millis = String(date.getMilliseconds()).padStart(3, '0');
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${millis}`;
}

/** The time with all nine digits, for those who must know. */
export function exactTime(nanos) {
  const time = BigInt(nanos);
  const date = new Date(Number(time / 1000000n)).toISOString().slice(0, 19);
  return `${date}.${String(time % 1000000000n).padStart(9, '0')}Z`;
}

/** '12 s ago', and the time of day when it is longer ago than an hour. */
export function ago(nanos, now) {
  const passed = between(nanos, now);
  if (passed < 1.5 * SECOND) return 'just now';
  if (passed < 60 * SECOND) return `${Math.round(passed / SECOND)} s ago`;
  if (passed < 3600 * SECOND) return `${Math.round(passed / 60 / SECOND)} min ago`;
  return clock(nanos).slice(0, -4);
}

/** '1 span', '2 spans' */
export const many = (count, what) => `${count} ${what}${count === 1 ? '' : 's'}`;

export function bytes(count) {
  if (count < 1024 * 1024) return `${Math.round(count / 1024)} KiB`;
  return `${Math.round(count / 1024 / 1024)} MiB`;
}

/** SQL with its clauses on lines of their own. */
export function sql(text) {
  const clauses =
    /\s+(FROM|WHERE|SET|VALUES|RETURNING|ORDER BY|GROUP BY|LIMIT|ON CONFLICT|(?:LEFT |INNER )?JOIN|FOR UPDATE|UNION)\b/gi;
  return text
    .trim()
    .replace(/\s+/g, ' ')
    .replace(clauses, '\n$1')
    .replace(/\s+(AND|OR)\s+/g, '\n  $1 ');
}
