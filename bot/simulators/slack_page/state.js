// What the page knows: the two states it follows and where the person is looking.

const OPEN_FIRST = { place: { kind: 'channel', id: null }, thread: null };

/** The one state of the page; change it with `change` only. */
export const state = {
  me: recall('me'),
  slack: null,
  play: null,
  ...OPEN_FIRST,
};

const listeners = [];
let scheduled = false;

/** Calls `draw` soon after every change, once for changes that come together. */
export function onChange(draw) {
  listeners.push(draw);
}

/** Takes the new values over and has the page redrawn. */
export function change(values) {
  Object.assign(state, values);
  if (scheduled) return;
  scheduled = true;
  queueMicrotask(() => {
    scheduled = false;
    for (const draw of listeners) draw();
  });
}

/** What was kept under this name in this browser tab, or null. */
export function recall(name) {
  try {
    return JSON.parse(sessionStorage.getItem(`resumebot.${name}`));
  } catch {
    return null;
  }
}

/** Keeps a value for this browser tab, also over a reload. */
export function keep(name, value) {
  try {
    sessionStorage.setItem(`resumebot.${name}`, JSON.stringify(value));
  } catch {
    // A browser that forbids storage only forgets on reload.
  }
}

/** The person the page acts as, or undefined before the first answer. */
export function myself() {
  return person(state.me);
}

/** The person with this id, if the simulator told of one. */
export function person(id) {
  return state.slack?.people.find((each) => each.id === id);
}

/** The people one may act as, in the simulator's order. */
export function actors() {
  return (state.slack?.people ?? []).filter((each) => !each.is_bot && each.role !== 'bot');
}

/** The channel on show, if it is a channel. */
export function currentChannel() {
  const { place, slack } = state;
  if (place.kind !== 'channel' || !slack) return undefined;
  return slack.channels.find((each) => each.id === place.id);
}

/** A person's name, or a fitting word for an unknown id. */
export function nameOf(id) {
  const known = person(id);
  return known ? known.real_name || known.name : 'resumebot';
}
