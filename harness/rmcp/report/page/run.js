// The page of one run.

import { el, count, plural, seconds } from './util.js';
import { chip, setBadge } from './parts.js';
import { Drawer } from './drawer.js';
import { View } from './view.js';
import { clusterCard, clustersPanel, coveragePanel, explainPanel, heatPanel, literal, machinePanel, problemsPanel } from './panels.js';

const MOST_AXES = 6; // axis columns; further axes stay readable in the drawer and in the filter
const LEAD = 3; // signature cards above the table

export class RunView extends View {
  constructor(index, table, words, state) {
    super(index, table, words, state);
    const take = (name, split) => table.pooled(name, index.columns[name], split);
    this.outcome = take('outcome');
    this.cause = take('cause');
    this.verdict = take('verdict');
    this.signal = take('signal');
    this.signature = take('signature');
    this.stability = take('stability');
    take('phase');
    table.prefix = { pool: index.columns.prefix.pool, codes: table.typed(index.columns.prefix.codes) };
    take('workload');
    this.message = take('message');
    table.pooled('is', index.columns.flags, true);
    table.facts(index.columns.facts);
    this.ms = table.numbers(index.ms);
    this.attempts = table.numeric('attempts', table.numbers(index.attempts));
    this.bad = table.typed(index.bad);
    table.numeric('seconds', Float64Array.from(this.ms, (ms) => ms / 1000));
    table.numeric('rss_mib', table.numbers(index.rss));
    const look = this.outcome.pool.map((name) => (this.needsLook(words.of(name)) ? 1 : 2));
    const ranks = Int8Array.from(this.bad, (bad, row) => (bad ? 0 : look[this.outcome.codes[row]]));
    table.names.set('_rank', { order: { ranks, count: 3 } });
    const css = this.outcome.pool.map((name) => words.of(name).css);
    this.classes = Array.from(this.outcome.codes, (code) => css[code]);
  }

  // What is neither bad nor plainly passed comes second: known failures, remarks, cases without a verdict.
  needsLook(info) { return info.css !== 'passed' && info.name !== 'unsupported'; }

  noun() { return 'case'; }
  label() { return 'Cases'; }
  isBad(row) { return this.bad[row] === 1; }
  flags() {
    return [['bad', 'failed and was not expected to'], ['failed', 'failed in any way'], ['known', 'failed as expected'], ['flaky', 'attempts differ'],
      ['outstanding', 'must run again'], ['retried', 'more than one attempt'], ['device', 'the device noticed'], ['improved', 'passed unexpectedly']];
  }

  examples() {
    const axis = this.table.axes.find((a) => a.values.length > 1);
    return ['is:bad', 'outcome in [crash, hang]', 'cause == *violation or cause == segfault', 'seconds > 5',
      ...(axis ? [`outcome != pass and ${axis.name} == ${literal(axis.values[0])}`] : [])];
  }

  groupNames() { return [...this.table.axes.filter((axis) => axis.values.length > 1).map((axis) => axis.name), 'outcome', 'cause', 'verdict', 'signature', 'phase']; }

  gridColumns() {
    this.shownAxes = this.table.axes.filter((axis) => axis.values.length > 1).slice(0, MOST_AXES);
    if (!this.shownAxes.length) this.shownAxes = this.table.axes.slice(0, 3);
    return [
      { title: 'Outcome', width: '8.6rem', sort: 'outcome', className: 'c-outcome' },
      ...this.shownAxes.map((axis) => ({ title: axis.name, width: `minmax(3.5rem, ${Math.min(16, Math.max(axis.name.length + 2, ...axis.values.slice(0, 300).map((v) => v.length)) * 0.6 + 1)}rem)`, sort: axis.name, className: 'c-axis' })),
      { title: 'What happened', width: 'minmax(10rem, 1fr)', sort: 'message', className: 'c-message' },
      { title: 'Verdict', width: '6.2rem', sort: 'verdict', className: 'c-verdict' },
      { title: 'Time', width: '5rem', sort: 'seconds', className: 'c-time' },
      { title: 'Case', width: '', className: 'c-name' }, // shown on narrow screens in place of the axes
    ];
  }

  fillRow(row, cells) {
    const { outcome, cause, verdict, message, stability } = this;
    setBadge(cells[0], this.words, outcome.pool[outcome.codes[row]]);
    let at = 1;
    for (const axis of this.shownAxes) {
      const value = axis.codes[row] < 0 ? '' : axis.values[axis.codes[row]];
      cells[at].textContent = value;
      cells[at++].title = value;
    }
    const said = message.pool[message.codes[row]];
    const why = cause.pool[cause.codes[row]];
    cells[at].replaceChildren(...(why !== 'none' ? [el('code', { class: 'cause' }, why), ' '] : []), said);
    cells[at++].title = said;
    const word = verdict.pool[verdict.codes[row]];
    const flaky = stability.pool[stability.codes[row]].startsWith('flaky');
    cells[at].className = `cell c-verdict${this.isBad(row) ? ' bad' : ''}`;
    cells[at++].textContent = (word === 'no-verdict' ? '–' : word) + (flaky ? ' ~' : '');
    cells[at++].textContent = this.attempts[row] ? seconds(this.ms[row]) : '';
    cells[at].textContent = this.shownAxes.map((axis) => (axis.codes[row] < 0 ? '' : axis.values[axis.codes[row]])).join(' / ');
  }

