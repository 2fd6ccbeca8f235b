// The drawer of one case: what happened, why, with which evidence, and how to see it again.

import { el, copyButton, count, plural, seconds, unpack } from './util.js';
import { badge, pairs, section } from './parts.js';

let evidence = null;

// The evidence block is unpacked when the first case is opened: most readers never need all of it.
export async function loadEvidence() {
  if (!evidence) evidence = await unpack('evidence');
  return evidence;
}

const plainText = (value) => (value === null || value === undefined ? '' : typeof value === 'object' ? JSON.stringify(value) : String(value));

export class Drawer {
  constructor({ words, table, close, step, link }) {
    this.words = words;
    this.table = table;
    this.link = link;
    this.shown = -1;
    this.body = el('div', { class: 'drawer-body' });
    this.title = el('h2', { id: 'drawer-title', class: 'drawer-title' });
    this.node = el('div', { class: 'drawer', id: 'drawer', role: 'dialog', 'aria-labelledby': 'drawer-title', tabindex: '-1', hidden: true },
      el('div', { class: 'drawer-head' }, this.title,
        el('div', { class: 'drawer-buttons' },
          el('button', { type: 'button', class: 'icon', 'aria-label': 'Previous case', title: 'Previous (p)', onclick: () => step(-1) }, '↑'),
          el('button', { type: 'button', class: 'icon', 'aria-label': 'Next case', title: 'Next (n)', onclick: () => step(1) }, '↓'),
          el('button', { type: 'button', class: 'icon', 'aria-label': 'Close', title: 'Close (Esc)', onclick: close }, '×'))),
      this.body);
  }

  hide() {
    this.node.hidden = true;
    this.shown = -1;
    document.body.classList.remove('with-drawer');
  }

  open() {
    this.node.hidden = false;
    this.body.scrollTop = 0;
    document.body.classList.add('with-drawer');
  }

  // The summary comes from the index at once; the evidence follows when it is unpacked.
  async show(row, summary) {
    this.shown = row;
    this.title.textContent = this.table.idOf(row);
    this.open();
    this.body.replaceChildren(this.top(summary), el('p', { class: 'quiet' }, 'Reading the evidence …'));
    const found = await loadEvidence();
    if (this.shown !== row) return;
    const detail = found.details[row];
    this.body.replaceChildren(this.top(summary));
    if (!detail) {
      this.body.append(el('p', { class: 'quiet' }, `The evidence of ${count(found.cut)} cases did not fit into this page. It is in the run's folder.`));
      return;
    }
    this.actions(detail, found);
    this.fill(detail, found, detail.attempts ? this.deciding(detail) : -1);
  }

  deciding(detail) {
    const at = detail.deciding < 0 ? detail.attempts.length + detail.deciding : detail.deciding;
    return Math.max(0, Math.min(detail.attempts.length - 1, at));
  }

  top(summary) {
    const info = this.words.of(summary.outcome);
    return el('div', { class: 'drawer-top' },
      el('div', { class: 'summary-line' }, badge(this.words, summary.outcome, true),
        summary.cause !== 'none' ? el('code', { class: 'cause' }, summary.cause) : null,
        summary.signal ? el('code', {}, summary.signal) : null,
        el('span', { class: `verdict ${summary.bad ? 'bad' : ''}` }, summary.verdict),
        summary.stability !== 'single' ? el('span', { class: 'verdict' }, summary.stability) : null,
        summary.ms ? el('span', { class: 'quiet' }, seconds(summary.ms)) : null),
      el('p', { class: 'message' }, summary.message || info.meaning));
  }

