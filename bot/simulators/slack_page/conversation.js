// Sorts the messages one may see into channels and threads, once for each new state.

import { state } from './state.js';

let sorted = { messages: null, roots: new Map(), replies: new Map() };

/** The messages of a channel that stand outside threads, oldest first. */
export function rootsOf(channelId) {
  return sortedMessages().roots.get(channelId) ?? [];
}

/** The replies of a thread, oldest first. */
export function repliesOf(channelId, threadTs) {
  return sortedMessages().replies.get(`${channelId} ${threadTs}`) ?? [];
}

/** Whether a message stands in a thread below another. */
export function isReply(message) {
  return Boolean(message.thread_ts) && message.thread_ts !== message.ts;
}

/** Whether a message is between one person and the bot. */
export function isDirect(message) {
  return state.slack?.channels.find((each) => each.id === message.channel)?.is_im === true;
}

function sortedMessages() {
  const messages = state.slack?.messages ?? [];
  if (sorted.messages === messages) return sorted;
  sorted = { messages, roots: new Map(), replies: new Map() };
  for (const message of messages.toSorted((one, other) => Number(one.ts) - Number(other.ts))) {
    if (isReply(message)) add(sorted.replies, `${message.channel} ${message.thread_ts}`, message);
    else add(sorted.roots, message.channel, message);
  }
  return sorted;
}

function add(groups, key, message) {
  if (groups.has(key)) groups.get(key).push(message);
  else groups.set(key, [message]);
}
