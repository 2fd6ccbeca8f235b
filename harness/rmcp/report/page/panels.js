// Views of a run besides the table: signatures, axis values, machine, explanations, problems.

import { el, count, percent, plural } from './util.js';
import { bar, pairs } from './parts.js';

const quote = (value) => (/^[^\s()[\],'"<>=!*?]+$/.test(value) ? value : value.includes('"') ? `'${value}'` : `"${value}"`);
// Wildcards of the language are literal here.
export const literal = (value) => quote(value.replace(/[*?[]/g, (c) => `[${c}]`));
export const joined = (before, test) => {
  const text = before.trim();
  if (!text) return test;
  if (text.includes(test)) return text;
  return / or /.test(text) ? `(${text}) and ${test}` : `${text} and ${test}`;
};

export function clusterCard(cluster, words, show) {
  const info = words.of(cluster.outcome);
  const shared = Object.entries(cluster.shared);
  const known = cluster.known === cluster.count ? 'all expected' : cluster.known ? `${count(cluster.known)} expected` : '';
  return el('article', { class: `cluster ${info.css}` },
    el('h3', {}, el('span', { class: 'letter', 'aria-hidden': 'true' }, info.letter), el('span', {}, cluster.title)),
    cluster.message ? el('p', { class: 'message' }, cluster.message) : null,
    shared.length ? el('p', { class: 'shared' }, cluster.count === 1 ? '' : 'All with ', shared.map(([axis, value]) => el('code', {}, `${axis} = ${value}`)),
      cluster.outside ? el('span', { class: 'quiet' }, ` ${plural(cluster.outside, 'other case', 'other cases')} with these did not`)
        : cluster.count > 1 ? el('span', { class: 'quiet' }, ' and no other case has these') : null) : null,
    el('p', { class: 'foot' }, known ? el('span', { class: 'quiet' }, known) : null,
      el('button', { type: 'button', class: 'link', onclick: () => show(cluster) }, cluster.count === 1 ? 'Show the case' : `Show the ${count(cluster.count)} cases`)));
}

export function clustersPanel(index, words, show) {
  if (!index.clusters.length) return el('p', { class: 'empty' }, 'No case failed: there is nothing to group.');
  return el('div', { class: 'clusters' }, index.clusters.map((cluster) => el('div', { class: 'cluster-wrap' },
    clusterCard(cluster, words, show), el('code', { class: 'signature' }, cluster.signature))));
}

// Counts per axis value and class, over the rows of the mask.
export function countBy(axis, classes, mask) {
  const found = axis.values.map(() => ({ total: 0, bad: 0, by: {} }));
  for (let row = 0; row < mask.length; row++) {
    const code = axis.codes[row];
    if (!mask[row] || code < 0) continue;
    const cell = found[code];
    const css = classes[row];
    cell.total++;
    cell.by[css] = (cell.by[css] || 0) + 1;
    if (css === 'died' || css === 'failed' || css === 'silent') cell.bad++;
  }
  return found;
}

const ran = (cell) => cell.total - (cell.by.idle || 0);

export function heatPanel(view) {
  const { table, state } = view;
  const mask = view.mask;
  const axes = table.axes.filter((axis) => axis.values.length > 1);
  if (!axes.length) return el('p', { class: 'empty' }, 'Every axis has one value only: nothing to compare.');
  return el('div', { class: 'heat' },
    el('p', { class: 'quiet' }, 'Share of the cases that ran and failed, for the cases that the filter shows. A click narrows the filter.'),
    axes.length > 1 ? heatTable(view, axes, mask, state) : null,
    el('div', { class: 'axis-cards' }, axes.map((axis) => axisCard(view, axis, mask))));
}

function axisCard(view, axis, mask) {
  const cells = countBy(axis, view.classes, mask);
  return el('section', { class: 'axis-card' }, el('h3', {}, axis.name), el('ul', {}, axis.values.map((value, code) => {
    const cell = cells[code];
    if (!cell.total) return null;
    return el('li', {}, el('button', { type: 'button', class: 'axis-value', onclick: () => view.narrow(`${axis.name} == ${literal(value)}`) },
      el('span', { class: 'name' }, value), bar(cell.by, cell.total),
      el('span', { class: 'share' }, `${percent(cell.bad, ran(cell))} `, el('span', { class: 'quiet' }, `${count(cell.bad)}/${count(ran(cell))}`))));
  })));
}

// How unevenly the failures fall on the values: the axis that says most comes first.
function spread(view, axis, mask) {
  const shares = countBy(axis, view.classes, mask).filter((cell) => ran(cell)).map((cell) => cell.bad / ran(cell));
  return shares.length < 2 ? 0 : Math.max(...shares) - Math.min(...shares);
}

function heatTable(view, axes, mask, state) {
  const ranked = axes.filter((axis) => axis.values.length <= 60).sort((a, b) => spread(view, b, mask) - spread(view, a, mask));
  const named = (name) => axes.find((axis) => axis.name === name);
  const across = named(state.get('ax')) || axes.find((axis) => axis.compare) || ranked[0] || axes[0];
  const down = named(state.get('ay')) || ranked.find((axis) => axis !== across) || axes.find((axis) => axis !== across);
  const pick = (label, key, chosen) => el('label', {}, `${label} `, el('select', {
    onchange: (event) => state.set({ [key]: event.target.value }),
  }, axes.map((axis) => el('option', { value: axis.name, selected: axis === chosen }, axis.name))));
  const cells = new Map();
  for (let row = 0; row < mask.length; row++) {
    if (!mask[row]) continue;
    const key = down.codes[row] * 100000 + across.codes[row];
    let cell = cells.get(key);
    if (!cell) cells.set(key, (cell = { total: 0, bad: 0, ran: 0 }));
    cell.total++;
    const css = view.classes[row];
    if (css !== 'idle') cell.ran++;
    if (css === 'died' || css === 'failed' || css === 'silent') cell.bad++;
  }
  const used = (axis) => axis.values.map((value, code) => code).slice(0, 60);
  return el('div', { class: 'heat-block' }, el('div', { class: 'heat-pick' }, pick('Rows', 'ay', down), pick('Columns', 'ax', across)),
    el('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': `Failures by ${down.name} and ${across.name}` },
      el('table', { class: 'heat-table' }, el('thead', {}, el('tr', {}, el('td', {}), used(across).map((code) => el('th', { scope: 'col' }, across.values[code])))),
        el('tbody', {}, used(down).map((d) => el('tr', {}, el('th', { scope: 'row' }, down.values[d]), used(across).map((a) => heatCell(view, down, d, across, a, cells.get(d * 100000 + a)))))))));
}

function heatCell(view, down, d, across, a, cell) {
  if (!cell || !cell.ran) return el('td', { class: 'none' }, el('span', { class: 'quiet' }, cell ? 'not run' : '–'));
  const share = cell.bad / cell.ran;
  const level = share === 0 ? 0 : Math.max(1, Math.min(5, Math.ceil(share * 5)));
  return el('td', {}, el('button', {
    type: 'button', class: `heat-cell h${level}`, title: `${cell.bad} of ${cell.ran} failed`,
    onclick: () => view.narrow(`${down.name} == ${literal(down.values[d])} and ${across.name} == ${literal(across.values[a])}`),
  }, percent(cell.bad, cell.ran), el('span', { class: 'sub' }, ` ${count(cell.bad)}/${count(cell.ran)}`)));
}

// What the run speaks for: proven by running, inferred from combinations that ran, or unknown.
export function coveragePanel(index) {
  const { full, proven, inferred, untested, strength, nearest, sentence, explained } = index.coverage;
  const parts = [['proven', proven, 'ran and came to a verdict'], ['inferred', inferred, `did not run, but every ${strength}-way combination of its values passed in some case`], ['untested', untested, 'nothing is known']];
  return el('div', { class: 'cards' },
    el('section', { class: 'card' }, el('h3', {}, 'Of the full product'),
      full === null ? el('p', {}, sentence) : [
        el('div', { class: 'coverage', role: 'img', 'aria-label': sentence }, parts.filter(([, n]) => n).map(([name, n]) => (
          el('span', { class: `part ${name}`, style: { 'flex-grow': String(n / full) } })))),
        el('table', { class: 'pairs' }, el('tbody', {}, parts.map(([name, n, what]) => el('tr', {},
          el('th', { scope: 'row' }, el('span', { class: `dot ${name}`, 'aria-hidden': 'true' }), name),
          el('td', {}, `${percent(n, full)} `, el('span', { class: 'quiet' }, `${count(n)} of ${plural(full, 'cell')}: ${what}`)))))),
      ],
      explained ? el('p', { class: 'explained' }, el('strong', {}, 'With the rules of rmcp explain: '), explained) : null),
    nearest.length ? el('section', { class: 'card whole' }, el('h3', {}, 'Untested, nearest to the failures'),
      el('p', { class: 'quiet' }, 'One or two values away from what failed here, and never run: the next cells to try.'),
      el('table', { class: 'checks' }, el('thead', {}, el('tr', {}, ['Case', 'Axes away', 'From failures'].map((name) => el('th', { scope: 'col' }, name)))),
        el('tbody', {}, nearest.map(([id, distance, failures]) => el('tr', {}, el('th', { scope: 'row' }, el('code', {}, id)), el('td', {}, count(distance)), el('td', {}, count(failures))))))) : null);
}

export function machinePanel(index) {
  return el('div', { class: 'cards' }, index.card.filter((group) => group.items.length).map((group) => (
    el('section', { class: 'card' }, el('h3', {}, group.title), pairs(group.items.map(([k, v]) => [k, v]))))));
}

export function explainPanel(index, view) {
  return el('div', { class: 'clusters' }, index.explain.map((item) => el('article', { class: 'explain' },
    el('p', { class: 'sentence' }, item.sentence),
    item.rule ? el('p', {}, el('code', {}, item.rule), ' ',
      el('button', { type: 'button', class: 'link', onclick: () => view.narrow(item.rule) }, 'Filter by this rule')) : null,
    item.signature ? el('p', { class: 'quiet' }, item.signature) : null,
    item.proof.length ? el('details', {}, el('summary', {}, `Proof: ${plural(item.proof.length, 'case')}`),
      el('ul', {}, item.proof.map((id) => el('li', {}, el('button', { type: 'button', class: 'link mono', onclick: () => view.openId(id) }, id))))) : null)));
}

export function problemsPanel(index) {
  return el('div', { class: 'card' }, el('h3', {}, 'What could not be read as it should'),
    pairs(index.problems.map(([where, what]) => [where, what])),
    index.problem_count > index.problems.length ? el('p', {}, `and ${count(index.problem_count - index.problems.length)} more`) : null);
}
