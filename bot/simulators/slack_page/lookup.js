// Draws external_select: a text field that asks the bot for options while one types.

import { choose, suggestions } from './actions.js';
import { el } from './dom.js';
import { controlId, controlName, setValue, valueOf } from './memory.js';
import { plain } from './mrkdwn.js';
import { closePopup, hasPopup, openPopup } from './popup.js';
import { Refused } from './server.js';

const TYPING_PAUSE = 200;
const DEFAULT_MIN_LENGTH = 3;

/** The control for an external select. */
export function drawLookup(surface, block, element, names) {
  const lookup = { surface, block, element, asked: 0, timer: null, active: -1, list: null };
  const input = el('input', {
    id: controlId(surface, block, element),
    class: 'field field-lookup',
    type: 'text',
    role: 'combobox',
    autocomplete: 'off',
    placeholder: element.placeholder?.text ?? 'Type to search',
    'aria-expanded': 'false',
    'aria-autocomplete': 'list',
    'data-control': controlName(surface, block, element),
    ...names,
    oninput: () => typed(lookup, input),
    onfocus: () => input.select(),
    onclick: () => typed(lookup, input, ''),
    onkeydown: (event) => keyed(event, lookup, input),
    onblur: () => left(lookup, input),
  });
  showChosen(lookup, input);
  return input;
}

function chosenLabel({ surface, block, element }) {
  const chosen = valueOf(surface, block, element);
  return chosen ? plain(chosen.text.text).join('') : '';
}

function showChosen(lookup, input) {
  input.value = chosenLabel(lookup);
  input.title = input.value;
}

function typed(lookup, input, text = input.value) {
  clearTimeout(lookup.timer);
  const needed = lookup.element.min_query_length ?? DEFAULT_MIN_LENGTH;
  if (text.length < needed) {
    show(lookup, input, [], `Type at least ${needed} character${needed === 1 ? '' : 's'}.`);
    return;
  }
  lookup.timer = setTimeout(() => ask(lookup, input, text), TYPING_PAUSE);
}

async function ask(lookup, input, text) {
  const turn = (lookup.asked += 1);
  let options = [];
  let note = 'Nothing fits.';
  try {
    options = await suggestions(lookup.surface, lookup.block, lookup.element, text);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    note = `The bot gave no options: ${error.message}`;
  }
  // A later keystroke or a click elsewhere makes this answer old.
  if (turn === lookup.asked && document.activeElement === input) show(lookup, input, options, note);
}

function show(lookup, input, options, note) {
  const list = el('ul', { role: 'listbox', id: `${input.id}-list`, 'aria-label': 'Options' }, options.length === 0
    ? el('li', { class: 'popup-note' }, note)
    : options.map((option, index) => el('li', {
      role: 'option',
      id: `${input.id}-option-${index}`,
      'aria-selected': 'false',
      // The field would lose the focus, and with it the list, before the click.
      onpointerdown: (event) => event.preventDefault(),
      onclick: () => take(lookup, input, option),
    }, plain(option.text.text))));
  Object.assign(lookup, { list, options, active: -1 });
  input.setAttribute('aria-controls', list.id);
  input.setAttribute('aria-expanded', 'true');
  openPopup(input, list, () => {
    input.setAttribute('aria-expanded', 'false');
    input.removeAttribute('aria-activedescendant');
  });
}

function keyed(event, lookup, input) {
  if (!hasPopup(input)) return;
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && lookup.options.length) {
    event.preventDefault();
    mark(lookup, input, (lookup.active + step + lookup.options.length) % lookup.options.length);
  } else if (event.key === 'Enter' && lookup.active >= 0) {
    event.preventDefault();
    take(lookup, input, lookup.options[lookup.active]);
  } else if (event.key === 'Escape') {
    event.preventDefault();
    event.stopPropagation();
    closePopup();
  }
}

function mark(lookup, input, index) {
  lookup.list.children[lookup.active]?.setAttribute('aria-selected', 'false');
  const item = lookup.list.children[index];
  item.setAttribute('aria-selected', 'true');
  item.scrollIntoView({ block: 'nearest' });
  input.setAttribute('aria-activedescendant', item.id);
  lookup.active = index;
}

function take(lookup, input, option) {
  const { surface, block, element } = lookup;
  closePopup();
  setValue(surface, block, element, option);
  showChosen(lookup, input);
  if (block.type !== 'input' || block.dispatch_action) choose(surface, block, element, option.value);
}

function left(lookup, input) {
  clearTimeout(lookup.timer);
  lookup.asked += 1;
  if (hasPopup(input)) closePopup();
  const { surface, block, element } = lookup;
  if (input.value === '' && block.optional) setValue(surface, block, element, null);
  showChosen(lookup, input);
}
