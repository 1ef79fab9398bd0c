// Draws a list of Block Kit blocks and keeps it current, block by block and element by element.

import { el, reconcile } from './dom.js';
import { elementItem, image, unsupported } from './elements.js';
import { drawField, isField, isGroup } from './fields.js';
import { controlId } from './memory.js';
import { plain, textObject } from './mrkdwn.js';
import { richText } from './rich_text.js';

const PARTS = {
  header: (_surface, block) => [fixed('text', block.text, () => el('h2', {}, plain(block.text.text, block.text.emoji !== false)))],
  section: sectionParts,
  context: (surface, block) => block.elements.map((element, index) => elementItem(surface, block, element, index)),
  actions: (surface, block) => block.elements.map((element, index) => elementItem(surface, block, element, index)),
  divider: () => [fixed('line', null, () => el('hr'))],
  input: inputParts,
  image: imageParts,
  rich_text: (_surface, block) => [fixed('text', block.elements, () => el('div', { class: 'text' }, richText(block.elements)))],
  markdown: (_surface, block) => [fixed('text', block.text, () => el('div', { class: 'text' }, plain(block.text)))],
};

/** Makes `container` show these blocks of a surface, redrawing only what changed; `errors` are sentences by block id. */
export function drawBlocks(container, surface, blocks, errors = {}) {
  reconcile(container, blocks.map((block, index) => {
    const kind = block.type in PARTS ? block.type : 'unknown';
    const fill = (node) => reconcile(node, parts(surface, block, errors[block.block_id]));
    return {
      key: `${block.type} ${block.block_id ?? index}`,
      signature: JSON.stringify([block, errors[block.block_id]]),
      build: () => {
        const node = el('div', { class: `block block-${kind}` });
        fill(node);
        return node;
      },
      update: fill,
    };
  }));
}

function parts(surface, block, error) {
  const draw = PARTS[block.type];
  if (draw) return draw(surface, block, error);
  return [fixed('unknown', block.type, () => unsupported(block.type))];
}

function fixed(key, content, build) {
  return { key, signature: JSON.stringify(content), build };
}

function sectionParts(surface, block) {
  const items = [];
  if (block.text) items.push(fixed('text', block.text, () => el('div', { class: 'text' }, textObject(block.text))));
  if (block.fields) {
    items.push(fixed('fields', block.fields, () => el('div', { class: 'fields' },
      block.fields.map((field) => el('div', { class: 'text' }, textObject(field))))));
  }
  if (block.accessory) {
    const item = elementItem(surface, block, block.accessory, 0, block.accessory.placeholder?.text);
    items.push({ ...item, build: () => el('div', { class: 'accessory' }, item.build()) });
  }
  return items;
}

function imageParts(_surface, block) {
  return [fixed('image', block, () => el('figure', {}, image(block), block.title && el('figcaption', {}, textObject(block.title))))];
}

function inputParts(surface, block, error) {
  const { element } = block;
  if (!isField(element)) return [fixed('unknown', element.type, () => unsupported(element.type))];
  const id = controlId(surface, block, element);
  const described = [block.hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(' ') || null;
  const labelProps = isGroup(element) ? { id: `${id}-label` } : { id: `${id}-label`, for: id };
  const items = [
    fixed('label', [block.label, block.optional], () => el(isGroup(element) ? 'div' : 'label', { class: 'label', ...labelProps },
      plain(block.label.text), block.optional && el('small', {}, ' (optional)'))),
    {
      key: `${element.type} ${element.action_id}`,
      signature: JSON.stringify([element, described]),
      build: () => drawField(surface, block, element, { labelledBy: `${id}-label`, describedBy: described }),
    },
  ];
  if (error) items.push(fixed('error', error, () => el('p', { class: 'problem', id: `${id}-error`, role: 'alert' }, `⚠️ ${error}`)));
  if (block.hint) items.push(fixed('hint', block.hint, () => el('p', { class: 'hint', id: `${id}-hint` }, plain(block.hint.text))));
  return items;
}
