// The strip for the first minute: three steps that tick themselves off as they happen.

import { byId, el, reconcile } from './dom.js';
import { actors, keep, nameOf, recall, state } from './state.js';

const STEPS = [
  { action: 'request:resume:requested', words: (names) => `As ${names.requester}, press Retry on the card` },
  { action: 'request:decision:approved', words: (names) => `Switch to ${names.approver} and press Approve in the thread` },
  { action: 'request:outcome:succeeded', words: () => 'Watch it succeed, here and in the engine' },
];
const done = new Set();
let dismissed = recall('guide') === 'dismissed';

/** Shows the steps, or what to try after them. */
export function drawGuide() {
  for (const entry of state.play?.audit ?? []) {
    if (STEPS.some((step) => step.action === entry.action)) done.add(entry.action);
  }
  const strip = byId('guide');
  strip.hidden = dismissed || !state.play || !state.slack;
  if (!strip.hidden) reconcile(strip, [title(), steps(), dismiss()]);
}

function isDone(index) {
  // A later step cannot happen without the earlier ones, which may have left the newest entries.
  return STEPS.slice(index).some((step) => done.has(step.action));
}

function title() {
  const text = isDone(STEPS.length - 1) ? '🎉 That was the whole loop' : 'Try it:';
  return { key: 'title', signature: text, build: () => el('strong', { class: 'guide-title' }, text) };
}

function steps() {
  const names = { requester: named(/request|asks|developer/i, 'Rita'), approver: named(/approv|release/i, 'Arno') };
  const current = STEPS.findIndex((_step, index) => !isDone(index));
  const signature = JSON.stringify([names, current]);
  return {
    key: 'steps',
    signature,
    build: () => el('ol', { class: 'guide-steps' }, current < 0 ? afterwards() : STEPS.map((step, index) => el('li', {
      class: index === current ? 'now' : null,
      'aria-current': index === current ? 'step' : null,
    }, el('span', { class: 'guide-sign', role: 'img', 'aria-label': isDone(index) ? 'done' : `step ${index + 1}` }, isDone(index) ? '✓' : String(index + 1)),
    step.words(names)))),
  };
}

function afterwards() {
  return el('li', { class: 'now' }, 'Now make it hard: act as somebody who may not, lose the engine’s answer, or kill the worker in the middle.');
}

function named(role, otherwise) {
  const found = actors().find((each) => role.test(each.role ?? ''));
  return found ? nameOf(found.id).split(' ')[0] : otherwise;
}

function dismiss() {
  return {
    key: 'dismiss',
    signature: '',
    build: () => el('button', {
      type: 'button', class: 'quiet', 'aria-label': 'Hide these hints', title: 'Hide these hints',
      onclick: () => {
        dismissed = true;
        keep('guide', 'dismissed');
        byId('guide').hidden = true;
      },
    }, '✕'),
  };
}
