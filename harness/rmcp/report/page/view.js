// What the run page and the comparison page share: tool bar, tabs, grid, grouping, drawer, keys.

import { el, announce, copyText, count, debounce, plural } from './util.js';
import { bar } from './parts.js';
import { FilterBox } from './complete.js';
import { Grid } from './grid.js';

const NARROW = matchMedia('(max-width: 719px)');
const GROUP = -1; // entries below zero are group headers: -1 - number of the group

export class View {
  constructor(index, table, words, state) {
    Object.assign(this, { index, table, words, state });
    this.mask = new Uint8Array(table.n).fill(1);
    this.folded = new Set();
    this.groups = [];
    this.rowsShown = new Int32Array(0);
    this.cursor = -1;
  }

  // What a subclass gives: gridColumns(), fillRow(), tabs(), chips(), groupNames(), makeDrawer(), openRow().

  build(root) {
    this.filter = new FilterBox({
      table: this.table, flags: this.flags(), leave: () => this.grid.node.focus(), example: `for example: ${this.examples().at(-1)}`,
      // What stands in the box when the typist pauses; a click elsewhere may have changed it meanwhile.
      change: debounce(60, () => this.state.set({ q: this.filter.input.value })),
    });
    this.chipBox = el('div', { class: 'chips', role: 'group', 'aria-label': 'Outcomes' });
    this.tabBox = el('div', { class: 'tabs', role: 'tablist', 'aria-label': 'Views' });
    this.panel = el('div', { class: 'panel', role: 'tabpanel', id: 'panel', 'aria-labelledby': 'tab-rows' });
    this.lead = el('div', { class: 'lead' });
    this.shown = el('span', { class: 'shown', id: 'shown', role: 'status' });
    this.group = el('select', { id: 'group', onchange: () => this.state.set({ g: this.group.value }) },
      el('option', { value: '' }, 'none'), this.groupNames().map((name) => el('option', { value: name }, name)));
    this.ordering = el('select', { id: 'order', onchange: () => this.state.set({ s: this.ordering.value }) },
      el('option', { value: '' }, 'attention first'), el('option', { value: '_plan' }, 'matrix order'), el('option', { value: 'column', hidden: true }, 'column'));
    this.grid = new Grid({
      label: this.label(), columns: this.gridColumns(), height: () => (NARROW.matches ? 58 : 33),
      fill: (entry, cells, row) => this.fillEntry(entry, cells, row), open: (entry) => this.openEntry(entry), sort: (name) => this.sortBy(name),
    });
    this.drawer = this.makeDrawer();
    this.tools = el('div', { class: 'tools' }, this.filter.node,
      el('label', { class: 'grouping' }, 'Group by ', this.group), el('label', { class: 'grouping' }, 'Order ', this.ordering), this.shown,
      el('button', { type: 'button', class: 'icon help', 'aria-label': 'Help: keys and filter language', title: 'Help (?)', onclick: () => this.help() }, '?'));
    root.replaceChildren(this.chipBox, this.lead, this.tools, this.tabBox, this.panel, this.drawer.node, this.helpDialog());
    NARROW.addEventListener('change', () => this.grid.redraw());
    addEventListener('keydown', (event) => this.key(event));
    this.state.on((names) => this.update(names));
    this.update(new Set(['q', 'o', 'tab', 'g', 's', 'case', 'start']));
  }

  update(names) {
    const any = (...wanted) => wanted.some((name) => names.has(name));
    const started = performance.now();
    if (any('q', 'o')) this.applyFilter();
    if (any('q', 'o', 'g', 's')) this.arrange();
    // Tabs and the table's frame do not depend on the filter; other panels do.
    if (any('tab', 'ax', 'ay', 'start') || (any('q', 'o') && this.paneled)) this.drawTabs();
    if (any('o', 'q', 'start')) this.drawChips();
    if (any('case')) this.follow();
    this.took = performance.now() - started;
  }

  applyFilter() {
    const text = this.state.get('q');
    if (this.filter.input.value !== text) this.filter.set(text);
    try {
      this.found = this.table.filter(text);
      this.filter.fault(null);
    } catch (error) {
      if (error.offset === undefined) throw error;
      this.filter.fault(error); // what was shown stays, until the expression is whole
    }
    this.found ||= new Uint8Array(this.table.n).fill(1);
    this.mask = this.pick(this.found, new Set(this.state.get('o').split(',').filter(Boolean)));
  }

