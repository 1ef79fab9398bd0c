// Shows App Home, the bot's own page for each person.

import { attempt, problemOf } from './actions.js';
import { drawBlocks } from './blocks.js';
import { byId, el, reconcile, setText } from './dom.js';
import { actInSlack } from './server.js';
import { change, nameOf, state } from './state.js';

/** Builds the frame of App Home. */
export function startHome() {
  byId('home').append(
    el('header', { class: 'channel-head' }, el('h1', {}, 'App Home'), el('p', { id: 'home-owner' })),
    el('div', { class: 'scroll-box' }, el('div', { class: 'messages home-body' },
      el('div', { id: 'home-problem' }), el('div', { id: 'home-blocks', class: 'blocks' }))));
}

/** Goes to App Home and tells the bot that this person did. */
export function openHome() {
  change({ place: { kind: 'home' }, thread: null });
  return attempt(surface(), () => actInSlack('home', { user: state.me }));
}

/** Shows App Home if one is there. */
export function drawHome() {
  const shown = state.place.kind === 'home';
  byId('home').hidden = !shown;
  if (!shown) return;
  setText(byId('home-owner'), `What resumebot shows to ${nameOf(state.me)} alone`);
  const problem = problemOf(surface());
  reconcile(byId('home-problem'), problem
    ? [{ key: 'problem', signature: problem, build: () => el('p', { class: 'problem', role: 'alert' }, `⚠️ ${problem}`) }] : []);
  const blocks = state.slack?.home?.blocks;
  if (blocks) drawBlocks(byId('home-blocks'), surface(), blocks);
  else reconcile(byId('home-blocks'), [{ key: 'empty', signature: '', build: () => el('p', { class: 'empty' }, 'The bot has shown nothing here yet.') }]);
}

function surface() {
  return { key: `${state.me}/home`, where: null, blocks: () => state.slack?.home?.blocks ?? [] };
}