  summary(row) {
    const at = (column) => column.pool[column.codes[row]];
    return {
      outcome: at(this.outcome), cause: at(this.cause), signal: at(this.signal), verdict: at(this.verdict), stability: at(this.stability),
      message: at(this.message), ms: this.attempts[row] ? this.ms[row] : null, bad: this.isBad(row),
    };
  }

  makeDrawer() {
    return new Drawer({
      words: this.words, table: this.table, close: () => this.closeDrawer(), step: (by) => this.step(by),
      link: () => location.href.split('#')[0] + this.state.hash({}),
    });
  }

  pick(found, chosen) {
    if (!chosen.size) return found;
    const wanted = Uint8Array.from(this.outcome.pool, (name) => (chosen.has(name) ? 1 : 0));
    const out = new Uint8Array(found.length);
    for (let row = 0; row < out.length; row++) out[row] = found[row] & wanted[this.outcome.codes[row]];
    return out;
  }

  drawChips() {
    const totals = new Int32Array(this.outcome.pool.length);
    for (let row = 0; row < this.found.length; row++) totals[this.outcome.codes[row]] += this.found[row];
    const chosen = new Set(this.state.get('o').split(',').filter(Boolean));
    const names = this.words.order.filter((name) => this.outcome.pool.includes(name));
    const toggle = (name) => {
      if (chosen.has(name)) chosen.delete(name);
      else chosen.add(name);
      this.state.set({ o: [...chosen].join(',') });
      const again = [...this.chipBox.children].find((node) => node.dataset.name === name);
      if (again) again.focus();
    };
    this.chipBox.replaceChildren(...names.map((name) => {
      const info = this.words.of(name);
      const node = chip({ pressed: chosen.has(name), css: info.css, letter: info.letter, label: name, number: totals[this.outcome.pool.indexOf(name)], title: info.meaning, press: () => toggle(name) });
      node.dataset.name = name;
      return node;
    }));
    this.drawLead();
  }

  // The largest groups of failures, where the eye falls first.
  drawLead() {
    if (this.lead.childElementCount || !this.index.clusters.length) return;
    const rest = this.index.clusters.length - LEAD;
    this.lead.append(el('h2', { class: 'unseen' }, 'What failed most'), ...this.index.clusters.slice(0, LEAD).map((cluster) => clusterCard(cluster, this.words, (c) => this.showCluster(c))));
    if (this.index.explain.length) {
      this.lead.firstChild.after(el('article', { class: 'cluster explain-lead' }, el('h3', {}, 'Explained'), el('p', { class: 'message' }, this.index.explain[0].sentence),
        el('p', { class: 'foot' }, el('button', { type: 'button', class: 'link', onclick: () => this.state.set({ tab: 'explain' }) }, plural(this.index.explain.length, 'explanation')))));
    }
    if (rest > 0) this.lead.append(el('button', { type: 'button', class: 'more', onclick: () => this.state.set({ tab: 'signatures' }) }, `${count(rest)} more`));
  }

  showCluster(cluster) {
    const test = cluster.raw.includes('"') && cluster.raw.includes("'") || cluster.raw.includes('|null') ? '' : cluster.raw;
    this.state.set({ q: test ? `signature == ${literal(test)}` : `outcome == ${cluster.outcome} and cause == ${cluster.cause}`, o: '', tab: '' });
  }

  tabs() {
    const found = [
      { id: 'rows', title: 'Cases' },
      { id: 'signatures', title: 'Signatures', number: this.index.clusters.length, draw: () => clustersPanel(this.index, this.words, (c) => this.showCluster(c)) },
      { id: 'overview', title: 'Overview', draw: () => heatPanel(this) },
      ...(this.index.coverage ? [{ id: 'coverage', title: 'Coverage', draw: () => coveragePanel(this.index) }] : []),
      { id: 'machine', title: 'Machine', draw: () => machinePanel(this.index) },
    ];
    if (this.index.explain.length) found.push({ id: 'explain', title: 'Explanations', number: this.index.explain.length, draw: () => explainPanel(this.index, this) });
    if (this.index.problem_count) found.push({ id: 'problems', title: 'Problems', number: this.index.problem_count, draw: () => problemsPanel(this.index) });
    return found;
  }
}
