// The right column: what goes on behind Slack, in three parts that fold away.

import { drawAudit } from './audit.js';
import { byId, el } from './dom.js';
import { drawEngine } from './engine.js';
import { drawPlayground } from './playground.js';
import { keep, recall, state } from './state.js';

const PARTS = [
  { id: 'playground', title: 'Playground', draw: drawPlayground },
  { id: 'engine', title: 'Engine', draw: drawEngine },
  { id: 'audit', title: 'Audit trail', draw: drawAudit },
];
const folded = new Set(recall('folded') ?? []);
// Where the page has one column, the panel lies over the messages.
const lies = matchMedia('(max-width: 940px)');

/** Builds the three parts and the button that hides them all. */
export function startSide() {
  byId('side').append(...PARTS.map(part));
  byId('side-toggle').addEventListener('click', () => {
    showSide(byId('side').hidden);
    if (!lies.matches) keep('side', !byId('side').hidden);
  });
  byId('side').addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || !lies.matches) return;
    showSide(false);
    byId('side-toggle').focus();
  });
  lies.addEventListener('change', showSideAsKept);
  showSideAsKept();
}

/** Shows the present state in each part. */
export function drawSide() {
  if (state.play?.title) document.title = state.play.title;
  for (const { id, draw } of PARTS) draw(byId(`${id}-body`), byId(`${id}-note`));
}

function showSideAsKept() {
  showSide(!lies.matches && recall('side') !== false);
}

function showSide(open) {
  byId('side').hidden = !open;
  byId('side-toggle').setAttribute('aria-expanded', String(open));
  byId('side-toggle').textContent = open ? 'Hide panel' : 'Show panel';
}

function part({ id, title }) {
  const open = !folded.has(id);
  const body = el('div', { id: `${id}-body`, class: 'part-body', role: 'region', 'aria-label': title, 'data-testid': id, tabindex: '0' });
  body.hidden = !open;
  const section = el('section', { class: `part part-${id}` });
  const button = el('button', {
    type: 'button',
    'aria-expanded': String(open),
    'aria-controls': body.id,
    onclick: () => fold(id, section, button, body),
  }, title, el('span', { id: `${id}-note`, class: 'part-note', 'data-testid': `${id}-note` }));
  section.append(el('h2', {}, button), body);
  section.classList.toggle('folded', !open);
  return section;
}

function fold(id, section, button, body) {
  body.hidden = !body.hidden;
  button.setAttribute('aria-expanded', String(!body.hidden));
  section.classList.toggle('folded', body.hidden);
  if (body.hidden) folded.add(id);
  else folded.delete(id);
  keep('folded', [...folded]);
}
