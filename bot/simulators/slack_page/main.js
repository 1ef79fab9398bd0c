// Starts the page: follows both states and redraws what changed.
//
//   /sim/slack/page/state ──┐
//                           ├─► state.js ─► draw… functions ─► reconcile
//   /play/state ────────────┘       ▲
//                                   └── what the person does (actions.js, composer.js, modal.js)

import { drawChannel, drawThread, startChannel } from './channel.js';
import { drawComposer, startComposer } from './composer.js';
import { byId } from './dom.js';
import { drawGuide } from './guide.js';
import { drawHome, openHome, startHome } from './home.js';
import { drawModal } from './modal.js';
import { drawPeople } from './people.js';
import { closePopup, tidyPopup } from './popup.js';
import { drawRail, startRail } from './rail.js';
import { follow, playState, slackState } from './server.js';
import { drawSide, startSide } from './side.js';
import { change, keep, onChange, recall, state } from './state.js';
import { toast } from './toast.js';

const STOPPED = 'The playground stopped. Start it again with “make play”; this page comes back by itself.';
// The simulator answers nothing without a person; its cast always has this one.
const FIRST_PERSON = 'U0RITA';
const standing = { slack: true, play: true };
let stopFollowing = () => {};

function start() {
  startRail();
  startChannel();
  startHome();
  startComposer();
  startSide();
  onChange(draw);
  followSlack(state.me ?? FIRST_PERSON);
  follow(playState, (play) => change({ play }), (stands) => stand('play', stands));
}

function draw() {
  drawPeople(become);
  drawRail();
  drawChannel();
  drawThread();
  drawHome();
  drawComposer();
  drawGuide();
  drawSide();
  drawModal();
  tidyPopup();
}

function become(id) {
  if (id === state.me) return;
  closePopup();
  keep('me', id);
  change({ me: id, slack: withoutPrivate(state.slack) });
  followSlack(id);
  if (state.place.kind === 'home') openHome();
}

// Until the new person's state is here, nothing may show that was for the former one alone.
function withoutPrivate(slack) {
  const direct = new Set(slack.channels.filter((each) => each.is_im).map((each) => each.id));
  const messages = slack.messages.filter((each) => !each.private && !direct.has(each.channel));
  return { ...slack, views: [], home: null, messages };
}

function followSlack(id) {
  stopFollowing();
  let first = true;
  stopFollowing = follow(slackState(id), (slack) => {
    takeSlack(slack, first);
    first = false;
  }, (stands) => {
    stand('slack', stands);
    // The person kept from an earlier visit may not exist any more.
    if (!stands && first && id !== FIRST_PERSON && state.slack === null) followSlack(FIRST_PERSON);
  });
}

function takeSlack(slack, first) {
  const before = state.slack;
  const channelIds = new Set(slack.channels.map((each) => each.id));
  const { place } = state;
  const lost = place.kind === 'channel' && !channelIds.has(place.id);
  const remembered = recall('channel');
  const fallback = channelIds.has(remembered) ? remembered : slack.channels[0]?.id ?? null;
  change({ me: slack.me, slack, place: lost ? { kind: 'channel', id: fallback } : place });
  if (state.place.kind === 'channel') keep('channel', state.place.id);
  if (!first) warn(before, slack);
}

// Slack tells a person of the bot's time-outs.
function warn(before, slack) {
  for (const notice of slack.notices.slice(before.notices.length)) toast(notice.text);
}

function stand(which, stands) {
  standing[which] = stands;
  const banner = byId('stopped');
  const down = !(standing.slack && standing.play);
  if (banner.hidden === !down) return;
  banner.textContent = down ? STOPPED : '';
  banner.hidden = !down;
}

start();
