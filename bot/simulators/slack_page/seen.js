// Remembers up to where each person has read each channel and thread.

import { keep, recall, state } from './state.js';

const read = recall('seen') ?? {};

function place(channelId, threadTs) {
  return `${state.me}/${channelId}/${threadTs ?? ''}`;
}

/** The ts of the newest message this person saw there; an empty text when none. */
export function seenIn(channelId, threadTs) {
  return read[place(channelId, threadTs)] ?? '';
}

/** Marks everything up to this ts as read. */
export function markSeen(channelId, threadTs, ts) {
  if (!ts || ts <= seenIn(channelId, threadTs)) return;
  read[place(channelId, threadTs)] = ts;
  keep('seen', read);
}
