// The strip for the first minutes: what to do now in a sentence, and the steps that tick themselves off as they happen.

import { byId, el, reconcile } from './dom.js';
import { actors, keep, nameOf, recall, state } from './state.js';

const ASKED = 'request:resume:requested';
const APPROVED = 'request:decision:approved';
const FAILED = 'request:outcome:failed';
const SUCCEEDED = 'request:outcome:succeeded';
const STEPS = ['Retry', 'Repair it', 'Approve', 'Success'];
const AFTERWARDS = '🎉 That was the whole loop. Now make it hard: act as somebody who may not, lose an answer, or kill the worker in the middle.';
const done = new Set();
let dismissed = recall('guide') === 'dismissed';

/** Shows the steps, or what to try after them. */
export function drawGuide() {
  // What has happened stays so when newer entries push its own out of sight.
  for (const entry of state.play?.audit ?? []) done.add(entry.action);
  const strip = byId('guide');
  strip.hidden = dismissed || !state.play || !state.slack;
  if (strip.hidden) return;
  const ticks = ticked();
  const current = hasFailedAgain() && !ticks[1] ? 1 : ticks.indexOf(false);
  reconcile(strip, current < 0 ? [sentence(AFTERWARDS), dismiss()] : [sentence(words(current)), steps(ticks, current), dismiss()]);
}

// A later step cannot happen without the earlier ones; only the repair may come at any time.
function ticked() {
  const succeeded = done.has(SUCCEEDED);
  const onItsWay = !hasFailedAgain();
  const approved = succeeded || (onItsWay && done.has(APPROVED));
  return [approved || (onItsWay && done.has(ASKED)), approved || state.play.repaired === true, approved, succeeded];
}

function hasFailedAgain() {
  return (state.play.audit ?? []).findLast((entry) => entry.action === FAILED || entry.action === ASKED)?.action === FAILED;
}

function words(current) {
  const requester = named(/request|asks|developer/i);
  const approver = named(/approv|release/i);
  if (hasFailedAgain()) {
    return current === 1 ? 'It ran and failed again, because nothing was repaired. Press “Repair it” in the panel.'
      : `Now it can pass: as ${requester}, press Retry on the card once more.`;
  }
  return [
    done.has('incident:notice:received')
      ? `A checkout has failed. As ${requester}, choose on its card where to resume, and press Retry.`
      : 'A checkout is failing at this moment: its card will be here in a few seconds.',
    `${requester} has asked. Before anybody approves, press “Repair it” in the panel, or it fails again.`,
    `Switch to ${approver} at the top, open the thread below the card, and press Approve there.`,
    'Approved. Watch it succeed: on the card, in the thread, and in the panel.',
  ][current];
}

function sentence(text) {
  return { key: 'sentence', signature: text, build: () => el('p', { class: 'guide-words', role: 'status' }, text) };
}

function steps(ticks, current) {
  return {
    key: 'steps',
    signature: JSON.stringify([ticks, current]),
    build: () => el('ol', { class: 'guide-steps' }, STEPS.map((name, index) => el('li', {
      class: index === current ? 'now' : null,
      'aria-current': index === current ? 'step' : null,
    }, el('span', { class: 'guide-sign', role: 'img', 'aria-label': ticks[index] ? 'done' : `step ${index + 1}` }, ticks[index] ? '✓' : String(index + 1)),
    name))),
  };
}

function named(role) {
  const found = actors().find((each) => role.test(each.role ?? ''));
  return found ? nameOf(found.id).split(' ')[0] : 'somebody else';
}

function dismiss() {
  return {
    key: 'dismiss',
    signature: '',
    build: () => el('button', {
      type: 'button', class: 'quiet guide-dismiss', 'aria-label': 'Hide these hints', title: 'Hide these hints',
      onclick: () => {
        dismissed = true;
        keep('guide', 'dismissed');
        byId('guide').hidden = true;
      },
    }, '✕'),
  };
}
