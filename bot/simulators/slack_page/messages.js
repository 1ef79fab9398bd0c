// Draws messages, each with its blocks, its thread's summary and its menu, and keeps a list of them current.

import { attempt, problemOf } from './actions.js';
import { avatar, isActor } from './avatar.js';
import { drawBlocks } from './blocks.js';
import { isDirect, isReply, repliesOf } from './conversation.js';
import { clockOfTs, inFull, slackDate } from './dates.js';
import { el, reconcile } from './dom.js';
import { mrkdwn } from './mrkdwn.js';
import { openMenu } from './popup.js';
import { seenIn } from './seen.js';
import { actInSlack } from './server.js';
import { change, nameOf, state } from './state.js';

/** Makes `container` show these messages; `inThread` leaves out thread summaries. */
export function drawMessages(container, messages, { inThread = false } = {}) {
  reconcile(container, messages.map((message) => messageItem(message, inThread)));
}

function messageItem(message, inThread) {
  const surface = { key: `${state.me}/${message.channel}/${message.ts}`, where: { channel: message.channel, ts: message.ts } };
  const replies = inThread || isReply(message) ? [] : repliesOf(message.channel, message.ts);
  const open = state.thread === message.ts;
  const fresh = open ? 0 : replies.filter((each) => each.ts > seenIn(message.channel, message.ts)).length;
  const fill = (node) => fillMessage(node, { message, surface, replies, fresh, open });
  return {
    key: surface.key,
    signature: JSON.stringify([message, replies.length, replies.at(-1)?.ts, fresh, problemOf(surface), open]),
    build: () => {
      const node = skeleton(message, inThread);
      fill(node);
      return node;
    },
    update: fill,
  };
}

function skeleton(message, inThread) {
  const isHead = inThread && !isReply(message);
  return el('article', {
    class: 'message',
    'data-testid': isHead ? 'thread-root' : `message-${message.ts}`,
    'aria-label': `${nameOf(message.user)}, ${clockOfTs(message.ts)}`,
  },
  el('div', { class: 'message-avatar' }, avatar(message.user)),
  el('div', { class: 'message-main' },
    el('div', { class: 'message-head' }),
    el('div', { class: 'message-body', 'data-testid': message.private && !isDirect(message) ? 'ephemeral' : null }),
    el('div', { class: 'message-tail' })),
  toolbar(message));
}

function fillMessage(node, { message, surface, replies, fresh, open }) {
  const isPrivate = message.private && !isDirect(message);
  node.classList.toggle('message-private', isPrivate);
  node.classList.toggle('message-open', open);
  node.querySelector('.message-head').replaceChildren(...head(message));
  drawContent(node.querySelector('.message-body'), message, surface, isPrivate);
  reconcile(node.querySelector('.message-tail'), tail(message, surface, replies, fresh));
}

function head(message) {
  return [
    el('strong', {}, nameOf(message.user)),
    !isActor(message.user) && el('span', { class: 'badge' }, 'App'),
    el('time', { title: inFull(new Date(Number(message.ts) * 1000)) }, clockOfTs(message.ts)),
    message.edited && el('span', { class: 'edited' }, '(edited)'),
  ].filter(Boolean);
}

function drawContent(body, message, surface, isPrivate) {
  const items = [];
  if (isPrivate) {
    items.push({ key: 'private', signature: '', build: () => el('p', { class: 'only-you' }, '👁 Only visible to you') });
  }
  if (message.blocks?.length) {
    const fill = (box) => drawBlocks(box, surface, message.blocks);
    items.push({
      key: 'blocks',
      signature: JSON.stringify(message.blocks),
      build: () => {
        const box = el('div', { class: 'blocks' });
        fill(box);
        return box;
      },
      update: fill,
    });
  } else {
    items.push({ key: 'text', signature: message.text, build: () => el('div', { class: 'text' }, mrkdwn(message.text ?? '')) });
  }
  reconcile(body, items);
}

function tail(message, surface, replies, fresh) {
  const items = [];
  const problem = problemOf(surface);
  if (problem) {
    items.push({ key: 'problem', signature: problem, build: () => el('p', { class: 'problem', role: 'alert' }, `⚠️ ${problem}`) });
  }
  if (replies.length) {
    items.push({
      key: 'thread',
      signature: JSON.stringify([replies.map((each) => each.user), replies.at(-1).ts, fresh]),
      build: () => threadButton(message, replies, fresh),
    });
  }
  return items;
}

function threadButton(message, replies, fresh) {
  const people = [...new Set(replies.map((each) => each.user))].slice(0, 3);
  const last = slackDate(Number(replies.at(-1).ts), '{date_short_pretty} at {time}');
  return el('button', {
    type: 'button',
    class: 'thread-open',
    'data-testid': `thread-open-${message.ts}`,
    'data-control': `thread ${message.ts}`,
    onclick: () => change({ thread: message.ts }),
  },
  people.map(avatar),
  el('strong', {}, `${replies.length} ${replies.length === 1 ? 'reply' : 'replies'}`),
  fresh > 0 && el('span', { class: 'count' }, `${fresh} new`),
  el('span', { class: 'last' }, `Last reply ${last}`));
}

function toolbar(message) {
  const shortcuts = (state.slack?.shortcuts ?? []).filter((each) => each.type === 'message');
  if (shortcuts.length === 0 || message.private) return null;
  const surface = { key: `${state.me}/${message.channel}/${message.ts}` };
  const node = el('button', {
    type: 'button',
    class: 'message-menu',
    'aria-label': 'Message shortcuts',
    'aria-haspopup': 'menu',
    'aria-expanded': 'false',
    title: 'Message shortcuts',
    onclick: () => openMenu(node, shortcuts.map((each) => ({
      label: [each.name],
      act: () => attempt(surface, () => actInSlack('shortcut', {
        user: state.me, callback_id: each.callback_id, channel: message.channel, ts: message.ts,
      })),
    })), 'Message shortcuts'),
  }, '⋮');
  return node;
}
