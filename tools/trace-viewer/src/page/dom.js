// Elements, made by hand. Text becomes text nodes only: what a span says can't become markup.

/** h('a', {href, class, onclick}, 'text', child, [children], null) */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (key === 'style') Object.assign(element.style, value);
    else element.setAttribute(key, value === true ? '' : value);
  }
  add(element, children);
  return element;
}

export function replace(element, ...children) {
  element.textContent = '';
  add(element, children);
}

function add(element, children) {
  for (const child of children.flat(9)) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
}

/** A button that copies a text and says so. */
export function copyButton(text, what) {
  const button = h('button', {
    type: 'button',
    class: 'copy',
    'aria-label': `Copy ${what}`,
    title: `Copy ${what}`,
  });
  button.addEventListener('click', async event => {
    event.stopPropagation();
    await copy(text);
    button.classList.add('done');
    setTimeout(() => button.classList.remove('done'), 1200);
  });
  return button;
}

/** The clipboard is there on https and on localhost only; elsewhere the older way is left. */
async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = h('textarea', { class: 'hidden' }, text);
  document.body.append(field);
  field.select();
  document.execCommand('copy');
  field.remove();
}

/** A dotted name that may be broken after its dots. */
export const breakable = name => name.split(/(?<=[._])/).flatMap(part => [part, h('wbr')]);

const LANES = 8;
/** Chosen so that the services of the sample traces do not share a colour. */
const SEED = 131175;

/** The colours of services: each by its name, the same everywhere, unless two would share one. */
export function lanes(services) {
  const taken = new Set();
  const lane = {};
  for (const service of [...services].sort()) {
    let at = hash(service) % LANES;
    while (taken.has(at) && taken.size < LANES) at = (at + 1) % LANES;
    taken.add(at);
    lane[service] = `lane${at}`;
  }
  return lane;
}

function hash(text) {
  let sum = SEED;
  for (const char of text) sum = Math.imul(sum ^ char.codePointAt(0), 16777619) >>> 0;
  return sum >>> 24;
}