  actions(detail, found) {
    const script = found.texts[detail.repro] || '';
    const plain = () => `cat > repro.py <<'RMCP_EOF'\n${script}RMCP_EOF\n${detail.shell}\n`;
    this.command = () => detail.command;
    this.body.append(el('div', { class: 'actions' },
      copyButton('Copy rmcp command', () => detail.command, 'Run this case again, isolated (c)'),
      copyButton('Copy plain script', plain, 'A script that needs only torch, with the command that starts it'),
      copyButton('Copy link', () => this.link(), 'A link that opens this case')),
      el('details', { class: 'repro' }, el('summary', {}, 'Reproducer'),
        el('pre', { class: 'text', tabindex: '0', 'aria-label': 'rmcp command' }, detail.command),
        el('pre', { class: 'text', tabindex: '0', 'aria-label': 'plain command' }, detail.shell),
        el('pre', { class: 'text', tabindex: '0', 'aria-label': 'script' }, script)));
  }

  fill(detail, found, at) {
    const box = el('div', {});
    this.body.append(box);
    const attempts = detail.attempts || [];
    const draw = (chosen) => {
      box.replaceChildren();
      if (attempts.length > 1) box.append(this.attemptTabs(attempts, chosen, draw));
      const attempt = attempts[chosen];
      if (attempt && attempts.length > 1) box.append(this.said(attempt));
      if (attempt) this.attempt(box, attempt, found);
      this.setting(box, detail);
      if (attempt) this.measured(box, attempt, found);
      this.identity(box, detail, attempt);
    };
    draw(at);
  }

  attemptTabs(attempts, chosen, draw) {
    return el('div', { class: 'attempts', role: 'group', 'aria-label': 'Attempts' }, attempts.map((attempt, index) => (
      el('button', { type: 'button', class: 'attempt', 'aria-pressed': index === chosen ? 'true' : 'false', onclick: () => draw(index) },
        `Attempt ${attempt.n} `, badge(this.words, attempt.outcome)))));
  }

  // With several attempts the head speaks of the deciding one; each says for itself what it did.
  said(attempt) {
    return el('p', { class: 'message' }, attempt.cause && attempt.cause !== 'none' ? [el('code', { class: 'cause' }, attempt.cause), ' '] : null,
      attempt.signal ? [el('code', {}, attempt.signal), ' '] : null, attempt.message || this.words.of(attempt.outcome).meaning);
  }

  attempt(box, attempt, found) {
    if (attempt.notes) box.append(el('ul', { class: 'notes' }, attempt.notes.map((note) => el('li', {}, note))));
    if (attempt.phases || attempt.duration) box.append(section('Time line', timeline(attempt)));
    const texts = attempt.texts || {};
    const titles = { stderr: 'stderr', kernel: 'Kernel log', stacks: 'Stacks', stdout: 'stdout', tasks: 'Tasks when it was stuck' };
    for (const [name, title] of Object.entries(titles)) {
      if (!texts[name]) continue;
      const open = name === 'stderr' || name === 'kernel' || (name === 'stacks' && !texts.stderr);
      box.append(textBlock(title, found.texts[texts[name][0]], texts[name][1], open));
    }
    const checks = attempt.checks || [];
    for (const check of checks) if (!check.tight) box.append(checkBlock(check));
    const right = checks.filter((check) => check.tight);
    if (right.length) box.append(section('Numbers that are right', checkTable(right)));
    if (attempt.fields) box.append(section('Read from the evidence', pairs(Object.entries(attempt.fields).map(([k, v]) => [k, plainText(v)]))));
  }

  setting(box, detail) {
    const env = Object.entries(detail.env || {});
    box.append(section('Environment, as it differs from stock', env.length
      ? pairs(env.map(([name, value]) => [el('code', {}, name), value === null ? el('em', {}, 'unset') : el('code', {}, value)]))
      : el('p', { class: 'quiet' }, 'Nothing: the stock environment.')));
    const args = Object.entries(detail.args || {});
    if (args.length) box.append(section('Arguments', pairs(args.map(([name, value]) => [name, el('code', {}, plainText(value))]))));
  }

  measured(box, attempt, found) {
    const items = Object.entries(attempt.metrics || {}).map(([name, value]) => [name, measure(name, value)]);
    if (attempt.rss_kb) items.push(['peak memory of the process', `${count(Math.round(attempt.rss_kb / 1024))} MiB`]);
    if (items.length) box.append(section('Measured', pairs(items)));
    if (attempt.observed !== undefined) {
      const seen = Object.entries(found.observed[attempt.observed]);
      box.append(section('What really ran', pairs(seen.map(([name, value]) => [name, el('code', {}, plainText(value))]))));
    }
  }

