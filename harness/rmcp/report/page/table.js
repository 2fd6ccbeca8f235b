// The index as typed columns, and expressions over them: a leaf is judged once per distinct value, not per row.

import { compileExpression, leafTruth } from './expr.js';

const MOST_RANKS = 1 << 16; // up to here rows are sorted by counting

export class Table {
  constructor(index, bytes) {
    this.index = index;
    this.bytes = bytes;
    this.n = index.rows;
    this.names = new Map();
    this.axes = index.axes.map((axis, i) => ({ ...axis, codes: this.typed(index.axis_codes[i]) }));
    for (const axis of this.axes) this.names.set(axis.name, { pool: axis.values, codes: axis.codes });
    this.lowered = new Map();
  }

  // Whole numbers of a column, where they lie in the page's bytes: [offset, bytes per number, count]
  typed([offset, width, count]) {
    const Kind = { 1: Int8Array, 2: Int16Array, 4: Int32Array }[width];
    return new Kind(this.bytes, offset, count);
  }

  // Numbers of a column, which may have fractions: then they are pooled.
  numbers(column) {
    if (!column.pool) return this.typed(column);
    const codes = this.typed(column.codes);
    const nums = new Float64Array(codes.length);
    for (let row = 0; row < nums.length; row++) nums[row] = column.pool[codes[row]];
    return nums;
  }

  // A pooled column {pool, codes}; the codes become typed. `split` makes lists (flags) of the values.
  pooled(name, column, split) {
    const codes = this.typed(column.codes);
    const pool = split ? column.pool.map((value) => value.split(' ')) : column.pool;
    // An axis of the same name wins: the matrix's author chose it.
    if (!this.names.has(name)) this.names.set(name, { pool, codes });
    return { pool, codes };
  }

  numeric(name, nums) {
    if (!this.names.has(name)) this.names.set(name, { nums });
    return nums;
  }

  several(name, columns) {
    if (!this.names.has(name)) this.names.set(name, { columns });
  }

  facts(column) {
    const codes = this.typed(column.codes);
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

  // Asked several times for the case that is open, so the last answer is kept.
  rowOf(id) {
    if (this.last && this.last.id === id) return this.last.row;
    for (let row = 0; row < this.n; row++) {
      if (this.idOf(row) === id) {
        this.last = { id, row };
        return row;
      }
    }
    return -1;
  }

  // The id of a row that is about to be opened.
  named(row) {
    const id = this.idOf(row);
    this.last = { id, row };
    return id;
  }

  // A leaf is judged once per distinct value; rows only look its truth up.
  leaf(node) {
    const out = new Uint8Array(this.n);
    const source = this.names.get(node.name);
    if (!source) return out.fill(2);
    if (source.columns) {
      for (const { pool, codes } of source.columns) {
        const table = Uint8Array.from(pool, (value) => (leafTruth(node, value) === 1 ? 1 : 0));
        mark(out, codes, table);
      }
      return out;
    }
    if (source.nums) {
      const { nums } = source;
      for (let row = 0; row < out.length; row++) out[row] = leafTruth(node, nums[row]);
      return out;
    }
    const { pool, codes } = source;
    const table = Uint8Array.from(pool, (value) => leafTruth(node, value));
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
    const names = [...this.names.keys()].filter((name) => !name.startsWith('_')); // those are the page's own
    const mask = this.truth(compileExpression(trimmed, new Set([...names, 'is']), this.index.types));
    for (let row = 0; row < mask.length; row++) if (mask[row] === 2) mask[row] = 0;
    return mask;
  }

  // Every word must occur in some column of the row, or (with a bracket or slash) in its id.
  search(text) {
    const mask = new Uint8Array(this.n).fill(1);
    const sources = new Map();
    for (const source of this.names.values()) {
      for (const column of source.columns || (source.pool ? [source] : [])) sources.set(column.codes, column);
    }
    for (const word of text.toLowerCase().split(/\s+/)) {
      const found = new Uint8Array(this.n);
      for (const { pool, codes } of sources.values()) {
        const texts = this.lower(pool);
        mark(found, codes, Uint8Array.from(texts, (value) => (value.includes(word) ? 1 : 0)));
      }
      const whole = /[[\]/]/.test(word);
      for (let row = 0; row < mask.length; row++) {
        if (mask[row] && !found[row] && !(whole && this.idOf(row).toLowerCase().includes(word))) mask[row] = 0;
      }
    }
    return mask;
  }

  lower(pool) {
    let texts = this.lowered.get(pool);
    if (!texts) this.lowered.set(pool, (texts = pool.map((value) => String(value === undefined ? '' : value).toLowerCase())));
    return texts;
  }

  // Rows of the mask in the order of a column; rank of pooled values is by their text, numbers by size.
  order(mask, name, descending) {
    let total = 0;
    for (let row = 0; row < mask.length; row++) total += mask[row];
    const rows = new Int32Array(total);
    for (let row = 0, at = 0; row < mask.length; row++) if (mask[row]) rows[at++] = row;
    const source = name ? this.names.get(name) : null;
    if (!source) return descending ? rows.reverse() : rows;
    const { ranks, count } = this.ranked(source.columns ? source.columns[0] : source);
    return count <= MOST_RANKS ? counted(rows, ranks, count, descending) : sorted(rows, ranks, this.n, descending);
  }

  // One rank per row, from 0, made once per column.
  ranked(column) {
    if (!column.order) {
      if (column.nums) {
        const distinct = Float64Array.from(new Set(column.nums)).sort();
        const rankOf = new Map();
        distinct.forEach((value, rank) => rankOf.set(value, rank));
        column.order = { ranks: Int32Array.from(column.nums, (value) => rankOf.get(value)), count: distinct.length };
      } else {
        const rank = this.poolRanks(column.pool);
        const ranks = new Int32Array(this.n);
        for (let row = 0; row < ranks.length; row++) ranks[row] = column.codes[row] < 0 ? 0 : rank[column.codes[row]] + 1;
        column.order = { ranks, count: column.pool.length + 1 };
      }
    }
    return column.order;
  }

  poolRanks(pool) {
    const collator = new Intl.Collator('en', { numeric: true });
    const texts = pool.map(String);
    const rank = new Int32Array(pool.length);
    pool.map((value, code) => code).sort((a, b) => collator.compare(texts[a], texts[b])).forEach((code, at) => { rank[code] = at; });
    return rank;
  }
}

// Sets out[row] where the table says 1 for the row's code.
function mark(out, codes, table) {
  if (!table.includes(1)) return;
  for (let row = 0; row < out.length; row++) if (codes[row] >= 0 && table[codes[row]] === 1) out[row] = 1;
}

function counted(rows, ranks, count, descending) {
  const starts = new Int32Array(count + 1);
  const place = (row) => (descending ? count - 1 - ranks[row] : ranks[row]);
  for (let i = 0; i < rows.length; i++) starts[place(rows[i]) + 1]++;
  for (let rank = 0; rank < count; rank++) starts[rank + 1] += starts[rank];
  const out = new Int32Array(rows.length);
  for (let i = 0; i < rows.length; i++) out[starts[place(rows[i])]++] = rows[i];
  return out;
}

// One number holds rank and row, so that the engine's fast numeric sort does all the work.
function sorted(rows, ranks, size, descending) {
  const keys = new Float64Array(rows.length);
  for (let i = 0; i < rows.length; i++) keys[i] = (descending ? -ranks[rows[i]] : ranks[rows[i]]) * size + rows[i];
  keys.sort();
  for (let i = 0; i < rows.length; i++) rows[i] = ((keys[i] % size) + size) % size;
  return rows;
}
