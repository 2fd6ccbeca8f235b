// Pieces that several views share: badges, bars, definition lists.

import { el, count } from './util.js';

const CLASS_NAMES = {
  passed: 'passed', 'failed, silently': 'silent', failed: 'failed', died: 'died', 'no verdict': 'open', 'not run': 'idle',
};

export class Words {
  constructor(words) {
    this.outcomes = new Map(words.outcomes.map(([name, letter, klass, meaning, outstanding]) => (
      [name, { name, letter: name === 'pass' ? '✓' : letter, klass, meaning, outstanding, css: CLASS_NAMES[klass] || 'idle' }])));
    this.order = words.outcomes.map(([name]) => name);
  }

  of(name) {
    return this.outcomes.get(name) || { name, letter: '?', klass: 'no verdict', meaning: '', css: 'open' };
  }
}

// Outcome as letter and word: colour only repeats what they say.
export function badge(words, outcome, big) {
  const info = words.of(outcome);
  return el('span', { class: `badge ${info.css}${big ? ' big' : ''}`, title: info.meaning },
    el('span', { class: 'letter', 'aria-hidden': 'true' }, info.letter), info.name);
}

export function setBadge(node, words, outcome) {
  const info = words.of(outcome);
  if (node.dataset.outcome === outcome) return;
  node.dataset.outcome = outcome;
  node.replaceChildren(badge(words, outcome));
  node.title = info.meaning;
}

// A bar of the classes' shares. `counts` maps css class -> number.
export function bar(counts, total) {
  const order = ['died', 'failed', 'silent', 'open', 'idle', 'passed'];
  return el('span', { class: 'bar', 'aria-hidden': 'true' }, order.filter((css) => counts[css]).map((css) => (
    el('span', { class: `part ${css}`, style: { 'flex-grow': String(counts[css] / total) } }))));
}

export function pairs(items, label) {
  return el('table', { class: 'pairs', 'aria-label': label || null }, el('tbody', {}, items.map(([name, value]) => (
    el('tr', {}, el('th', { scope: 'row' }, name), el('td', {}, value))))));
}

export function section(title, ...content) {
  return el('section', { class: 'section' }, el('h3', {}, title), content);
}

export function chip({ pressed, css, letter, label, number, press, title }) {
  return el('button', {
    type: 'button', class: `chip ${css}`, 'aria-pressed': pressed ? 'true' : 'false', onclick: press, title: title || null,
  }, letter ? el('span', { class: 'letter', 'aria-hidden': 'true' }, letter) : null, label, el('span', { class: 'number' }, count(number)));
}
