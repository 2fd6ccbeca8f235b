// The page of a comparison: rows by sides, with change classes as tabs.

import { el, count, copyButton, percent, plural, seconds, telling } from './util.js';
import { badge, bar, pairs, section } from './parts.js';
import { View } from './view.js';
import { heatPanel, literal } from './panels.js';

const LOOKS = { // the colour class and sign of a change
  regression: ['died', '▼'], worse: ['failed', '↓'], lateral: ['silent', '↔'], fix: ['passed', '▲'], better: ['passed', '↑'], signature: ['open', '≁'],
  new: ['open', '+'], gone: ['idle', '−'], disabled: ['idle', '○'], enabled: ['open', '●'], 'probably-flaky': ['open', '~'], 'no-verdict': ['idle', '?'], perf: ['open', 't'], unchanged: ['plain', '='],
};

const LARGEST = 3; // groups of changes above the table

function changeBadge(name, title) {
  const [css, sign] = LOOKS[name] || ['idle', '?'];
  return el('span', { class: `badge ${css}`, title }, el('span', { class: 'letter', 'aria-hidden': 'true' }, sign), name);
}

export class CompareView extends View {
  constructor(index, table, words, state) {
    super(index, table, words, state);
    this.meaning = new Map(index.changes);
    this.names = index.changes.map(([name]) => name);
    // A row reads from left to right as it happened: the baseline first.
    this.across = [index.baseline, ...index.sides.keys()].filter((side, at, all) => all.indexOf(side) === at);
    this.change = { pool: index.change.pool, codes: table.typed(index.change.codes) };
    this.sideChanges = index.side_changes.map((place) => table.typed(place));
    this.sideSteps = index.side_steps ? index.side_steps.map((place) => table.typed(place)) : null;
    this.cells = index.cells.map((cell) => {
      const columns = {};
      for (const [name, column] of Object.entries(cell)) columns[name] = name === 'ms' ? table.numbers(column) : { pool: column.pool, codes: table.typed(column.codes) };
      return columns;
    });
    table.prefix = { pool: index.prefix.pool, codes: table.typed(index.prefix.codes) };
    const pool = this.names;
    table.several('change', this.sideChanges.map((codes) => ({ pool, codes })));
    table.several('is', this.sideChanges.map((codes) => ({ pool: pool.map((name) => [name]), codes })));
    for (const name of ['outcome', 'cause', 'signal', 'signature', 'message', 'stability']) table.several(name, this.cells.map((cell) => cell[name]));
    index.sides.forEach((side, i) => {
      const { ms } = this.cells[i];
      const time = { get nums() { return (this.made ||= Float64Array.from(ms, (value) => value / 1000)); } };
      for (const key of [String(i + 1), side.name]) {
        for (const name of ['outcome', 'cause', 'signature']) table.names.set(`${name}.${key}`, this.cells[i][name]);
        table.names.set(`change.${key}`, { pool, codes: this.sideChanges[i] });
        if (this.sideSteps) table.names.set(`step.${key}`, { pool, codes: this.sideSteps[i] });
        table.names.set(`seconds.${key}`, time); // made when it is asked for
      }
    });
    table.names.set('_rank', { order: { ranks: this.change.codes, count: this.names.length } });
    this.classes = Array.from(this.change.codes, (code) => { const css = LOOKS[pool[code]][0]; return css === 'plain' ? 'passed' : css; });
    // One bit per change class, so that a tab is one test per row.
    this.bits = new Int32Array(table.n);
    for (const codes of this.sideChanges) for (let row = 0; row < codes.length; row++) if (codes[row] >= 0) this.bits[row] |= 1 << codes[row];
  }

  noun() { return 'row'; }
  label() { return 'Rows by version'; }
  isBad(row) { return this.change.codes[row] <= 2; }
  flags() { return this.index.changes.map(([name, meaning]) => [name, meaning]); }

  examples() {
    const last = this.index.sides.length;
    const axis = this.table.axes.find((a) => a.values.length > 1);
    return ['is:regression or is:worse', 'is:lateral', `outcome.1 == pass and outcome.${last} == crash`, ...(axis ? [`is:fix and ${axis.name} == ${literal(axis.values[0])}`] : [])];
  }

  groupNames() { return [...this.table.axes.filter((axis) => axis.values.length > 1).map((axis) => axis.name), 'change']; }

  // Grouping wants one value a row: the most important change.
  groupSource(name) { return name === 'change' ? this.change : this.table.names.get(name); }

