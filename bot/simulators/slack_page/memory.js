// Remembers what a person chose or typed in each control, so that no redraw and no reload loses it.

import { keep, recall } from './state.js';

const KEPT_AT_MOST = 300;
const STATEFUL = {
  plain_text_input: 'value',
  email_text_input: 'value',
  url_text_input: 'value',
  number_input: 'value',
  datepicker: 'selected_date',
  static_select: 'selected_option',
  external_select: 'selected_option',
  radio_buttons: 'selected_option',
  checkboxes: 'selected_options',
};
const INITIAL = {
  value: 'initial_value',
  selected_date: 'initial_date',
  selected_option: 'initial_option',
  selected_options: 'initial_options',
};

const kept = new Map(recall('choices') ?? []);
const numbers = new Map();

/** The name of one control on one surface; equal for all copies of it on the page. */
export function controlName(surface, block, element) {
  return `${surface.key} ${block.block_id} ${element.action_id}`;
}

/** A short element id for a control, the same on every redraw. */
export function controlId(surface, block, element) {
  const name = controlName(surface, block, element);
  if (!numbers.has(name)) numbers.set(name, numbers.size + 1);
  return `control-${numbers.get(name)}`;
}

/** The present value of a control: what the person set, else what the bot preset. */
export function valueOf(surface, block, element) {
  const field = STATEFUL[element.type];
  const name = controlName(surface, block, element);
  if (kept.has(name) && stillOffered(element, kept.get(name))) return kept.get(name);
  return element[INITIAL[field]] ?? (field === 'selected_options' ? [] : null);
}

/** Remembers what the person set. */
export function setValue(surface, block, element, value) {
  const name = controlName(surface, block, element);
  kept.delete(name);
  kept.set(name, value);
  for (const oldest of kept.keys()) {
    if (kept.size <= KEPT_AT_MOST) break;
    kept.delete(oldest);
  }
  keep('choices', [...kept]);
}

/** All values of a view, in the form of Slack's `state.values`. */
export function collected(surface, blocks) {
  const values = {};
  for (const { block, element } of statefulElements(blocks)) {
    const value = valueOf(surface, block, element);
    values[block.block_id] ??= {};
    values[block.block_id][element.action_id] = { type: element.type, [STATEFUL[element.type]]: value };
  }
  return values;
}

/** The required inputs that are still empty, by block id, each with the sentence to show. */
export function missingInputs(surface, blocks) {
  const missing = {};
  for (const { block, element } of statefulElements(blocks)) {
    if (block.type !== 'input' || block.optional) continue;
    const value = valueOf(surface, block, element);
    if (value === null || value === '' || value.length === 0) missing[block.block_id] = 'Please complete this required field.';
  }
  return missing;
}

/** All options of a select, whether grouped or not. */
export function allOptions(element) {
  return element.options ?? (element.option_groups ?? []).flatMap((group) => group.options);
}

function statefulElements(blocks) {
  return blocks.flatMap((block) => {
    const elements = [block.element, block.accessory, ...(block.type === 'actions' ? block.elements : [])];
    return elements.filter((element) => element?.type in STATEFUL).map((element) => ({ block, element }));
  });
}

function stillOffered(element, value) {
  if (element.type === 'external_select' || STATEFUL[element.type] === 'value' || value === null) return true;
  const offered = new Set(allOptions(element).map((option) => option.value));
  if (STATEFUL[element.type] === 'selected_option') return offered.has(value.value);
  if (STATEFUL[element.type] === 'selected_options') return value.every((each) => offered.has(each.value));
  return true;
}
