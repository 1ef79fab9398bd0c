// Draws the engines' own view: executions with their steps.

import { el, reconcile, setText } from './dom.js';
import { link } from './mrkdwn.js';
import { state } from './state.js';

const STATUSES = [
  [/unknown|unclear/i, 'unclear', '❔'],
  [/not.?started|skip|planned|todo/i, 'idle', '▫️'],
  [/fail|error|abort|expired|killed|cancel/i, 'bad', '❌'],
  [/succe|complete|done|ok$/i, 'good', '✅'],
  [/paus|suspend|block|backing|wait|queue|schedul|pending|ready/i, 'waiting', '⏸️'],
  [/run|progress|start|resum|retry/i, 'busy', '🔵'],
];

/** Shows the connections and their executions. */
export function drawEngine(body, note) {
  const engines = state.play?.engines ?? [];
  const executions = engines.flatMap((each) => each.executions ?? []);
  setText(note, executions.length ? `${executions.length} execution${executions.length === 1 ? '' : 's'}` : '');
  reconcile(body, engines.length ? engines.map(engineItem) : [{
    key: 'none', signature: '', build: () => el('p', { class: 'quiet-line' }, 'No engine has spoken yet.'),
  }]);
}

function engineItem(engine) {
  const executions = engine.executions ?? [];
  const fill = (node) => reconcile(node.lastElementChild, executions.length ? executions.map(executionItem) : [nothing()]);
  return {
    key: engine.connection,
    signature: JSON.stringify(engine),
    build: () => {
      const node = el('div', { class: 'engine' },
        el('h3', {}, engine.title || engine.connection, el('code', { title: engine.engine }, engine.connection)),
        el('div', { class: 'executions' }));
      fill(node);
      return node;
    },
    update: fill,
  };
}

function nothing() {
  return { key: 'none', signature: '', build: () => el('p', { class: 'quiet-line' }, 'Nothing has run here yet.') };
}

function executionItem(execution) {
  return { key: execution.id, signature: JSON.stringify(execution), build: () => drawExecution(execution) };
}

function drawExecution(execution) {
  const id = el('span', { class: 'execution-id', title: execution.id }, execution.id);
  return el('div', { class: 'execution' },
    el('div', { class: 'execution-head' },
      el('strong', { title: execution.name }, execution.name || execution.id),
      chip(execution.status, execution.status)),
    el('div', { class: 'execution-sub' }, execution.link ? link(execution.link, id) : id),
    execution.steps?.length > 0 && el('ol', { class: 'steps' }, execution.steps.map((step) => el('li', {}, chip(step.status, step.name)))),
    execution.note && el('p', { class: 'quiet-line' }, execution.note));
}

/** A state in sign and words; a step shows its name beside the sign and its status to listeners. */
function chip(status, words) {
  const [, tone, sign] = STATUSES.find(([pattern]) => pattern.test(status ?? '')) ?? [null, 'idle', '▫️'];
  return el('span', { class: `chip chip-${tone}`, title: `${words}: ${status}` },
    el('span', { 'aria-hidden': 'true' }, `${sign} `), words,
    words !== status && el('span', { class: 'hear-only' }, ` ${status}`));
}
