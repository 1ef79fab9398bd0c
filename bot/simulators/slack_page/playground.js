// Draws the playground's own buttons, the state of the worker and what to know.

import { el, reconcile, setText } from './dom.js';
import { actInPlay, Refused } from './server.js';
import { state } from './state.js';
import { toast } from './toast.js';

/** Shows the buttons by group, then the worker. */
export function drawPlayground(body, note) {
  const worker = state.play?.worker;
  setText(note, worker ? (worker.alive ? '🟢 worker runs' : '🔴 worker is down') : '');
  reconcile(body, [...groups().map(groupItem), ...workerItem(worker), ...(state.play?.notices ?? []).map(noticeItem)]);
}

function groups() {
  const byName = new Map();
  for (const action of state.play?.actions ?? []) {
    const name = action.group ?? '';
    byName.set(name, [...(byName.get(name) ?? []), action]);
  }
  return [...byName];
}

function groupItem([name, actions]) {
  return {
    key: `group ${name}`,
    signature: JSON.stringify(actions),
    build: () => el('div', { class: 'group' }, name && el('h3', {}, name), el('ul', { class: 'acts' }, actions.map(actionRow))),
  };
}

function actionRow(action) {
  const tone = ['primary', 'danger'].includes(action.style) ? ` button-${action.style}` : '';
  const helpId = `help-${action.key}`;
  const button = el('button', {
    type: 'button',
    class: `button${tone}`,
    title: action.help,
    'aria-describedby': action.help ? helpId : null,
    'data-testid': `action-${action.key}`,
    'data-control': `action-${action.key}`,
    onclick: () => pressed(action, button),
  }, action.label);
  return el('li', {}, button, action.help && el('p', { id: helpId, class: 'help' }, action.help));
}

async function pressed(action, button) {
  button.setAttribute('aria-busy', 'true');
  try {
    const message = await actInPlay(action.key);
    if (message) toast(message);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    toast(`${action.label}: ${error.message}`, 'bad');
  } finally {
    button.removeAttribute('aria-busy');
  }
}

function workerItem(worker) {
  if (!worker) return [];
  const words = worker.alive ? `🟢 The worker runs (process ${worker.pid}).` : '🔴 The worker is down; a new one takes over by itself.';
  const restarts = worker.restarts ? ` Restarted ${worker.restarts} time${worker.restarts === 1 ? '' : 's'}.` : '';
  const text = words + restarts;
  return [{ key: 'worker', signature: text, build: () => el('p', { class: 'worker', 'data-testid': 'worker', role: 'status' }, text) }];
}

function noticeItem(text, index) {
  return { key: `notice ${index}`, signature: text, build: () => el('p', { class: 'quiet-line' }, text) };
}
