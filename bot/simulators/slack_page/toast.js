// Short sentences at the lower edge of the page that go by themselves.

import { byId, el } from './dom.js';

const STAYS = 8000;
const AT_MOST = 3;

/** Shows a warning for a while. */
export function toast(text) {
  const box = byId('toasts');
  const node = el('div', { class: 'toast' },
    el('span', {}, `⚠️ ${text}`),
    el('button', { type: 'button', class: 'quiet', 'aria-label': 'Dismiss', onclick: () => node.remove() }, '✕'));
  box.append(node);
  while (box.children.length > AT_MOST) box.firstElementChild.remove();
  setTimeout(() => node.remove(), STAYS);
}