  gridColumns() {
    this.shownAxes = this.table.axes.filter((axis) => axis.values.length > 1).slice(0, 5);
    if (!this.shownAxes.length) this.shownAxes = this.table.axes.slice(0, 3);
    const short = telling(this.index.sides.map((side) => side.name));
    return [
      { title: 'Change', width: '9.4rem', sort: '_rank', className: 'c-outcome' },
      ...this.shownAxes.map((axis) => ({ title: axis.name, width: `minmax(3.5rem, ${Math.min(14, Math.max(axis.name.length + 2, ...axis.values.slice(0, 300).map((v) => v.length)) * 0.6 + 1)}rem)`, sort: axis.name, className: 'c-axis' })),
      ...this.across.map((i) => [this.index.sides[i], i]).map(([side, i]) => ({ title: `${short[i]}${side.baseline ? ' (base)' : ''}`, width: 'minmax(6.8rem, 8.5rem)', sort: `outcome.${i + 1}`, className: `c-side${side.baseline ? ' base' : ''}` })),
      { title: 'What happened', width: 'minmax(8rem, 1fr)', className: 'c-message' },
      { title: 'Row', width: '', className: 'c-name' },
    ];
  }

  fillRow(row, cells) {
    const name = this.names[this.change.codes[row]];
    if (cells[0].dataset.outcome !== name) {
      cells[0].dataset.outcome = name;
      cells[0].replaceChildren(changeBadge(name, this.meaning.get(name)));
    }
    let at = 1;
    for (const axis of this.shownAxes) {
      const value = axis.codes[row] < 0 ? '' : axis.values[axis.codes[row]];
      cells[at].textContent = value;
      cells[at++].title = value;
    }
    this.across.forEach((i) => {
      const cell = this.cells[i];
      const code = cell.outcome.codes[row];
      cells[at++].replaceChildren(code < 0 ? el('span', { class: 'quiet' }, '–') : badge(this.words, cell.outcome.pool[code]));
    });
    const side = this.telling(row);
    const cell = this.cells[side];
    const why = cell.cause.codes[row] < 0 ? 'none' : cell.cause.pool[cell.cause.codes[row]];
    const found = this.sideChanges.map((codes, i) => this.evidence(row, i)).find((text) => text) || '';
    const said = found || (cell.message.codes[row] < 0 ? '' : cell.message.pool[cell.message.codes[row]]);
    // The message of what does not happen any more must not read as if it did.
    const was = !found && side === this.index.baseline && (why !== 'none' || said) ? 'was: ' : '';
    cells[at].replaceChildren(was, ...(why !== 'none' ? [el('code', { class: 'cause' }, why), ' '] : []), said);
    cells[at++].title = was + said;
    cells[at].textContent = `${this.across.map((i) => this.outcomeOf(i, row) || '–').join(' → ')} · ${this.shownAxes.map((axis) => (axis.codes[row] < 0 ? '' : axis.values[axis.codes[row]])).join(' / ')}`;
  }

  outcomeOf(side, row) {
    const { codes, pool } = this.cells[side].outcome;
    return codes[row] < 0 ? '' : pool[codes[row]];
  }

  // What decided the row, where that is more than two outcomes: the exact test of its attempts, or its times.
  evidence(row, side) {
    const doubt = this.index.doubts[row];
    if (doubt && doubt[side]) return doubt[side];
    const time = this.index.times[row];
    if (!time || !time[side]) return '';
    const [ratio, low, high] = time[side];
    return `×${ratio.toFixed(2)} ${ratio > 1 ? 'slower' : 'faster'} (95 % interval ${low.toFixed(2)}–${high.toFixed(2)})`;
  }

  // The side whose message explains the row: where its change shows, or the baseline for a fix.
  telling(row) {
    const code = this.change.codes[row];
    const at = this.sideChanges.findIndex((codes) => codes[row] === code);
    const said = (i) => i >= 0 && this.cells[i].message.codes[row] >= 0 && this.cells[i].message.pool[this.cells[i].message.codes[row]];
    if (said(at)) return at;
    const any = this.cells.findIndex((cell, i) => said(i));
    return any >= 0 ? any : Math.max(0, at);
  }

  pick(found) {
    const tab = this.state.get('tab');
    const code = this.names.indexOf(tab);
    const unchanged = this.names.indexOf('unchanged');
    if (tab === 'all') return found;
    const out = new Uint8Array(found.length);
    const { codes } = this.change;
    if (tab === 'unchanged') {
      for (let row = 0; row < out.length; row++) out[row] = codes[row] === unchanged ? found[row] : 0;
    } else if (code >= 0) {
      for (let row = 0; row < out.length; row++) out[row] = (this.bits[row] >> code) & found[row];
    } else if (this.state.get('q').trim()) {
      return found; // the first tab shows everything that changed, unless a filter asks for something in particular
    } else {
      for (let row = 0; row < out.length; row++) out[row] = codes[row] === unchanged ? 0 : found[row];
    }
    return out;
  }

