// Draws the switch of who one is, the most used control of the page.

import { avatar } from './avatar.js';
import { byId, el, reconcile } from './dom.js';
import { actors, nameOf, state } from './state.js';

/** Shows the people one may act as; `become` is called with the id of the one pressed. */
export function drawPeople(become) {
  reconcile(byId('people'), actors().map((person) => {
    const current = person.id === state.me;
    return {
      key: person.id,
      signature: JSON.stringify([person, current]),
      build: () => el('button', {
        type: 'button',
        class: 'person',
        'data-testid': `person-${person.id}`,
        'data-control': `person-${person.id}`,
        'aria-pressed': String(current),
        title: `Act as ${nameOf(person.id)}: ${roleOf(person)}`,
        onclick: () => become(person.id),
      },
      avatar(person.id),
      el('span', { class: 'person-words' }, el('strong', {}, nameOf(person.id)), el('small', {}, roleOf(person)))),
    };
  }));
}

function roleOf(person) {
  if (person.role) return person.role;
  if (person.foreign) return 'other organisation';
  return person.guest ? 'guest' : 'member';
}
