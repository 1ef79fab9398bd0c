// The line where one types slash commands, with hints, a history and the global shortcuts.

import { byId, el, reconcile } from './dom.js';
import { openMenu } from './popup.js';
import { actInSlack, Refused } from './server.js';
import { currentChannel, keep, recall, state } from './state.js';

const HISTORY_AT_MOST = 30;
const history = recall('history') ?? [];
let back = 0;
let active = -1;
let parts = null;

/** Builds the composer. */
export function startComposer() {
  const input = el('textarea', {
    id: 'composer-input', rows: '1', 'data-testid': 'composer', 'aria-label': 'Type a slash command', maxlength: '4000', placeholder: 'Type a command: /resume help',
    'aria-autocomplete': 'list', 'aria-controls': 'composer-hints', 'aria-describedby': 'composer-problem',
    oninput: typed, onkeydown: keyed, onblur: () => hideHints(), onfocus: typed,
  });
  const hints = el('ul', { id: 'composer-hints', class: 'hints', role: 'listbox', 'aria-label': 'Slash commands', hidden: true });
  const problem = el('p', { id: 'composer-problem', class: 'problem', role: 'alert', hidden: true });
  const shortcuts = el('button', {
    type: 'button', class: 'quiet', 'aria-label': 'Shortcuts', title: 'Shortcuts', 'aria-haspopup': 'menu', 'aria-expanded': 'false', onclick: openShortcuts,
  }, '⚡');
  const send = el('button', { type: 'submit', class: 'send', 'aria-label': 'Send', title: 'Send' }, '➤');
  parts = { input, hints, problem, shortcuts, send };
  byId('composer').append(hints, problem, el('div', { class: 'composer-box' }, shortcuts, input, send));
  byId('composer').addEventListener('submit', (event) => {
    event.preventDefault();
    sendLine();
  });
}

/** Offers shortcuts only when there are some. */
export function drawComposer() {
  parts.shortcuts.hidden = globalShortcuts().length === 0;
}

function globalShortcuts() {
  return (state.slack?.shortcuts ?? []).filter((each) => each.type === 'global');
}

function openShortcuts() {
  openMenu(parts.shortcuts, globalShortcuts().map((each) => ({
    label: [each.name],
    act: () => tried(() => actInSlack('shortcut', { user: state.me, callback_id: each.callback_id })),
  })), 'Shortcuts');
}

function typed() {
  active = -1;
  back = 0;
  showProblem(null);
  drawHints();
}

function offered() {
  const text = parts.input.value;
  if (!text.startsWith('/')) return [];
  const word = text.split(/\s/)[0];
  return (state.slack?.commands ?? []).filter((each) => (word === text ? each.command.startsWith(word) : each.command === word));
}

function drawHints() {
  const commands = offered();
  parts.hints.hidden = commands.length === 0;
  reconcile(parts.hints, commands.map((each, index) => ({
    key: each.command,
    signature: `${each.hint} ${index === active}`,
    build: () => el('li', {
      id: `composer-hint-${index}`,
      role: 'option',
      'aria-selected': String(index === active),
      onpointerdown: (event) => {
        event.preventDefault();
        complete(each);
      },
    }, el('strong', {}, each.command), ' ', el('span', {}, each.hint ?? '')),
  })));
  if (active >= 0) parts.input.setAttribute('aria-activedescendant', `composer-hint-${active}`);
  else parts.input.removeAttribute('aria-activedescendant');
}

function hideHints() {
  active = -1;
  parts.hints.hidden = true;
}

function complete(command) {
  parts.input.value = `${command.command} `;
  parts.input.focus();
  active = -1;
  drawHints();
}

function keyed(event) {
  const commands = parts.hints.hidden ? [] : offered();
  const completing = commands.length > 0 && !/\s/.test(parts.input.value);
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (event.key === 'Enter' && !event.shiftKey) {
    event.preventDefault();
    if (completing && active >= 0) complete(commands[active]);
    else sendLine();
  } else if (event.key === 'Tab' && completing && !event.shiftKey) {
    event.preventDefault();
    complete(commands[Math.max(active, 0)]);
  } else if (event.key === 'Escape' && !parts.hints.hidden) {
    hideHints();
  } else if (step && completing) {
    event.preventDefault();
    active = (active + step + commands.length) % commands.length;
    drawHints();
  } else if (step && (parts.input.value === '' || back > 0)) {
    event.preventDefault();
    recallLine(step);
  }
}

function recallLine(step) {
  back = Math.max(0, Math.min(history.length, back - step));
  parts.input.value = back === 0 ? '' : history[history.length - back];
}

async function sendLine() {
  const line = parts.input.value.trim();
  if (!line) return;
  const problem = whyNot(line);
  if (problem) {
    showProblem(problem);
    return;
  }
  const [, command, text] = /^(\/\S+)\s*([\s\S]*)$/.exec(line);
  parts.input.value = '';
  remember(line);
  hideHints();
  parts.send.setAttribute('aria-busy', 'true');
  const went = await tried(() => actInSlack('command', { user: state.me, channel: currentChannel().id, command, text }));
  parts.send.removeAttribute('aria-busy');
  if (!went && parts.input.value === '') parts.input.value = line;
}

function whyNot(line) {
  if (!line.startsWith('/')) return 'The playground takes slash commands only. Try /resume help.';
  const commands = state.slack?.commands ?? [];
  const word = line.split(/\s/)[0];
  if (commands.length && !commands.some((each) => each.command === word)) {
    return `${word} is not a command here. There is ${commands.map((each) => each.command).join(' and ')}.`;
  }
  return null;
}

function remember(line) {
  if (history.at(-1) !== line) history.push(line);
  history.splice(0, history.length - HISTORY_AT_MOST);
  keep('history', history);
  back = 0;
}

async function tried(work) {
  showProblem(null);
  try {
    await work();
    return true;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    showProblem(error.message);
    return false;
  }
}

function showProblem(text) {
  parts.problem.hidden = !text;
  parts.problem.textContent = text ? `⚠️ ${text}` : '';
}
