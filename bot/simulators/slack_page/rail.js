// Draws the left rail: channels, direct messages and App Home, with what is unread.

import { rootsOf } from './conversation.js';
import { byId, el, reconcile } from './dom.js';
import { openHome } from './home.js';
import { seenIn } from './seen.js';
import { change, state } from './state.js';

/** Builds the frame of the rail. */
export function startRail() {
  byId('rail').append(
    el('p', { class: 'workspace' }, el('strong', {}, 'Playground'), el('span', {}, 'a pretend Slack workspace')),
    el('h2', {}, 'Channels'), el('div', { id: 'rail-channels' }),
    el('h2', {}, 'Direct messages'), el('div', { id: 'rail-direct' }),
    el('h2', {}, 'App'), el('div', { id: 'rail-app' }),
  );
}

/** Shows the channels this person may see. */
export function drawRail() {
  const channels = state.slack?.channels ?? [];
  reconcile(byId('rail-channels'), channels.filter((each) => !each.is_im).map(channelEntry));
  const direct = channels.filter((each) => each.is_im);
  reconcile(byId('rail-direct'), direct.length ? direct.map(channelEntry) : [none()]);
  reconcile(byId('rail-app'), [homeEntry()]);
}

function none() {
  return { key: 'none', signature: '', build: () => el('p', { class: 'rail-none' }, 'none yet') };
}

function channelEntry(channel) {
  const current = state.place.kind === 'channel' && state.place.id === channel.id;
  const unread = current ? 0 : rootsOf(channel.id).filter((each) => each.ts > seenIn(channel.id, null)).length;
  return {
    key: channel.id,
    signature: JSON.stringify([channel, current, unread]),
    build: () => entry({
      testid: `channel-${channel.id}`,
      current,
      sign: channel.is_im ? '●' : '#',
      name: channel.is_im ? 'resumebot' : channel.name,
      unread,
      open: () => change({ place: { kind: 'channel', id: channel.id }, thread: null }),
    }),
  };
}

function homeEntry() {
  const current = state.place.kind === 'home';
  return {
    key: 'home',
    signature: String(current),
    build: () => entry({ testid: 'home-open', current, sign: '⌂', name: 'App Home', unread: 0, open: openHome }),
  };
}

function entry({ testid, current, sign, name, unread, open }) {
  return el('button', {
    type: 'button',
    class: `rail-entry${unread ? ' unread' : ''}`,
    'data-testid': testid,
    'data-control': testid,
    'aria-current': current ? 'page' : null,
    title: name,
    onclick: open,
  },
  el('span', { class: 'rail-sign', 'aria-hidden': 'true' }, sign),
  el('span', { class: 'rail-name' }, name),
  unread > 0 && el('span', { class: 'count' }, String(unread), el('span', { class: 'hear-only' }, ' unread')));
}
