// Shows the chosen channel and the open thread, each scrolled to its newest message unless the person reads older ones.

import { repliesOf, rootsOf } from './conversation.js';
import { byId, el, reconcile, setText } from './dom.js';
import { drawMessages } from './messages.js';
import { markSeen } from './seen.js';
import { change, currentChannel, nameOf, state } from './state.js';

const NEAR_END = 60;
const HUSHED = 1000;
// Where the page is so narrow that an open thread lies over the channel.
const covered = matchMedia('(max-width: 1120px)');

/** Prepares the parts of the page that stay. */
export function startChannel() {
  const list = byId('messages');
  const newer = byId('newer');
  newer.addEventListener('click', () => toEnd(list));
  list.addEventListener('scroll', () => {
    if (isAtEnd(list)) newer.hidden = true;
  }, { passive: true });
  buildThread(byId('thread'));
  for (const each of [list, byId('thread-list')]) stayAtEnd(each);
}

// A list that becomes lower, as when the hints come, keeps its newest message in sight.
function stayAtEnd(list) {
  let wasAtEnd = true;
  list.addEventListener('scroll', () => { wasAtEnd = isAtEnd(list); }, { passive: true });
  new ResizeObserver(() => wasAtEnd && toEnd(list)).observe(list);
}

/** Shows the channel on show, if one is. */
export function drawChannel() {
  const channel = currentChannel();
  byId('channel').hidden = !channel;
  if (!channel) return;
  setText(byId('channel-name'), channel.is_im ? 'Direct messages' : `# ${channel.name}`);
  setText(byId('channel-topic'), channel.is_im ? `Between ${nameOf(state.me)} and resumebot` : topicOf(channel));
  const roots = rootsOf(channel.id);
  drawScrolled(byId('messages'), channel.id, byId('newer'), (list) => {
    if (roots.length) drawMessages(list, roots);
    else reconcile(list, [{ key: `empty ${channel.id}`, signature: '', build: emptyChannel }]);
  });
  markSeen(channel.id, null, roots.at(-1)?.ts);
}

function topicOf(channel) {
  return channel.topic ?? (/audit/i.test(channel.name) ? 'Seals of the audit trail and dead letters' : 'Where failures are posted and decided');
}

function emptyChannel() {
  return el('div', { class: 'empty' },
    el('p', { class: 'empty-sign', 'aria-hidden': 'true' }, '💬'),
    el('p', {}, 'Nothing here yet.'),
    el('p', {}, 'Break something with the playground’s buttons, or type ', el('code', {}, '/resume help'), '.'));
}

function buildThread(panel) {
  panel.append(
    el('header', { class: 'channel-head' },
      el('h2', {}, 'Thread'),
      el('p', { id: 'thread-place' }),
      el('button', {
        type: 'button', class: 'quiet thread-close', 'aria-label': 'Close thread', 'data-testid': 'thread-close', onclick: closeThread,
      }, '✕')),
    el('div', { id: 'thread-list', class: 'messages', role: 'log', 'aria-label': 'Messages of the thread', tabindex: '0' },
      el('div', { id: 'thread-root' }), el('p', { id: 'thread-count', class: 'rule' }), el('div', { id: 'thread-replies' }),
      el('div', { id: 'thread-meanwhile' })));
  panel.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && !event.defaultPrevented) closeThread();
  });
}

function closeThread() {
  const opener = document.querySelector(`[data-testid="thread-open-${state.thread}"]`);
  change({ thread: null });
  opener?.focus();
}

/** Shows the open thread beside the channel, or hides the panel. */
export function drawThread() {
  const channel = currentChannel();
  const root = channel && state.thread && rootsOf(channel.id).find((each) => each.ts === state.thread);
  const panel = byId('thread');
  const opens = root && panel.dataset.root !== root.ts;
  panel.hidden = !root;
  panel.dataset.root = root ? root.ts : '';
  byId('main').classList.toggle('with-thread', Boolean(root));
  if (!root) return;
  const replies = repliesOf(channel.id, root.ts);
  if (opens) panel.dataset.since = rootsOf(channel.id).at(-1).ts;
  setText(byId('thread-place'), channel.is_im ? '' : `# ${channel.name}`);
  drawScrolled(byId('thread-list'), `${channel.id}/${root.ts}`, null, () => {
    drawMessages(byId('thread-root'), [root], { inThread: true });
    setText(byId('thread-count'), `${replies.length} ${replies.length === 1 ? 'reply' : 'replies'}`);
    drawMessages(byId('thread-replies'), replies, { inThread: true });
    drawMessages(byId('thread-meanwhile'), covered.matches ? toldMeanwhile(channel, panel.dataset.since) : [], { inThread: true });
  });
  markSeen(channel.id, root.ts, replies.at(-1)?.ts);
  // The channel has become narrower and its messages longer.
  if (opens) document.querySelector(`[data-testid="message-${root.ts}"]`)?.scrollIntoView({ block: 'nearest' });
}

// What the bot tells this person alone stands in the channel, and would be missed behind the thread.
function toldMeanwhile(channel, since) {
  return channel.is_im ? [] : rootsOf(channel.id).filter((each) => each.private && each.ts > since);
}

function drawScrolled(list, place, newer, draw) {
  const moved = list.dataset.place !== `${state.me}/${place}`;
  const wasAtEnd = isAtEnd(list);
  const count = list.querySelectorAll('.message').length;
  list.dataset.place = `${state.me}/${place}`;
  if (moved) hush(list);
  draw(list);
  if (moved || wasAtEnd) toEnd(list);
  if (newer) newer.hidden = moved || wasAtEnd || (newer.hidden && list.querySelectorAll('.message').length <= count);
}

// A log is read out as it grows, but not when another channel takes its place.
function hush(list) {
  list.setAttribute('aria-live', 'off');
  setTimeout(() => list.removeAttribute('aria-live'), HUSHED);
}

function isAtEnd(list) {
  return list.scrollHeight - list.scrollTop - list.clientHeight < NEAR_END;
}

function toEnd(list) {
  list.scrollTop = list.scrollHeight;
}
