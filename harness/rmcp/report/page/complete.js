// The filter box: an expression with completion (a combobox), errors shown under it while typing.

import { el } from './util.js';

const OFFERED = ['==', '!=', 'in [', '<', '>='];
const SHOWN = 60;
const WORD = /^[^\s()[\],'"<>=!]+$/;

const quoted = (value) => (WORD.test(value) ? value : value.includes('"') ? `'${value}'` : `"${value}"`);

// What may stand at the cursor: { start, words: [{text, hint}] }.
export function suggestions(text, cursor, table, flags) {
  const before = text.slice(0, cursor);
  const typed = /[^\s()[\],'"<>=!]*$/.exec(before)[0];
  const start = cursor - typed.length;
  const lead = before.slice(0, start).trimEnd();
  const inside = /([A-Za-z_][\w.-]*)\s+(?:not\s+)?in\s*\[[^\]]*$/.exec(lead);
  const after = /([A-Za-z_][\w.-]*)\s*(?:==|!=|<=|>=|<|>)\s*["']?$/.exec(lead);
  const name = inside ? inside[1] : after ? after[1] : null;
  let words;
  if (name) {
    const source = table.names.get(name);
    const pools = source ? (source.columns || [source]).flatMap((c) => c.pool || []) : [];
    const values = [...new Set(pools.flat().filter((v) => v !== undefined && v !== '').map(String))];
    words = values.slice(0, 2000).map((value) => ({ text: quoted(value), hint: name }));
  } else if (/(?:^|[\s(])(?:[A-Za-z_][\w.-]*)$/.test(lead) && !/(?:^|[\s(])(?:and|or|not)$/.test(lead)) {
    words = OFFERED.map((text) => ({ text, hint: 'operator' }));
  } else if (lead && !/(?:\(|(?:^|\s)(?:and|or|not))$/.test(lead)) {
    words = ['and', 'or'].map((text) => ({ text, hint: 'join' }));
  } else {
    words = [...table.names.keys()].filter((n) => !n.startsWith('_')).map((text) => ({ text, hint: hintOf(table, text) }));
    words.push(...flags.map(([text, hint]) => ({ text: `is:${text}`, hint })), { text: 'not', hint: 'negate' });
  }
  const low = typed.toLowerCase();
  const starts = words.filter((word) => word.text.toLowerCase().startsWith(low));
  const holds = words.filter((word) => !word.text.toLowerCase().startsWith(low) && word.text.toLowerCase().includes(low));
  return { start, words: [...starts, ...holds].slice(0, SHOWN) };
}

function hintOf(table, name) {
  const axis = table.axes.find((a) => a.name === name);
  if (axis) return `axis, ${axis.values.length} values`;
  const source = table.names.get(name);
  return source && source.nums ? 'number' : 'field';
}

export class FilterBox {
  constructor({ table, flags, change, leave, example }) {
    this.table = table;
    this.flags = flags;
    this.change = change;
    this.leave = leave;
    this.words = [];
    this.at = -1;
    this.start = 0;
    this.input = el('input', {
      type: 'text', id: 'filter', class: 'filter', role: 'combobox', autocomplete: 'off', spellcheck: 'false', autocapitalize: 'off',
      'aria-expanded': 'false', 'aria-controls': 'filter-list', 'aria-autocomplete': 'list', 'aria-describedby': 'filter-error',
      'aria-label': 'Filter: an expression or words to search for', placeholder: example,
    });
    this.list = el('ul', { id: 'filter-list', class: 'filter-list', role: 'listbox', 'aria-label': 'Completions', hidden: true });
    this.clear = el('button', { type: 'button', class: 'clear', 'aria-label': 'Clear the filter', title: 'Clear', hidden: true, onclick: () => this.set('', true) }, '×');
    this.error = el('div', { id: 'filter-error', class: 'filter-error', role: 'status' });
    this.node = el('div', { class: 'filter-box' }, this.input, this.clear, this.list, this.error);
    this.input.addEventListener('input', () => { this.suggest(); this.changed(); });
    this.input.addEventListener('focus', () => { if (!this.input.value) this.suggest(); });
    this.input.addEventListener('blur', () => setTimeout(() => this.close(), 120));
    this.input.addEventListener('keydown', (event) => this.key(event));
  }

  set(text, tell) {
    this.input.value = text;
    this.clear.hidden = !text;
    this.close();
    if (tell) { this.changed(); this.input.focus(); this.close(); }
  }

  changed() {
    this.clear.hidden = !this.input.value;
    this.change(this.input.value);
  }

  fault(error) {
    const text = this.input.value;
    this.input.setAttribute('aria-invalid', error ? 'true' : 'false');
    this.error.replaceChildren();
    if (!error) return;
    const at = Math.min(error.offset ?? 0, text.length);
    this.error.append(el('span', { class: 'where' }, text.slice(0, at), el('mark', {}, text.slice(at) || '␣')), ` ${error.message}`);
  }

  suggest() {
    const found = suggestions(this.input.value, this.input.selectionStart ?? 0, this.table, this.flags);
    this.words = found.words;
    this.start = found.start;
    this.at = -1;
    const typed = this.input.value.slice(found.start, this.input.selectionStart ?? 0);
    if (!this.words.length || (this.words.length === 1 && this.words[0].text === typed)) { this.close(); return; }
    this.list.replaceChildren(...this.words.map((word, index) => el('li', {
      id: `filter-${index}`, role: 'option', 'aria-selected': 'false',
      onmousedown: (event) => { event.preventDefault(); this.take(index); },
    }, el('span', { class: 'word' }, word.text), el('span', { class: 'hint' }, word.hint))));
    this.list.hidden = false;
    this.list.scrollTop = 0;
    this.input.setAttribute('aria-expanded', 'true');
    this.input.removeAttribute('aria-activedescendant');
  }

  close() {
    this.list.hidden = true;
    this.at = -1;
    this.input.setAttribute('aria-expanded', 'false');
    this.input.removeAttribute('aria-activedescendant');
  }

  point(at) {
    const items = this.list.children;
    if (items[this.at]) items[this.at].setAttribute('aria-selected', 'false');
    this.at = (at + items.length) % items.length;
    items[this.at].setAttribute('aria-selected', 'true');
    items[this.at].scrollIntoView({ block: 'nearest' });
    this.input.setAttribute('aria-activedescendant', `filter-${this.at}`);
  }

  take(index) {
    const word = this.words[index].text;
    const value = this.input.value;
    const rest = value.slice(this.input.selectionStart ?? value.length);
    const gap = word.endsWith('[') || rest.startsWith(' ') ? '' : ' ';
    this.input.value = value.slice(0, this.start) + word + gap + rest;
    const cursor = this.start + word.length + gap.length;
    this.input.focus();
    this.input.setSelectionRange(cursor, cursor);
    this.changed();
    this.suggest();
  }

  key(event) {
    const open = !this.list.hidden;
    if (event.key === 'ArrowDown') {
      if (!open) this.suggest();
      if (!this.list.hidden) this.point(this.at + 1);
    } else if (event.key === 'ArrowUp' && open) this.point(this.at < 0 ? -1 : this.at - 1);
    else if ((event.key === 'Enter' || event.key === 'Tab') && open && this.at >= 0) this.take(this.at);
    else if (event.key === 'Enter') { this.close(); this.leave(); }
    else if (event.key === 'Escape') {
      if (open) this.close();
      else this.leave();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
