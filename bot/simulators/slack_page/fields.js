// Draws the elements of Block Kit that hold a value and remembers what is put into them.

import { choose } from './actions.js';
import { confirmed } from './confirm.js';
import { el } from './dom.js';
import { drawLookup } from './lookup.js';
import { allOptions, controlId, controlName, setValue, valueOf } from './memory.js';
import { plain, textObject } from './mrkdwn.js';

const TEXT_KINDS = { plain_text_input: 'text', email_text_input: 'email', url_text_input: 'url', number_input: 'number' };

const DRAW = {
  plain_text_input: textField,
  email_text_input: textField,
  url_text_input: textField,
  number_input: textField,
  datepicker: dateField,
  static_select: selectField,
  external_select: drawLookup,
  radio_buttons: radioButtons,
  checkboxes,
};

/** Whether an element holds a value. */
export function isField(element) {
  return element.type in DRAW;
}

/** Whether an element is a group of controls, which a label cannot name by `for`. */
export function isGroup(element) {
  return element.type === 'radio_buttons' || element.type === 'checkboxes';
}

/** The control for an element; named by the element with id `labelledBy`, or by `label`. */
export function drawField(surface, block, element, { label, labelledBy, describedBy } = {}) {
  const names = {
    'aria-label': labelledBy ? null : label || element.placeholder?.text || 'Choose',
    'aria-labelledby': labelledBy,
    'aria-describedby': describedBy,
  };
  return DRAW[element.type](surface, block, element, names);
}

function reacts(block) {
  return block.type !== 'input' || block.dispatch_action === true;
}

function shared(surface, block, element, names) {
  return { id: controlId(surface, block, element), 'data-control': controlName(surface, block, element), ...names };
}

function textField(surface, block, element, names) {
  const remember = () => setValue(surface, block, element, node.value === '' ? null : node.value);
  const told = () => reacts(block) && choose(surface, block, element, node.value);
  const props = {
    ...shared(surface, block, element, names),
    class: 'field',
    placeholder: element.placeholder?.text,
    maxlength: element.max_length ?? 3000,
    oninput: remember,
    onchange: told,
  };
  const node = element.multiline
    ? el('textarea', { ...props, rows: 4 })
    : el('input', { ...props, type: TEXT_KINDS[element.type], step: element.is_decimal_allowed ? 'any' : null });
  node.value = valueOf(surface, block, element) ?? '';
  return node;
}

function dateField(surface, block, element, names) {
  const node = el('input', {
    ...shared(surface, block, element, names),
    class: 'field field-date',
    type: 'date',
    onchange: () => {
      setValue(surface, block, element, node.value || null);
      if (reacts(block)) choose(surface, block, element, node.value);
    },
  });
  node.value = valueOf(surface, block, element) ?? '';
  return node;
}

function selectField(surface, block, element, names) {
  const optional = block.type === 'input' && block.optional === true;
  const node = el('select', { ...shared(surface, block, element, names), onchange: () => selected(node, surface, block, element) },
    el('option', { value: '', disabled: !optional, hidden: !optional }, plain(element.placeholder?.text ?? 'Choose…')),
    element.option_groups
      ? element.option_groups.map((group) => el('optgroup', { label: plain(group.label.text).join('') }, group.options.map(option)))
      : element.options.map(option));
  node.value = valueOf(surface, block, element)?.value ?? '';
  node.title = node.selectedOptions[0]?.textContent ?? '';
  return el('span', { class: 'select' }, node);
}

function option(each) {
  return el('option', { value: each.value }, plain(each.text.text));
}

async function selected(node, surface, block, element) {
  const wanted = node.value;
  if (!(await confirmed(element.confirm))) {
    node.value = valueOf(surface, block, element)?.value ?? '';
    return;
  }
  const chosen = allOptions(element).find((each) => each.value === wanted) ?? null;
  setValue(surface, block, element, chosen);
  mirror(node, wanted);
  if (chosen && reacts(block)) await choose(surface, block, element, chosen.value);
}

// A card stands in the channel and at the head of its open thread: both show the one choice.
function mirror(node, value) {
  for (const copy of document.querySelectorAll('select[data-control]')) {
    if (copy.dataset.control !== node.dataset.control) continue;
    copy.value = value;
    copy.title = copy.selectedOptions[0]?.textContent ?? '';
  }
}

function radioButtons(surface, block, element, names) {
  const group = controlId(surface, block, element);
  const present = valueOf(surface, block, element)?.value;
  return el('div', { role: 'radiogroup', class: 'choices', id: group, ...names }, element.options.map((each) => choice({
    type: 'radio',
    name: group,
    checked: each.value === present,
    control: `${controlName(surface, block, element)} ${each.value}`,
    option: each,
    changed: () => {
      setValue(surface, block, element, each);
      if (reacts(block)) choose(surface, block, element, each.value);
    },
  })));
}

function checkboxes(surface, block, element, names) {
  const isChosen = (each) => valueOf(surface, block, element).some((other) => other.value === each.value);
  return el('div', { role: 'group', class: 'choices', id: controlId(surface, block, element), ...names }, element.options.map((each) => choice({
    type: 'checkbox',
    checked: isChosen(each),
    control: `${controlName(surface, block, element)} ${each.value}`,
    option: each,
    changed: (checked) => {
      const others = valueOf(surface, block, element).filter((other) => other.value !== each.value);
      const chosen = checked ? [...others, each] : others;
      setValue(surface, block, element, chosen);
      if (reacts(block)) choose(surface, block, element, chosen.map((one) => one.value));
    },
  })));
}

function choice({ type, name, checked, control, option: each, changed }) {
  const box = el('input', { type, name, 'data-control': control, onchange: () => changed(box.checked) });
  box.checked = checked;
  return el('label', { class: 'choice' }, box, el('span', { class: 'text' },
    textObject(each.text),
    each.description && el('small', {}, textObject(each.description))));
}
