// Talks to the playground: follows its two states by long poll and sends what people do.

const SLACK = '/sim/slack/page';
const PLAY = '/play';
const QUIET_PAUSE = 250;
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 15000;
const SENTENCES = {
  operation_timeout: 'The bot did not answer within three seconds (operation_timeout).',
  dispatch_failed: 'The bot could not be reached (dispatch_failed).',
  http_client_error: 'The bot refused this request (http_client_error).',
  http_service_error: 'The bot failed on this request (http_service_error).',
  invalid_options: 'The bot offered options that Slack does not take (invalid_options).',
};

/** The playground did not do what was asked; the message is for people. */
export class Refused extends Error {}

/** Sends one act of a person to the Slack simulator; throws `Refused` with its reason. */
export async function actInSlack(what, body) {
  const answer = await post(`${SLACK}/${what}`, body);
  if (answer.error) throw new Refused(SENTENCES[answer.error] ?? answer.error);
  return answer;
}

/** Presses one of the playground's own buttons; answers the sentence to show. */
export async function actInPlay(key) {
  const answer = await post(`${PLAY}/actions/${encodeURIComponent(key)}`, {});
  if (!answer.ok) throw new Refused(answer.message || 'The playground could not do that.');
  return answer.message;
}

async function post(path, body) {
  let response;
  try {
    response = await fetch(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  } catch {
    throw new Refused('The playground does not answer.');
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(answer.error || answer.message || `The playground answered ${response.status}.`);
  return answer;
}

/** The address of what `person` sees in Slack. */
export function slackState(person) {
  return `${SLACK}/state?as=${encodeURIComponent(person)}`;
}

/** The address of the playground's own state. */
export const playState = `${PLAY}/state`;

/**
 * Follows a state until the returned function is called.
 * `onState` gets every new state; `onStanding` hears true when it is reached and false when it is not.
 */
export function follow(address, onState, onStanding) {
  const stop = new AbortController();
  pollAgainAndAgain(address, onState, onStanding, stop.signal);
  return () => stop.abort();
}

async function pollAgainAndAgain(address, onState, onStanding, signal) {
  let version = null;
  let pause = FIRST_PAUSE;
  while (!signal.aborted) {
    try {
      const next = await poll(address, version, signal);
      if (signal.aborted) return;
      onStanding(true);
      pause = FIRST_PAUSE;
      if (next.version === version) {
        await waited(QUIET_PAUSE, signal);
        continue;
      }
      version = next.version;
      onState(next);
    } catch {
      if (signal.aborted) return;
      // After a restart the numbers begin anew, so ask for everything.
      version = null;
      onStanding(false);
      await waited(pause, signal);
      pause = Math.min(pause * 2, LONGEST_PAUSE);
    }
  }
}

async function poll(address, version, signal) {
  const joint = address.includes('?') ? '&' : '?';
  const since = version === null ? '' : `${joint}since=${encodeURIComponent(version)}`;
  const response = await fetch(address + since, { signal, cache: 'no-store' });
  if (!response.ok) throw new Refused(`The playground answered ${response.status}.`);
  return response.json();
}

function waited(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    }, { once: true });
  });
}
