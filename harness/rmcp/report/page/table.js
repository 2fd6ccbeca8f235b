// The index as typed columns, and expressions over them: a leaf is judged once per distinct value, not per row.

import { compileExpression, leafTruth } from './expr.js';

export class Table {
  constructor(index) {
    this.index = index;
    this.n = index.rows;
    this.names = new Map();
    this.axes = index.axes.map((axis, i) => ({ ...axis, codes: Int32Array.from(index.axis_codes[i]) }));
    for (const axis of this.axes) this.names.set(axis.name, { pool: axis.values, codes: axis.codes });
    this.lowered = null;
  }

  // A pooled column {pool, codes}; the codes become typed. `split` makes lists (flags) of the values.
  pooled(name, column, split) {
    const codes = Int32Array.from(column.codes);
    const pool = split ? column.pool.map((value) => value.split(' ')) : column.pool;
    // An axis of the same name wins: the matrix's author chose it.
    if (!this.names.has(name)) this.names.set(name, { pool, codes });
    return { pool, codes };
  }

  numeric(name, values) {
    const nums = Float64Array.from(values);
    if (!this.names.has(name)) this.names.set(name, { nums });
    return nums;
  }

  several(name, columns) {
    if (!this.names.has(name)) this.names.set(name, { columns });
  }

  facts(column) {
    const codes = Int32Array.from(column.codes);
    const dicts = column.pool.map((text) => JSON.parse(text));
    for (const name of new Set(dicts.flatMap((dict) => Object.keys(dict)))) {
      const pool = dicts.map((dict) => (Object.hasOwn(dict, name) ? dict[name] : undefined));
      if (!this.names.has(name)) this.names.set(name, { pool, codes });
    }
  }

  idOf(row) {
    if (this.index.ids) return this.index.ids[row];
    const prefix = this.prefix ? this.prefix.pool[this.prefix.codes[row]] : '';
    const parts = this.axes.filter((axis) => axis.codes[row] >= 0 && axis.codes[row] !== axis.omitted).map((axis) => axis.values[axis.codes[row]]);
    return `${prefix}[${parts.join('/') || 'default'}]`;
  }

  rowOf(id) {
    for (let row = 0; row < this.n; row++) if (this.idOf(row) === id) return row;
    return -1;
  }

  leaf(node) {
    const out = new Uint8Array(this.n);
    const source = this.names.get(node.name);
    if (!source) return out.fill(2);
    if (source.columns) {
      for (const column of source.columns) {
        const table = Uint8Array.from(column.pool, (value) => leafTruth(node, value));
        const codes = column.codes;
        for (let row = 0; row < out.length; row++) if (codes[row] >= 0 && table[codes[row]] === 1) out[row] = 1;
      }
      return out;
    }
    if (source.nums) {
      for (let row = 0; row < out.length; row++) out[row] = leafTruth(node, source.nums[row]);
      return out;
    }
    const table = Uint8Array.from(source.pool, (value) => leafTruth(node, value));
    const codes = source.codes;
    for (let row = 0; row < out.length; row++) out[row] = codes[row] < 0 ? 2 : table[codes[row]];
    return out;
  }

  truth(node) {
    if (!node.parts) return this.leaf(node);
    const first = this.truth(node.parts[0]);
    if (node.kind === 'not') {
      for (let row = 0; row < first.length; row++) if (first[row] !== 2) first[row] = 1 - first[row];
      return first;
    }
    const decisive = node.kind === 'or' ? 1 : 0;
    for (const part of node.parts.slice(1)) {
      const other = this.truth(part);
      for (let row = 0; row < first.length; row++) {
        if (first[row] === decisive) continue;
        if (other[row] === decisive || other[row] === 2) first[row] = other[row];
      }
    }
    return first;
  }

  // A mask (1: shown) for what stands in the filter box; plain words are sought in names and messages.
  filter(text) {
    const trimmed = text.trim();
    if (!trimmed) return new Uint8Array(this.n).fill(1);
    if (!/[=<>!()[\]]|\bis:|\bin\b/.test(trimmed)) return this.search(trimmed);
    const mask = this.truth(compileExpression(trimmed, new Set([...this.names.keys(), 'is']), this.index.types));
    for (let row = 0; row < mask.length; row++) if (mask[row] === 2) mask[row] = 0;
    return mask;
  }

  // Every word must occur in some column of the row, or (with a bracket or slash) in its id.
  search(text) {
    const mask = new Uint8Array(this.n).fill(1);
    const sources = new Set([...this.names.values()].flatMap((s) => (s.columns ? s.columns : s.pool ? [s] : [])));
    for (const word of text.toLowerCase().split(/\s+/)) {
      const found = new Uint8Array(this.n);
      for (const { pool, codes } of sources) {
        const table = Uint8Array.from(pool, (value) => (String(value === undefined ? '' : value).toLowerCase().includes(word) ? 1 : 0));
        if (!table.includes(1)) continue;
        for (let row = 0; row < found.length; row++) if (codes[row] >= 0) found[row] |= table[codes[row]];
      }
      const whole = /[[\]/]/.test(word);
      for (let row = 0; row < mask.length; row++) {
        if (mask[row] && !found[row] && !(whole && this.idOf(row).toLowerCase().includes(word))) mask[row] = 0;
      }
    }
    return mask;
  }

  // Rows of the mask in the order of a column; rank of pooled values is by their text, numbers by size.
  order(mask, name, descending) {
    let total = 0;
    for (let row = 0; row < mask.length; row++) total += mask[row];
    const rows = new Int32Array(total);
    for (let row = 0, at = 0; row < mask.length; row++) if (mask[row]) rows[at++] = row;
    const source = name ? this.names.get(name) : null;
    if (!source) return descending ? rows.reverse() : rows;
    const keys = new Float64Array(total);
    const column = source.columns ? source.columns[0] : source;
    const nums = column.nums || this.ranks(column);
    // One number holds rank and row, so that the engine's fast numeric sort does all the work.
    const distinct = column.nums && !column.ranked ? [...new Set(nums)].sort((a, b) => a - b) : null;
    const rankOf = distinct ? new Map(distinct.map((value, rank) => [value, rank])) : null;
    for (let i = 0; i < total; i++) {
      const rank = rankOf ? rankOf.get(nums[rows[i]]) : nums[rows[i]];
      keys[i] = (descending ? -rank : rank) * this.n + rows[i];
    }
    keys.sort();
    for (let i = 0; i < total; i++) rows[i] = ((keys[i] % this.n) + this.n) % this.n;
    return rows;
  }

  ranks(column) {
    if (!column.rank) {
      const collator = new Intl.Collator('en', { numeric: true });
      const order = column.pool.map((value, code) => code).sort((a, b) => collator.compare(String(column.pool[a]), String(column.pool[b])));
      column.rank = new Float64Array(column.pool.length);
      order.forEach((code, rank) => { column.rank[code] = rank; });
    }
    return Float64Array.from(column.codes, (code) => (code < 0 ? -1 : column.rank[code]));
  }
}
