// Small helpers. All text reaches the page through textContent: nothing of a run is ever parsed as HTML.

export function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'class') node.className = value;
    else if (name === 'text') node.textContent = value;
    else if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name === 'style') for (const [key, v] of Object.entries(value)) node.style.setProperty(key, v);
    else node.setAttribute(name, value === true ? '' : value);
  }
  for (const child of children.flat(9)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return node;
}

// A block of the page: base64 of gzip of JSON, or of bytes.
export async function unpack(id) { return (await unzip(id)).json(); }

export async function unpackBytes(id) { return (await unzip(id)).arrayBuffer(); }

async function unzip(id) {
  const text = document.getElementById(id).textContent.trim();
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Response(stream);
}

const format = new Intl.NumberFormat('en-US');
export const count = (n) => format.format(n);
export const plural = (n, one, many) => `${count(n)} ${n === 1 ? one : many || one + 's'}`;

export function seconds(ms) {
  if (ms === null || ms === undefined) return '';
  if (ms > 0 && ms < 1) return `${Math.max(1, Math.round(ms * 1000))} µs`;
  if (ms > 0 && ms < 10) return `${Number(ms.toFixed(1))} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60000) return `${(ms / 1000).toFixed(ms < 10000 ? 2 : 1)} s`;
  return `${Math.floor(ms / 60000)} min ${Math.round((ms % 60000) / 1000)} s`;
}

export function percent(part, whole) {
  if (!whole) return '–';
  const value = (100 * part) / whole;
  if (value > 0 && value < 1) return '<1 %';
  if (value > 99 && value < 100) return '>99 %';
  return `${Math.round(value)} %`;
}

// Names for narrow places: a long beginning that all of them share (run ids of one day) is left out.
export function telling(names) {
  let shared = names[0] || '';
  for (const name of names) while (!name.startsWith(shared)) shared = shared.slice(0, -1);
  const cut = Math.max(...['-', '_', '.', '/', ' '].map((sign) => shared.lastIndexOf(sign))) + 1;
  return cut < 6 ? names : names.map((name) => `…${name.slice(cut)}`);
}

// Clipboard with a fallback for file:// pages, where the asynchronous API may be refused.
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = el('textarea', { class: 'offscreen', readonly: true, 'aria-hidden': 'true', tabindex: '-1' });
    area.value = text;
    document.body.append(area);
    const before = document.activeElement;
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    if (before && before.focus) before.focus();
    return done;
  }
}

export function announce(text) {
  const live = document.getElementById('live');
  live.textContent = '';
  live.textContent = text;
}

export function copyButton(label, get, title) {
  const button = el('button', { class: 'button', type: 'button', title: title || null }, label);
  button.addEventListener('click', async () => {
    const done = await copyText(get());
    const told = done ? 'Copied' : 'Copying was refused: select the text instead';
    announce(told);
    button.textContent = done ? 'Copied ✓' : told;
    setTimeout(() => { button.textContent = label; }, 1600);
  });
  return button;
}

export function debounce(wait, call) {
  let timer = 0;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...args), wait);
  };
}