  identity(box, detail, attempt) {
    const items = [['key', detail.key], ['row', detail.row]];
    if (attempt && attempt.signature) items.unshift(['signature', attempt.signature]);
    if (attempt && attempt.titles) items.push(['also known as', attempt.titles.join('; ')]);
    if (attempt && attempt.source) items.push(['cause read from', attempt.source]);
    if (attempt && attempt.device && attempt.device !== 'none') items.push(['device event', attempt.device]);
    if (attempt && attempt.level) items.push(['isolation', attempt.level]);
    if (attempt && attempt.before) items.push(['ran before in the same process', attempt.before.join(', ')]);
    if (attempt && attempt.wall) items.push(['started', new Date(attempt.wall * 1000).toISOString()]);
    if (detail.reason) items.push(['reason', detail.reason]);
    items.push(['runtime', plainText(detail.runtime)], ['seed', plainText(detail.seed)]);
    box.append(el('details', { class: 'section identity' }, el('summary', {}, 'Identity'), pairs(items.map(([k, v]) => [k, el('code', {}, v)]))));
  }
}

function measure(name, value) {
  if (Array.isArray(value) && value.length > 1 && name.endsWith('_s') && value.every(Number.isFinite)) return repeated(value);
  if (typeof value === 'number' && name.endsWith('_s')) return seconds(value * 1000);
  if (typeof value === 'number' && name.endsWith('_bytes')) return `${count(Math.round(value / 1048576))} MiB`;
  return plainText(value);
}

// Repeated times in words, and as bars in the order in which they were measured: a warm-up shows at once.
function repeated(times) {
  const sorted = [...times].sort((a, b) => a - b);
  const [low, middle, high] = [sorted[0], sorted[sorted.length >> 1], sorted[sorted.length - 1]];
  const said = `${count(times.length)} times: median ${seconds(middle * 1000)}, ${seconds(low * 1000)} to ${seconds(high * 1000)}`;
  return el('span', {}, said, el('span', { class: 'times', 'aria-hidden': 'true' }, times.slice(0, 64).map((time) => (
    el('span', { style: { height: `${Math.max(6, (100 * time) / (high || 1))}%` } })))));
}

// Phases as a bar to scale, with a list for those who cannot see it.
function timeline(attempt) {
  const phases = attempt.phases || [];
  const end = Math.max(attempt.duration || 0, ...phases.map(([, at]) => at), 1e-6);
  const parts = [];
  if (phases.length && phases[0][1] > 0) parts.push({ name: 'start', at: 0, until: phases[0][1] });
  phases.forEach(([name, at], index) => {
    const until = index + 1 < phases.length ? phases[index + 1][1] : end;
    const before = parts[parts.length - 1];
    if (before && before.name === name) before.until = until; // a heartbeat, not a new phase
    else parts.push({ name, at, until });
  });
  if (!parts.length) parts.push({ name: attempt.phase || 'whole life', at: 0, until: end });
  const last = parts.length - 1;
  const died = !['pass', 'warn', 'mismatch', 'error'].includes(attempt.outcome);
  return el('div', { class: 'timeline' },
    el('div', { class: 'track', 'aria-hidden': 'true' }, parts.map((part, index) => (
      el('span', { class: `phase p${index % 6}${died && index === last ? ' end' : ''}`, style: { 'flex-grow': String(1000 * Math.max((part.until - part.at) / end, 0.004)) }, title: part.name })))),
    el('ol', { class: 'phase-list' }, parts.map((part, index) => el('li', { class: `p${index % 6}` },
      el('span', { class: 'dot', 'aria-hidden': 'true' }), el('span', { class: 'name' }, part.name), ' ',
      el('span', { class: 'quiet' }, seconds((part.until - part.at) * 1000)),
      died && index === last ? el('strong', {}, ` ← ${attempt.outcome} here`) : null))));
}

