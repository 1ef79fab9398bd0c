// Draws the audit trail, newest entry first, each line open to its full record.

import { clockOfIso } from './dates.js';
import { el, reconcile, setText } from './dom.js';
import { person, state } from './state.js';

const SIGNS = [
  [/refused|rejected|failed|not_sent/, '⛔'],
  [/unknown|expired|superseded|cancelled/, '⚠️'],
  [/approved|succeeded/, '✅'],
  [/:call:sent/, '📤'],
  [/:receipt:/, '📥'],
  [/^request:/, '✋'],
  [/^incident:/, '🚨'],
  [/^bot:/, '🤖'],
];

let newest = null;

/** Shows the entries. */
export function drawAudit(body, note) {
  const entries = [...(state.play?.audit ?? [])].reverse();
  setText(note, entries.length ? `${entries.length} ${entries.length === 1 ? 'entry' : 'entries'}` : '');
  const before = newest;
  newest = entries[0]?.id ?? newest;
  reconcile(body, entries.length ? entries.map((entry) => entryItem(entry, before !== null && entry.id > before)) : [{
    key: 'none', signature: '', build: () => el('p', { class: 'quiet-line' }, 'Whatever happens is written down here.'),
  }]);
}

function entryItem(entry, fresh) {
  // Names of people come with the other state and may be late.
  const actor = actorName(entry.actor);
  return { key: entry.id, signature: actor, build: () => drawEntry(entry, actor, fresh) };
}

function drawEntry(entry, actor, fresh) {
  const [, sign] = SIGNS.find(([pattern]) => pattern.test(entry.action)) ?? [null, '•'];
  const about = [...new Set([entry.request, entry.incident, entry.subject])].filter(Boolean).join(' · ');
  return el('details', { class: fresh ? 'entry fresh' : 'entry', 'data-action': entry.action },
    el('summary', {},
      el('span', { class: 'entry-sign', 'aria-hidden': 'true' }, sign),
      el('span', { class: 'entry-line' },
        el('time', { title: entry.at }, clockOfIso(entry.at)), ' ',
        el('strong', { title: entry.actor }, actor), ' ',
        el('code', {}, entry.action)),
      el('span', { class: 'entry-about', title: about }, about)),
    el('pre', { tabindex: '0', 'aria-label': `Record ${entry.id}` }, JSON.stringify(entry, null, 2)));
}

function actorName(actor) {
  const [kind, rest] = (actor ?? '').split(/:(.*)/);
  if (kind === 'slack') {
    const id = rest.split('/').at(-1);
    return person(id)?.real_name || person(id)?.name || id;
  }
  if (kind === 'engine') return `engine ${rest}`;
  if (kind === 'shell') return `shell ${rest}`;
  return kind || 'bot';
}
