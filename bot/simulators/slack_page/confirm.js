// Asks "are you sure?" as Block Kit's confirm object says.

import { el } from './dom.js';
import { textObject } from './mrkdwn.js';

/** Whether the person agrees; true at once when there is nothing to ask. */
export function confirmed(confirm) {
  if (!confirm) return Promise.resolve(true);
  return new Promise((resolve) => {
    const dialog = drawn(confirm);
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue === 'yes');
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

function drawn(confirm) {
  const tone = confirm.style === 'danger' ? 'danger' : 'primary';
  const dialog = el('dialog', { class: 'dialog dialog-small', 'aria-labelledby': 'confirm-title', 'data-testid': 'confirm' });
  dialog.append(
    el('header', { class: 'dialog-head' }, el('h2', { id: 'confirm-title' }, textObject(confirm.title))),
    el('div', { class: 'dialog-body text' }, textObject(confirm.text)),
    el('footer', { class: 'dialog-foot' },
      el('button', { type: 'button', class: 'button', onclick: () => dialog.close('no') }, textObject(confirm.deny)),
      el('button', { type: 'button', class: `button button-${tone}`, autofocus: true, onclick: () => dialog.close('yes') }, textObject(confirm.confirm))),
  );
  return dialog;
}
