// Draws who somebody is: a coloured square with an initial, and a name with its badges.

import { el } from './dom.js';
import { actors, nameOf } from './state.js';

const TONES = 6;

/** The square for a person, or the bot's sign for anybody who is not one of the people. */
export function avatar(id) {
  const index = actors().findIndex((each) => each.id === id);
  if (index < 0) return el('img', { class: 'avatar', src: '/play/page/icon.svg', alt: '' });
  return el('span', { class: `avatar tone-${index % TONES}`, 'aria-hidden': 'true' }, initial(nameOf(id)));
}

/** Whether this id is one of the people one may act as. */
export function isActor(id) {
  return actors().some((each) => each.id === id);
}

function initial(name) {
  return [...name][0]?.toUpperCase() ?? '?';
}
