// Draws the elements of Block Kit that one presses or looks at; fields.js draws those that hold a value.

import { press } from './actions.js';
import { el } from './dom.js';
import { drawField, isField } from './fields.js';
import { controlName } from './memory.js';
import { plain, textObject } from './mrkdwn.js';
import { openMenu } from './popup.js';

const ADDRESS = /^https?:\/\//i;

/** The reconcile item of one element; `label` names a control that has no label of its own. */
export function elementItem(surface, block, element, index, label) {
  return {
    key: `${element.type} ${element.action_id ?? index}`,
    signature: JSON.stringify(element),
    build: () => drawElement(surface, block, element, label),
  };
}

function drawElement(surface, block, element, label) {
  if (isField(element)) return drawField(surface, block, element, { label });
  switch (element.type) {
    case 'button':
      return button(surface, block, element);
    case 'overflow':
      return overflow(surface, block, element);
    case 'image':
      return image(element);
    case 'plain_text':
    case 'mrkdwn':
      return el('span', { class: 'text' }, textObject(element));
    default:
      return unsupported(element.type);
  }
}

/** A picture is shown by its words: the page loads nothing from elsewhere. */
export function image(element) {
  return el('span', { class: 'picture', role: 'img', 'aria-label': element.alt_text }, '🖼 ', element.alt_text ?? 'image');
}

/** A line for a kind of block or element the page does not draw. */
export function unsupported(type) {
  return el('span', { class: 'unsupported' }, `This page does not draw “${type}”.`);
}

function button(surface, block, element) {
  const tone = ['primary', 'danger'].includes(element.style) ? ` button-${element.style}` : '';
  const outward = ADDRESS.test(element.url ?? '');
  const node = el('button', {
    type: 'button',
    class: `button${tone}${outward ? ' button-link' : ''}`,
    'aria-label': element.accessibility_label,
    'data-control': controlName(surface, block, element),
    onclick: async () => {
      if (outward) window.open(element.url, '_blank', 'noopener');
      node.setAttribute('aria-busy', 'true');
      await press(surface, block, element);
      node.removeAttribute('aria-busy');
    },
  }, textObject(element.text));
  return node;
}

function overflow(surface, block, element) {
  const node = el('button', {
    type: 'button',
    class: 'button button-more',
    'aria-label': 'More actions',
    'aria-haspopup': 'menu',
    'aria-expanded': 'false',
    'data-control': controlName(surface, block, element),
    onclick: () => openMenu(node, element.options.map((option) => ({
      label: plain(option.text.text),
      act: () => {
        if (ADDRESS.test(option.url ?? '')) window.open(option.url, '_blank', 'noopener');
        press(surface, block, element, option.value);
      },
    })), 'More actions'),
  }, '•••');
  return node;
}
