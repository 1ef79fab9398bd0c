// Shows the topmost modal of the person as a dialog: typed text survives its updates, focus stays inside.

import { attempt, clearProblem, problemOf } from './actions.js';
import { drawBlocks } from './blocks.js';
import { el, reconcile } from './dom.js';
import { collected, missingInputs } from './memory.js';
import { plain } from './mrkdwn.js';
import { actInSlack } from './server.js';
import { change, state } from './state.js';

let shown = null;

/** Opens, updates or closes the dialog so that it shows the topmost view. */
export function drawModal() {
  const view = state.slack?.views?.at(-1);
  if (shown && shown.id !== view?.id) {
    shown.dialog.close();
    shown.dialog.remove();
    shown = null;
  }
  if (!view) return;
  if (shown) fill(view);
  else open(view);
}

function open(view) {
  const dialog = el('dialog', { class: 'dialog', 'aria-labelledby': 'modal-title', 'data-testid': 'modal' });
  const form = el('form', { novalidate: true, method: 'dialog', onsubmit: submit });
  dialog.append(form);
  form.append(
    el('header', { class: 'dialog-head' },
      el('h2', { id: 'modal-title' }),
      el('button', { type: 'button', class: 'quiet', 'aria-label': 'Dismiss', onclick: close }, '✕')),
    el('div', { class: 'dialog-body' }, el('div', { class: 'blocks' }), el('div', { class: 'dialog-problem' })),
    el('footer', { class: 'dialog-foot' }));
  // The browser closes on Escape by itself; here the simulator decides what follows.
  dialog.addEventListener('cancel', (event) => {
    event.preventDefault();
    close();
  });
  document.body.append(dialog);
  const surface = { key: `${state.me}/${view.id}`, where: null, blocks: () => topmost()?.blocks ?? [] };
  shown = { id: view.id, dialog, surface };
  fill(view);
  dialog.showModal();
  dialog.querySelector('.dialog-body :is(input, select, textarea)')?.focus();
}

function topmost() {
  return state.slack?.views?.at(-1);
}

function fill(view) {
  const { dialog, surface } = shown;
  dialog.querySelector('#modal-title').replaceChildren(...plain(view.title?.text ?? ''));
  drawBlocks(dialog.querySelector('.blocks'), surface, view.blocks ?? [], { ...view.errors, ...state.fieldErrors?.[view.id] });
  const problem = problemOf(surface);
  reconcile(dialog.querySelector('.dialog-problem'), problem
    ? [{ key: 'problem', signature: problem, build: () => el('p', { class: 'problem', role: 'alert' }, `⚠️ ${problem}`) }] : []);
  reconcile(dialog.querySelector('.dialog-foot'), footer(view));
}

function footer(view) {
  const closeLabel = view.close?.text ?? (view.submit ? 'Cancel' : 'Close');
  const items = [{
    key: 'close',
    signature: closeLabel,
    build: () => el('button', {
      type: 'button', class: 'button', 'data-testid': 'modal-close', 'data-control': 'modal-close', onclick: close,
    }, plain(closeLabel)),
  }];
  const submitLabel = view.submit?.text ?? (view.blocks?.some((block) => block.type === 'input') ? 'Submit' : null);
  if (submitLabel) {
    items.push({
      key: 'submit',
      signature: submitLabel,
      build: () => el('button', {
        type: 'submit', class: 'button button-primary', 'data-testid': 'modal-submit', 'data-control': 'modal-submit',
      }, plain(submitLabel)),
    });
  }
  return items;
}

async function submit(event) {
  event.preventDefault();
  const view = topmost();
  const { surface, dialog } = shown;
  clearProblem(surface);
  const missing = missingInputs(surface, view.blocks);
  setErrors(view, missing);
  if (Object.keys(missing).length) return;
  const button = dialog.querySelector('[data-testid="modal-submit"]');
  button.setAttribute('aria-busy', 'true');
  await attempt(surface, async () => {
    const answer = await actInSlack('submit', { user: state.me, values: collected(surface, view.blocks) });
    setErrors(view, answer.errors ?? {});
  });
  button.removeAttribute('aria-busy');
}

function setErrors(view, errors) {
  change({ fieldErrors: { [view.id]: errors } });
}

function close() {
  return attempt(shown.surface, () => actInSlack('close', { user: state.me }));
}