// A text with line numbers; guilty lines carry a sign, weight and colour, and the first is scrolled to.
function textBlock(title, text, guilty, open) {
  const marked = new Set(guilty);
  const lines = text.split('\n');
  if (lines.length > 1 && lines[lines.length - 1] === '') lines.pop();
  const pre = el('pre', { class: 'text lines', tabindex: '0', 'aria-label': title }, lines.map((line, index) => (
    el('span', { class: marked.has(index) ? 'line guilty' : 'line', 'data-n': String(index + 1) },
      marked.has(index) ? el('span', { class: 'sign' }, '▶ ') : null, `${line}\n`))));
  const details = el('details', { class: 'section evidence', open },
    el('summary', {}, title, el('span', { class: 'quiet' }, ` ${plural(lines.length, 'line')}${marked.size ? `, ${count(marked.size)} marked` : ''}`)),
    el('div', { class: 'evidence-tools' }, copyButton('Copy text', () => text)), pre);
  const reveal = () => {
    const first = pre.querySelector('.guilty');
    if (first) pre.scrollTop = Math.max(0, first.offsetTop - pre.offsetTop - pre.clientHeight / 3);
  };
  details.addEventListener('toggle', reveal);
  requestAnimationFrame(reveal);
  return details;
}

function figure(value) {
  if (typeof value !== 'number') return plainText(value);
  return value === 0 || (Math.abs(value) >= 0.001 && Math.abs(value) < 1e5) ? String(Number(value.toPrecision(4))) : value.toExponential(2);
}

function checkTable(checks) {
  const head = ['result', 'largest error', 'allowed'];
  return el('table', { class: 'checks' }, el('thead', {}, el('tr', {}, head.map((name) => el('th', { scope: 'col' }, name)))),
    el('tbody', {}, checks.map((check) => el('tr', {}, el('th', { scope: 'row' }, plainText(check.name)), el('td', {}, figure(check.max_abs)), el('td', {}, figure(check.bound))))));
}

function checkBlock(check) {
  const state = check.tight ? 'within the tight tolerance' : check.loose ? 'within the loose tolerance only' : 'outside the tolerance';
  const shown = ['max_abs', 'bound', 'rms', 'fraction_off', 'fingerprint', 'detail'];
  const items = shown.filter((name) => check[name] !== null && check[name] !== undefined && check[name] !== '')
    .map((name) => [name, figure(check[name])]);
  return section(`Check: ${plainText(check.name)}`, el('p', { class: check.tight ? 'quiet' : 'off' }, state), el('div', { class: 'check' }, pairs(items),
    Array.isArray(check.picture) ? picture(check.picture) : null));
}

// The coarse error map, digits 0..9: shade and digit, so that it reads without colour.
function picture(rows) {
  const size = 12;
  const columns = Math.max(...rows.map((row) => row.length), 1);
  const canvas = el('canvas', { class: 'picture', role: 'img', width: String(columns * size), height: String(rows.length * size),
    'aria-label': `Error map of ${rows.length} by ${columns} cells; 0 is no error, 9 the largest` });
  const pen = canvas.getContext('2d');
  const style = getComputedStyle(document.documentElement);
  const ink = style.getPropertyValue('--heat').trim() || '#9b1322';
  rows.forEach((row, y) => [...String(row)].forEach((digit, x) => {
    const level = Number(digit) || 0;
    pen.globalAlpha = level / 9;
    pen.fillStyle = ink;
    pen.fillRect(x * size, y * size, size - 1, size - 1);
    pen.globalAlpha = 1;
    if (!level) {
      pen.fillStyle = style.getPropertyValue('--line').trim();
      pen.fillRect(x * size + 4, y * size + 4, 3, 3);
    }
  }));
  return el('figure', { class: 'figure' }, canvas, el('figcaption', { class: 'quiet' }, 'Where the numbers are wrong: darker is worse'));
}
