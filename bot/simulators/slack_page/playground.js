// Draws the playground's own buttons, the state of the worker and what to know.

import { clockOfIso } from './dates.js';
import { el, reconcile, setText } from './dom.js';
import { actInPlay, Refused } from './server.js';
import { state } from './state.js';

const RESULT_STAYS = 10_000;

/** Shows the buttons by group, brief ones close together, and the worker beside the title. */
export function drawPlayground(body, note) {
  const worker = state.play?.worker;
  setText(note, workerWords(worker));
  note.title = worker?.since ? `Since ${clockOfIso(worker.since)}` : '';
  reconcile(body, [...groups().map(groupItem), ...(state.play?.notices ?? []).map(noticeItem)]);
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
    build: () => el('div', { class: 'group' }, name && el('h3', {}, name),
      el('ul', { class: actions.every((each) => each.brief) ? 'acts acts-brief' : 'acts' }, actions.map(actionRow))),
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
  const helpClass = action.brief ? 'hear-only' : 'help';
  return el('li', {}, button, action.help && el('p', { id: helpId, class: helpClass }, action.help));
}

async function pressed(action, button) {
  button.setAttribute('aria-busy', 'true');
  try {
    const message = await actInPlay(action.key);
    if (message) say(button, `✅ ${message}`);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    say(button, `⚠️ ${error.message}`);
  } finally {
    button.removeAttribute('aria-busy');
  }
}

function say(button, text) {
  const group = button.closest('.group');
  group.querySelector('.result')?.remove();
  const line = el('p', { class: 'result', role: 'status' });
  group.append(line);
  // A status is read out when its text changes, not when it comes with one.
  line.textContent = text;
  setTimeout(() => line.remove(), RESULT_STAYS);
}

function workerWords(worker) {
  if (!worker) return '';
  const restarts = worker.restarts ? `, restarted ${worker.restarts}×` : '';
  return worker.alive ? `🟢 worker ${worker.pid}${restarts}` : `🔴 worker down${restarts}`;
}

function noticeItem(text, index) {
  return { key: `notice ${index}`, signature: text, build: () => el('p', { class: 'quiet-line' }, text) };
}
