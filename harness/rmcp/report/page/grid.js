// A grid that holds only the rows in sight. The owner gives columns and fills cells; keys move the active row.

import { el } from './util.js';

const SPARE = 6; // rows kept above and below the window, so that quick scrolling shows no gaps

export class Grid {
  // columns: [{title, width, sort, className}]; fill(entry, cells, row) writes one row; open(entry) is Enter or click
  constructor({ label, columns, fill, open, sort, height }) {
    this.columns = columns;
    this.fill = fill;
    this.open = open;
    this.height = height;
    this.entries = [];
    this.active = -1;
    this.rows = [];
    this.template = columns.map((column) => column.width).filter(Boolean).join(' ');
    this.head = el('div', { role: 'row', class: 'grid-row grid-head', 'aria-rowindex': '1' },
      columns.map((column, index) => this.headCell(column, index, sort)));
    this.body = el('div', { role: 'rowgroup', class: 'grid-body' });
    this.node = el('div', {
      role: 'grid', class: 'grid', tabindex: '0', 'aria-label': label, 'aria-colcount': String(columns.length),
      style: { '--columns': this.template },
    }, el('div', { role: 'rowgroup', class: 'grid-header' }, this.head), this.body);
    this.node.addEventListener('scroll', () => this.draw(), { passive: true });
    this.node.addEventListener('keydown', (event) => this.key(event));
    this.body.addEventListener('click', (event) => {
      const row = event.target.closest('[role=row]');
      if (row && !getSelection().toString()) this.choose(Number(row.dataset.at), true);
    });
    new ResizeObserver(() => this.draw()).observe(this.node);
  }

  headCell(column, index, sort) {
    const cell = el('div', { role: 'columnheader', class: `cell ${column.className || ''}`, 'aria-colindex': String(index + 1) });
    if (!column.sort) {
      cell.append(column.title);
      return cell;
    }
    cell.append(el('button', { type: 'button', class: 'sort', onclick: () => sort(column.sort) }, column.title,
      el('span', { class: 'arrow', 'aria-hidden': 'true' })));
    cell.dataset.sort = column.sort;
    return cell;
  }

  sorted(name, descending) {
    for (const cell of this.head.children) {
      const own = cell.dataset.sort && cell.dataset.sort === name;
      if (own) cell.setAttribute('aria-sort', descending ? 'descending' : 'ascending');
      else cell.removeAttribute('aria-sort');
      const arrow = cell.querySelector('.arrow');
      if (arrow) arrow.textContent = own ? (descending ? ' ▼' : ' ▲') : '';
    }
  }

  rowHeight() { return this.height(); }

  show(entries) {
    this.entries = entries;
    this.active = -1;
    this.node.removeAttribute('aria-activedescendant');
    this.node.setAttribute('aria-rowcount', String(entries.length + 1));
    this.fit();
    this.node.scrollTop = 0;
    for (const row of this.rows) row.dataset.at = '-1';
    this.draw();
  }

  // A few rows need no box that fills the screen.
  fit() {
    const height = this.entries.length * this.rowHeight();
    this.body.style.setProperty('height', `${height}px`);
    const room = this.entries.length ? `${height + this.head.offsetHeight + 20}px` : 'none';
    if (this.node.parentNode && this.node.parentNode.style) this.node.parentNode.style.setProperty('--rows-height', room);
  }

  redraw() {
    this.fit();
    for (const row of this.rows) row.dataset.at = '-1';
    this.draw();
  }

  draw() {
    const height = this.rowHeight();
    const first = Math.max(0, Math.floor(this.node.scrollTop / height) - SPARE);
    // Never more rows than fit the window, whatever height a layout gives the grid for a moment.
    const seen = Math.min(this.node.clientHeight, 2 * innerHeight);
    const last = Math.min(this.entries.length, Math.ceil((this.node.scrollTop + seen) / height) + SPARE);
    const needed = Math.max(0, last - first);
    while (this.rows.length < needed) this.addRow();
    while (this.rows.length > needed + 40) this.rows.pop().remove();
    // A row keeps its place in the ring, so that scrolling by one rewrites one row.
    const size = this.rows.length;
    const used = new Set();
    for (let at = first; at < last; at++) {
      const row = this.rows[at % size];
      used.add(row);
      row.hidden = false;
      if (Number(row.dataset.at) !== at) this.place(row, at, height);
    }
    for (const row of this.rows) if (!used.has(row)) { row.hidden = true; row.dataset.at = '-1'; }
  }

  addRow() {
    const row = el('div', { role: 'row', class: 'grid-row', 'data-at': '-1' },
      this.columns.map((column, index) => el('div', { role: 'gridcell', class: `cell ${column.className || ''}`, 'aria-colindex': String(index + 1) })));
    this.rows.push(row);
    this.body.append(row);
    for (const other of this.rows) other.dataset.at = '-1';
  }

  place(row, at, height) {
    row.dataset.at = String(at);
    row.id = `row-${at}`;
    row.setAttribute('aria-rowindex', String(at + 2));
    row.style.setProperty('transform', `translateY(${at * height}px)`);
    row.classList.toggle('active', at === this.active);
    row.setAttribute('aria-selected', at === this.active ? 'true' : 'false');
    this.fill(this.entries[at], row.children, row);
  }

  move(to, openIt) { this.choose(Math.max(0, Math.min(this.entries.length - 1, to)), openIt); }

  choose(at, openIt) {
    if (at < 0 || at >= this.entries.length) return;
    const before = this.active;
    this.active = at;
    this.reveal(at);
    for (const row of this.rows) {
      const own = Number(row.dataset.at);
      if (own === at || own === before) {
        row.classList.toggle('active', own === at);
        row.setAttribute('aria-selected', own === at ? 'true' : 'false');
      }
    }
    this.node.setAttribute('aria-activedescendant', `row-${at}`);
    if (openIt) this.open(this.entries[at], at);
  }

  reveal(at) {
    const height = this.rowHeight();
    const head = this.head.offsetHeight;
    const top = at * height;
    const room = this.node.clientHeight - head;
    if (top < this.node.scrollTop) this.node.scrollTop = top;
    else if (top + height > this.node.scrollTop + room) this.node.scrollTop = top + height - room;
    this.draw();
  }

  key(event) {
    if (event.target !== this.node || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(this.node.clientHeight / this.rowHeight()) - 2);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page };
    if (event.key in steps) this.move(this.active + steps[event.key]);
    else if (event.key === 'Home') this.move(0);
    else if (event.key === 'End') this.move(this.entries.length - 1);
    else return;
    event.preventDefault();
  }
}