  update(names) {
    if (names.has('tab')) names = new Set([...names, 'o']);
    super.update(names);
  }

  // Rows per class and rows that changed at all; they do not depend on the filter.
  totals() {
    if (!this.counted) {
      const totals = new Array(this.names.length).fill(0);
      let changed = 0;
      const unchanged = this.names.indexOf('unchanged');
      for (let row = 0; row < this.bits.length; row++) {
        if (this.change.codes[row] !== unchanged) changed++;
        else totals[unchanged]++;
        for (let code = 0; code < unchanged; code++) if ((this.bits[row] >> code) & 1) totals[code]++;
      }
      this.counted = [totals, changed];
    }
    return this.counted;
  }

  tabs() {
    const [totals, changed] = this.totals();
    const classes = this.names.map((name, code) => ({ id: name, title: name, number: totals[code] })).filter((tab) => tab.number);
    return [
      { id: 'rows', title: 'Changed', number: changed }, ...classes,
      { id: 'all', title: 'All', number: this.table.n },
      ...(this.index.groups.length ? [{ id: 'groups', title: 'Groups', number: this.index.groups.length, draw: () => this.groupsPanel() }] : []),
      { id: 'overview', title: 'Overview', draw: () => heatPanel(this) },
      ...(this.sideSteps ? [{ id: 'steps', title: 'Neighbours', draw: () => this.stepsPanel() }] : []),
      { id: 'drift', title: 'Environment', number: this.index.drift.length, draw: () => this.driftPanel() },
    ];
  }

  drawChips() {
    if (this.lead.childElementCount) return;
    this.chipBox.hidden = true;
    this.lead.classList.add('wide');
    this.lead.append(this.sidesTable());
    const large = this.index.groups.filter((group) => group.count > 1);
    if (large.length) this.lead.append(el('div', { class: 'lead' }, el('h2', { class: 'unseen' }, 'What changed most'), large.slice(0, LARGEST).map((group) => this.groupCard(group))));
    if (this.index.warning) this.lead.append(el('p', { class: 'warning' }, el('strong', {}, 'Mind: '), this.index.warning, ' ',
      el('button', { type: 'button', class: 'link', onclick: () => this.state.set({ tab: 'drift' }) }, 'Show them')));
  }

  groupCard(group) {
    const [css, sign] = LOOKS[group.change];
    const shared = Object.entries(group.shared);
    return el('article', { class: `cluster ${css}` },
      el('h3', {}, el('span', { class: 'letter', 'aria-hidden': 'true' }, sign), el('span', {}, this.index.sides.length > 2 ? `${this.index.sides[group.side].name}: ${group.title}` : group.title)),
      // One of the two is enough above the table: what the rows share says more than what one of them printed.
      group.message && !shared.length ? el('p', { class: 'message' }, `${group.change === 'fix' ? 'was: ' : ''}${group.message}`) : null,
      shared.length ? el('p', { class: 'shared' }, 'All with ', shared.map(([axis, value]) => el('code', {}, `${axis} = ${value}`)),
        el('span', { class: 'quiet' }, group.outside ? ` ${plural(group.outside, 'other row', 'other rows')} with these did not` : ' and no other row has these')) : null,
      el('p', { class: 'foot' }, el('button', { type: 'button', class: 'link', onclick: () => this.showGroup(group) }, group.count === 1 ? 'Show the row' : `Show the ${count(group.count)} rows`)));
  }

  showGroup(group) {
    const [base, side] = [this.index.baseline + 1, group.side + 1];
    const failing = group.change === 'fix' ? base : side;
    const tests = [`change.${side} == ${group.change}`, `outcome.${base} == ${group.before}`, `outcome.${side} == ${group.after}`, `cause.${failing} == ${group.cause}`];
    this.state.set({ tab: 'all', q: tests.join(' and ') });
  }

  groupsPanel() {
    return el('div', { class: 'clusters' }, this.index.groups.map((group) => this.groupCard(group)));
  }

