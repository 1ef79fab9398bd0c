// Sends what a person does on a message, modal or App Home, and keeps what went wrong for the page to show.

import { confirmed } from './confirm.js';
import { collected } from './memory.js';
import { actInSlack, Refused } from './server.js';
import { change, state } from './state.js';

const choicesUnderWay = new Map();

/** What went wrong last on a surface, or undefined. */
export function problemOf(surface) {
  return state.problems?.[surface.key];
}

/** Forgets what went wrong on a surface. */
export function clearProblem(surface) {
  if (!problemOf(surface)) return;
  const { [surface.key]: _, ...others } = state.problems;
  change({ problems: others });
}

/** Does `work`; when it is refused the surface shows why. Answers whether it went well. */
export async function attempt(surface, work) {
  clearProblem(surface);
  try {
    await work();
    return true;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    change({ problems: { ...state.problems, [surface.key]: error.message } });
    return false;
  }
}

/** Presses a button or picks from a menu, after its confirm dialog; choices made just before arrive first. */
export async function press(surface, block, element, option) {
  if (!(await confirmed(element.confirm))) return;
  await choicesUnderWay.get(surface.key);
  await attempt(surface, () => send(surface, block, element, option));
}

/** Tells of a changed select, radio button, check box or input. */
export function choose(surface, block, element, option) {
  const sending = attempt(surface, () => send(surface, block, element, option));
  choicesUnderWay.set(surface.key, sending);
  return sending;
}

/** The options an external select offers for a typed text. */
export async function suggestions(surface, block, element, text) {
  const place = surface.where ?? {};
  const answer = await actInSlack('suggest', {
    user: state.me, ...place, block_id: block.block_id, action_id: element.action_id, text,
  });
  return answer.options ?? (answer.option_groups ?? []).flatMap((group) => group.options);
}

function send(surface, block, element, option) {
  const body = { user: state.me, block_id: block.block_id, action_id: element.action_id };
  if (option !== undefined) body.option = option;
  if (surface.where) return actInSlack('action', { ...body, ...surface.where });
  return actInSlack('view_action', { ...body, values: collected(surface, surface.blocks()) });
}