  arrange() {
    const [, minus, name] = /^(-?)(.*)$/.exec(this.state.get('s'));
    const rows = this.table.order(this.mask, name === '_plan' ? '' : name || '_rank', minus === '-');
    this.ordering.value = name === '' || name === '_plan' ? name : 'column';
    this.rowsShown = rows;
    this.group.value = this.state.get('g');
    const source = this.group.value ? this.groupSource(this.group.value) : null;
    this.grid.sorted(name, minus === '-');
    this.panel.classList.toggle('nothing', !rows.length);
    this.grid.show(source && source.codes ? this.grouped(rows, source) : rows);
    this.cursor = -1;
    const all = this.table.n;
    this.shown.textContent = rows.length === all ? plural(all, this.noun()) : `${count(rows.length)} of ${plural(all, this.noun())}`;
  }

  groupSource(name) { return this.table.names.get(name); }

  grouped(rows, source) {
    const members = new Map();
    for (const row of rows) {
      const own = members.get(source.codes[row]);
      if (own) own.push(row);
      else members.set(source.codes[row], [row]);
    }
    const entries = [];
    this.groups = [...members.keys()].sort((a, b) => a - b).map((code) => {
      const own = members.get(code);
      const by = {};
      for (const row of own) by[this.classes[row]] = (by[this.classes[row]] || 0) + 1;
      return { code, name: code < 0 ? '(none)' : [source.pool[code]].flat().join(' ') || '(none)', rows: own, by };
    });
    this.groups.forEach((group, number) => {
      entries.push(GROUP - number);
      if (!this.folded.has(group.name)) for (const row of group.rows) entries.push(row);
    });
    return entries;
  }

  fillEntry(entry, cells, row) {
    row.classList.toggle('group', entry < 0);
    if (entry >= 0) {
      cells[0].removeAttribute('aria-expanded');
      this.fillRow(entry, cells);
      return;
    }
    const group = this.groups[GROUP - entry];
    const open = !this.folded.has(group.name);
    for (const cell of cells) { cell.replaceChildren(); delete cell.dataset.outcome; cell.removeAttribute('title'); }
    cells[0].append(el('span', { class: 'group-name' }, el('span', { 'aria-hidden': 'true' }, open ? '▾ ' : '▸ '), `${this.state.get('g')} = ${group.name} `,
      el('span', { class: 'quiet' }, plural(group.rows.length, this.noun())), bar(group.by, group.rows.length)));
    cells[0].setAttribute('aria-expanded', String(open));
  }

  openEntry(entry) {
    if (entry >= 0) { this.openRow(entry); return; }
    const name = this.groups[GROUP - entry].name;
    if (this.folded.has(name)) this.folded.delete(name);
    else this.folded.add(name);
    const top = this.grid.node.scrollTop;
    this.arrange();
    this.grid.node.scrollTop = top;
  }

  sortBy(name) {
    const now = this.state.get('s');
    this.state.set({ s: now === name ? `-${name}` : now === `-${name}` ? '' : name });
  }

  drawTabs() {
    const tabs = this.tabs();
    const wanted = tabs.find((tab) => tab.id === this.state.get('tab')) || tabs[0];
    this.tabBox.replaceChildren(...tabs.map((tab) => el('button', {
      type: 'button', role: 'tab', id: `tab-${tab.id}`, class: 'tab', 'aria-selected': tab === wanted ? 'true' : 'false', 'aria-controls': 'panel',
      tabindex: tab === wanted ? '0' : '-1', onclick: () => this.state.set({ tab: tab === tabs[0] ? '' : tab.id }),
      onkeydown: (event) => this.tabKey(event, tabs, wanted),
    }, tab.title, tab.number === undefined ? null : el('span', { class: 'number' }, count(tab.number)))));
    this.panel.setAttribute('aria-labelledby', `tab-${wanted.id}`);
    const rows = !wanted.draw;
    this.paneled = !rows;
    this.panel.classList.toggle('rows', rows);
    const heading = el('h2', { class: 'unseen' }, wanted.title);
    this.panel.replaceChildren(heading, rows ? el('div', { class: 'grid-wrap' }, this.grid.node, el('p', { class: 'empty nothing-found' }, 'Nothing matches the filter. ',
      el('button', { type: 'button', class: 'link', onclick: () => this.state.set({ q: '', o: '' }) }, 'Clear it'))) : wanted.draw());
    if (rows) this.grid.redraw();
  }