  sidesTable() {
    const { sides } = this.index;
    const speeds = sides.some((side) => side.speed);
    return el('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Sides' }, el('table', { class: sides.length > 2 ? 'sides many' : 'sides' },
      el('thead', {}, el('tr', {}, ['Side', 'Passed', 'Outcomes', 'Against the baseline', ...(speeds ? ['Time'] : [])].map((name) => el('th', { scope: 'col' }, name)))),
      el('tbody', {}, this.across.map((i) => [sides[i], i]).map(([side, i]) => el('tr', {},
        el('th', { scope: 'row' }, side.name, el('span', { class: 'about quiet', title: about(side) }, ' ', about(side))),
        el('td', { class: 'number' }, `${percent(side.passed, side.rows)} `, el('span', { class: 'quiet' }, `${count(side.passed)}/${count(side.rows)}`)),
        el('td', {}, bar(this.byClass(side.outcomes), Math.max(1, side.rows))),
        el('td', {}, side.baseline ? el('span', { class: 'quiet' }, 'is the baseline') : el('span', { class: 'changes' }, Object.entries(side.changes).filter(([name]) => name !== 'unchanged').map(([name, n]) => (
          el('button', { type: 'button', class: `chip ${LOOKS[name][0]}`, title: this.meaning.get(name), onclick: () => this.showChange(name, i) },
            el('span', { class: 'letter', 'aria-hidden': 'true' }, LOOKS[name][1]), name, el('span', { class: 'number' }, count(n))))))),
        speeds ? el('td', { class: 'number' }, speedText(side.speed)) : null)))));
  }

  byClass(outcomes) {
    const by = {};
    for (const [name, n] of Object.entries(outcomes)) { const css = this.words.of(name).css; by[css] = (by[css] || 0) + n; }
    return by;
  }

  showChange(name, side) {
    if (this.index.sides.length === 2) { this.state.set({ tab: name, q: '' }); return; }
    this.state.set({ tab: 'all', q: `change.${side + 1} == ${name}` });
  }

  stepsPanel() {
    const { sides } = this.index;
    return el('div', { class: 'clusters' }, sides.slice(1).map((side, i) => el('section', { class: 'card' },
      el('h3', {}, `${sides[i].name} → ${side.name}`),
      el('span', { class: 'changes' }, Object.entries(side.steps).map(([name, n]) => el('button', {
        type: 'button', class: `chip ${LOOKS[name][0]}`, title: this.meaning.get(name), onclick: () => this.state.set({ tab: 'all', q: `step.${i + 2} == ${name}` }),
      }, el('span', { class: 'letter', 'aria-hidden': 'true' }, LOOKS[name][1]), name, el('span', { class: 'number' }, count(n))))))));
  }

  driftPanel() {
    const { drift, sides } = this.index;
    if (!drift.length) return el('p', { class: 'empty' }, 'No recorded fact differs between the sides.');
    const groups = [...new Set(drift.map((fact) => fact.group))];
    return el('div', {}, el('p', { class: 'quiet' }, 'Every recorded fact that is not the same on all sides. What is compared on purpose comes last; anything above may be the true reason of a change.'),
      el('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Facts that differ' }, el('table', { class: 'drift' },
        el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, 'Fact'), sides.map((side) => el('th', { scope: 'col' }, side.name)))),
        groups.map((group) => el('tbody', {}, el('tr', {}, el('th', { class: 'group', scope: 'rowgroup', colspan: String(sides.length + 1) }, group,
          group !== 'compared' && drift.find((fact) => fact.group === group).compared ? el('span', { class: 'quiet' }, ' (compared on purpose)') : null)),
        drift.filter((fact) => fact.group === group).map((fact) => el('tr', {}, el('th', { scope: 'row' }, fact.name),
          fact.values.map((value) => el('td', {}, value === null ? el('span', { class: 'quiet' }, '–') : el('code', {}, value))))))))));
  }

  summary(row) { return row; }

  makeDrawer() { return new CompareDrawer(this); }
}

function about(side) {
  const torch = side.about.torch ? `torch ${side.about.torch}` : '';
  const rocm = side.about.rocm || side.about.hip;
  return [torch, rocm ? `ROCm ${rocm}` : '', side.about.device_name || '', side.started].filter(Boolean).join(', ');
}

function speedText(speed) {
  if (!speed) return '';
  const differs = speed.low > 1 || speed.high < 1;
  const word = !differs ? 'same' : speed.ratio > 1 ? 'slower' : 'faster';
  return el('span', { title: `geometric mean over ${count(speed.rows)} rows that pass on both sides, 95 % interval ${speed.low.toFixed(2)} to ${speed.high.toFixed(2)}` },
    `×${speed.ratio.toFixed(2)} `, el('span', { class: 'quiet' }, `${word} (${speed.low.toFixed(2)}–${speed.high.toFixed(2)})`));
}

