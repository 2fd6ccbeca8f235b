// Start: unpack the index, build the view of its kind, say when it is ready.

import { el, unpack, unpackBytes } from './util.js';
import { Words } from './parts.js';
import { Table } from './table.js';
import { State } from './state.js';
import { RunView } from './run.js';
import { CompareView } from './compare.js';
import { compileExpression, evaluate } from './expr.js';

const VIEWS = { run: RunView, compare: CompareView };

async function start() {
  const root = document.getElementById('app');
  try {
    const [index, columns] = await Promise.all([unpack('index'), unpackBytes('columns')]);
    const view = new VIEWS[index.kind](index, new Table(index, columns), new Words(index.words), new State());
    view.build(root);
    // For the tests of the page, and for whoever wants to ask the data more in the browser's console.
    globalThis.rmcp = { view, compileExpression, evaluate };
  } catch (error) {
    root.replaceChildren(el('p', { class: 'filter-error' }, `This page could not be shown: ${error.message}. It needs a browser of 2023 or newer; summary.md beside it holds the same counts.`));
    console.error(error);
  }
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
}

start();