  tabKey(event, tabs, now) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(tabs.indexOf(now) + step + tabs.length) % tabs.length];
    this.state.set({ tab: next === tabs[0] ? '' : next.id });
    document.getElementById(`tab-${next.id}`).focus();
    event.preventDefault();
  }

  narrow(test) {
    const before = this.state.get('q').trim();
    const both = !before || before === test ? test : `${/ or /.test(before) ? `(${before})` : before} and ${/ or /.test(test) ? `(${test})` : test}`;
    this.state.set({ q: both, tab: '' });
  }

  openId(id) {
    const row = this.table.rowOf(id);
    if (row < 0) announce('That case is not in this page');
    else this.openRow(row);
  }

  openRow(row) { this.state.set({ case: this.table.named(row) }, !this.state.get('case')); }

  closeDrawer() {
    this.state.set({ case: '' });
  }

  follow() {
    const id = this.state.get('case');
    if (!id) {
      const open = !this.drawer.node.hidden;
      this.drawer.hide();
      if (open) (this.before && this.before.isConnected ? this.before : this.grid.node).focus({ preventScroll: true });
      return;
    }
    const row = this.table.rowOf(id);
    if (row < 0) { announce('The case of this link is not in this page'); return; }
    if (this.drawer.node.hidden) this.before = document.activeElement;
    const at = this.grid.entries.indexOf(row);
    if (at >= 0 && this.grid.node.isConnected && this.grid.active !== at) this.grid.choose(at, false);
    this.cursor = this.rowsShown.indexOf(row);
    this.drawer.show(row, this.summary(row));
    this.drawer.node.focus({ preventScroll: true });
  }

  // Next or previous row; with an open drawer the drawer follows.
  step(by) {
    const open = this.state.get('case');
    if (!open) { this.grid.move(this.grid.active + by); this.skipGroups(by); return; }
    const at = this.rowsShown.indexOf(this.table.rowOf(open)) + by;
    if (at >= 0 && at < this.rowsShown.length) this.openRow(this.rowsShown[at]);
  }

  // Next or previous row that speaks against the run.
  stepBad(by) {
    const from = this.state.get('case') ? this.rowsShown.indexOf(this.table.rowOf(this.state.get('case')))
      : this.rowsShown.indexOf(this.grid.entries[this.grid.active] ?? -1);
    for (let at = from + by; at >= 0 && at < this.rowsShown.length; at += by) {
      if (this.isBad(this.rowsShown[at])) { this.openRow(this.rowsShown[at]); return; }
    }
    announce(by > 0 ? 'No further one below' : 'No further one above');
  }

  skipGroups(by) {
    while (this.grid.entries[this.grid.active] < 0 && this.grid.entries[this.grid.active + by] !== undefined) this.grid.move(this.grid.active + by);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.closest('input, textarea, select');
    if (event.key === 'Escape' && !typing) {
      if (document.querySelector('dialog[open]')) return;
      if (this.state.get('case')) this.closeDrawer();
      return;
    }
    if (typing) return;
    const button = event.target.closest('button, summary, a');
    const act = {
      '/': () => { this.filter.input.focus(); this.filter.input.select(); },
      j: () => this.step(1),
      k: () => this.step(-1),
      n: () => this.stepBad(1),
      p: () => this.stepBad(-1),
      c: () => this.copyCommand(),
      '?': () => this.help(),
      Enter: () => { if (this.grid.active >= 0) this.openEntry(this.grid.entries[this.grid.active]); },
    }[event.key];
    if (!act || (event.key === 'Enter' && (button || this.state.get('case')))) return;
    event.preventDefault();
    act();
  }

  async copyCommand() {
    const command = this.drawer.command && this.state.get('case') ? this.drawer.command() : null;
    if (!command) { announce('Open a case first, then c copies its command'); return; }
    announce((await copyText(command)) ? 'The command is copied' : 'Copying was refused');
  }

  help() { this.dialog.showModal(); }

  helpDialog() {
    const keys = [['/', 'filter'], ['j  k', 'next and previous row'], ['Enter', 'open the row, fold the group'], ['n  p', 'next and previous row that needs attention'],
      ['c', 'copy the command that runs the open case again'], ['Esc', 'close'], ['?', 'this help']];
    const close = el('button', { type: 'button', class: 'icon', 'aria-label': 'Close', onclick: () => this.dialog.close() }, '×');
    this.dialog = el('dialog', { class: 'dialog', 'aria-labelledby': 'help-title' },
      el('div', { class: 'drawer-head' }, el('h2', { id: 'help-title' }, 'Keys and filters'), close),
      el('table', { class: 'pairs' }, el('tbody', {}, keys.map(([key, what]) => el('tr', {}, el('th', { scope: 'row' }, key.split('  ').map((k) => el('kbd', {}, k))), el('td', {}, what))))),
      el('h3', {}, 'Filter'),
      el('p', {}, 'The language of the matrix file: ', el('code', {}, '== != < <= > >= in [..] and or not ( )'), ', wildcards ', el('code', {}, '* ? [abc]'), '. Words without an operator are searched for.'),
      el('ul', {}, this.examples().map((text) => el('li', {}, el('button', { type: 'button', class: 'link mono', onclick: () => { this.dialog.close(); this.state.set({ q: text, tab: '' }); } }, text)))),
      el('p', { class: 'quiet' }, `Made by rmcp ${this.index.version}. Everything you see is in the address: copy it to share this view.`));
    return this.dialog;
  }
}