// One row over all sides.
class CompareDrawer {
  constructor(view) {
    this.view = view;
    this.body = el('div', { class: 'drawer-body' });
    this.title = el('h2', { id: 'drawer-title', class: 'drawer-title' });
    this.node = el('div', { class: 'drawer', id: 'drawer', role: 'dialog', 'aria-labelledby': 'drawer-title', tabindex: '-1', hidden: true },
      el('div', { class: 'drawer-head' }, this.title, el('div', { class: 'drawer-buttons' },
        el('button', { type: 'button', class: 'icon', 'aria-label': 'Previous row', title: 'Previous (k)', onclick: () => view.step(-1) }, '↑'),
        el('button', { type: 'button', class: 'icon', 'aria-label': 'Next row', title: 'Next (j)', onclick: () => view.step(1) }, '↓'),
        el('button', { type: 'button', class: 'icon', 'aria-label': 'Close', title: 'Close (Esc)', onclick: () => view.closeDrawer() }, '×'))), this.body);
  }

  hide() {
    this.node.hidden = true;
    document.body.classList.remove('with-drawer');
  }

  command() { return this.commands; }

  show(row) {
    const { view } = this;
    const { sides } = view.index;
    const name = view.names[view.change.codes[row]];
    this.node.hidden = false;
    document.body.classList.add('with-drawer');
    this.title.textContent = view.table.idOf(row);
    this.body.scrollTop = 0;
    const telling = sides[view.telling(row)];
    this.commands = this.commandFor(row, telling);
    this.body.replaceChildren(
      el('div', { class: 'drawer-top' }, el('div', { class: 'summary-line' }, changeBadge(name, view.meaning.get(name)), el('code', {}, view.across.map((i) => view.outcomeOf(i, row) || '–').join(' → '))), el('p', { class: 'message' }, view.meaning.get(name))),
      el('div', { class: 'actions' }, copyButton('Copy rmcp command', () => this.commands, `Run this row again as in ${telling.name} (c)`),
        copyButton('Copy link', () => location.href.split('#')[0] + view.state.hash({}))),
      ...view.across.map((i) => this.side(sides[i], i, row)),
      section('Axes', pairs(view.table.axes.filter((axis) => axis.codes[row] >= 0).map((axis) => [axis.name, el('code', {}, axis.values[axis.codes[row]])]))));
  }

  commandFor(row, side) {
    const { view } = this;
    const { by } = view.index;
    const tests = view.table.axes.filter((axis) => axis.codes[row] >= 0).map((axis) => `${axis.name} == ${literal(axis.values[axis.codes[row]])}`);
    if (by !== 'run') tests.unshift(`${by} == ${literal(side.name.split(':').pop())}`);
    const shell = (text) => (/^[\w./:=@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);
    return `rmcp run ${shell(side.matrix)} --select ${shell(tests.join(' and '))}`;
  }

  side(side, i, row) {
    const { view } = this;
    const cell = view.cells[i];
    const at = (name) => (cell[name].codes[row] < 0 ? '' : cell[name].pool[cell[name].codes[row]]);
    const change = view.sideChanges[i][row];
    const step = view.sideSteps ? view.sideSteps[i][row] : -1;
    const outcome = at('outcome');
    const items = [['cause', at('cause') === 'none' ? '' : at('cause')], ['signal', at('signal')], ['signature', at('signature')], ['stability', at('stability') === 'single' ? '' : at('stability')],
      ['time', outcome && cell.ms[row] ? seconds(cell.ms[row]) : ''], ['run', side.run]].filter(([, value]) => value);
    return el('section', { class: 'side-card' },
      el('h3', {}, side.name, ' ', outcome ? badge(view.words, outcome) : el('span', { class: 'quiet' }, 'not in this run'), ' ',
        side.baseline ? el('span', { class: 'quiet' }, 'baseline') : change >= 0 ? changeBadge(view.names[change], view.meaning.get(view.names[change])) : null,
        step >= 0 && step !== change && i > 0 ? el('span', { class: 'quiet' }, ` since ${view.index.sides[i - 1].name}: ${view.names[step]}`) : null),
      view.evidence(row, i) ? el('p', { class: 'message' }, view.evidence(row, i)) : null,
      at('message') ? el('p', { class: 'message' }, at('message')) : null,
      outcome ? pairs(items.map(([k, v]) => [k, el('code', {}, v)])) : null);
  }
}
