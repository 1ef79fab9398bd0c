// Turns Slack's mrkdwn into page nodes; every piece of foreign text ends in a text node.

import { slackDate } from './dates.js';
import { el } from './dom.js';
import { emojiSign } from './emoji.js';
import { nameOf, person, state } from './state.js';

const MARKS = { '*': 'strong', _: 'em', '~': 's' };
const BEFORE_MARK = /[\s\p{P}\p{S}]/u;
const SAFE_ADDRESS = /^(https?:\/\/|mailto:)/i;
const ENTITIES = { '&amp;': '&', '&lt;': '<', '&gt;': '>' };
const BROADCASTS = new Set(['here', 'channel', 'everyone']);

/** Nodes for a text object of Block Kit, plain or mrkdwn. */
export function textObject(object) {
  if (!object) return [];
  if (object.type === 'mrkdwn') return mrkdwn(object.text ?? '');
  return plain(object.text ?? '', object.emoji !== false);
}

/** Nodes for plain text: emoji names become signs, nothing else is read. */
export function plain(text, withEmoji = true) {
  if (!withEmoji) return [text];
  return [String(text).replace(/:([a-z0-9_+'-]+):/g, (whole, name) => emojiSign(name) ?? whole)];
}

/** Nodes for a mrkdwn text. */
export function mrkdwn(text) {
  return text.split(/(```[\s\S]*?```)/g).flatMap((part, index) => {
    if (index % 2 === 1) return [el('pre', {}, decoded(part.slice(3, -3).replace(/^\n/, '')))];
    return paragraphs(part);
  });
}

/** A link, or its bare text when the address is not one a browser may follow from here. */
export function link(address, ...label) {
  if (!SAFE_ADDRESS.test(address)) return el('span', {}, ...label);
  return el('a', { href: address, target: '_blank', rel: 'noopener noreferrer' }, ...label);
}

/** The pill for a mentioned person. */
export function personPill(id) {
  const mine = id === state.me ? ' mention-me' : '';
  return el('span', { class: `mention${mine}`, title: id }, `@${person(id) ? nameOf(id) : id}`);
}

/** The pill for a mentioned user group. */
export function groupPill(id) {
  const group = state.slack?.groups?.find((each) => each.id === id);
  return el('span', { class: 'mention', title: id }, `@${group?.handle ?? id}`);
}

/** The pill for a mentioned channel. */
export function channelPill(id, label) {
  const channel = state.slack?.channels.find((each) => each.id === id);
  return el('span', { class: 'mention', title: id }, `#${channel?.name ?? (label || id)}`);
}

function paragraphs(text) {
  const nodes = [];
  let group = null;
  for (const line of text.replace(/^\n|\n$/g, '').split('\n')) {
    const { kind, body } = lineKind(line);
    if (group && group.kind === kind && kind !== 'text') {
      group.add(body);
      continue;
    }
    if (group?.kind === 'text' && kind === 'text') nodes.push(el('br'));
    group = { kind, ...opened(kind, body, line) };
    nodes.push(...group.nodes);
  }
  return nodes;
}

function lineKind(line) {
  const quote = /^(?:>|&gt;) ?(.*)$/.exec(line);
  if (quote) return { kind: 'quote', body: quote[1] };
  const bullet = /^\s*[•◦▪-] +(.*)$/.exec(line);
  if (bullet) return { kind: 'ul', body: bullet[1] };
  const numbered = /^\s*(\d{1,3})\. +(.*)$/.exec(line);
  if (numbered) return { kind: 'ol', body: numbered[2] };
  return { kind: 'text', body: line };
}

function opened(kind, body, line) {
  if (kind === 'text') return { nodes: inline(body) };
  if (kind === 'quote') {
    const box = el('blockquote', {}, inline(body));
    return { nodes: [box], add: (more) => box.append(el('br'), ...inline(more)) };
  }
  const start = kind === 'ol' ? Number.parseInt(line, 10) : null;
  const list = el(kind, { start }, el('li', {}, inline(body)));
  return { nodes: [list], add: (more) => list.append(el('li', {}, inline(more))) };
}

function inline(text) {
  const nodes = [];
  let held = '';
  const flush = () => {
    if (held) nodes.push(decoded(held));
    held = '';
  };
  for (let at = 0; at < text.length;) {
    const piece = pieceAt(text, at);
    if (piece) {
      flush();
      nodes.push(piece.node);
      at = piece.end;
    } else {
      held += text[at];
      at += 1;
    }
  }
  flush();
  return nodes;
}

function pieceAt(text, at) {
  const sign = text[at];
  if (sign === '`') return codeAt(text, at);
  if (sign === '<') return tokenAt(text, at);
  if (sign === ':') return emojiAt(text, at);
  if (sign in MARKS) return markedAt(text, at, sign);
  return null;
}

function codeAt(text, at) {
  const close = text.indexOf('`', at + 1);
  if (close <= at + 1) return null;
  return { node: el('code', {}, decoded(text.slice(at + 1, close))), end: close + 1 };
}

function emojiAt(text, at) {
  const found = /^:([a-z0-9_+'-]+):/.exec(text.slice(at, at + 80));
  const sign = found && emojiSign(found[1]);
  if (!sign) return null;
  return { node: el('span', { class: 'emoji', role: 'img', 'aria-label': found[1].replaceAll('_', ' ') }, sign), end: at + found[0].length };
}

function markedAt(text, at, sign) {
  const before = text[at - 1];
  const first = text[at + 1];
  if ((before !== undefined && !BEFORE_MARK.test(before)) || first === undefined || /\s/.test(first) || first === sign) return null;
  const close = closingMark(text, at + 1, sign);
  if (close < 0) return null;
  return { node: el(MARKS[sign], {}, inline(text.slice(at + 1, close))), end: close + 1 };
}

function closingMark(text, from, sign) {
  for (let at = from; at < text.length; at += 1) {
    if (text[at] === '`' || text[at] === '<') {
      const end = text.indexOf(text[at] === '`' ? '`' : '>', at + 1);
      if (end > 0) at = end;
      continue;
    }
    const after = text[at + 1];
    const ends = after === undefined || BEFORE_MARK.test(after);
    if (text[at] === sign && at > from && !/\s/.test(text[at - 1]) && ends) return at;
  }
  return -1;
}

function tokenAt(text, at) {
  const close = text.indexOf('>', at);
  if (close < 0) return null;
  const inside = text.slice(at + 1, close);
  const bar = inside.indexOf('|');
  const target = bar < 0 ? inside : inside.slice(0, bar);
  const label = bar < 0 ? '' : inside.slice(bar + 1);
  const node = tokenNode(target, label);
  return node && { node, end: close + 1 };
}

function tokenNode(target, label) {
  if (/^@[UW]/.test(target)) return personPill(target.slice(1));
  if (/^#[CGD]/.test(target)) return channelPill(target.slice(1), decoded(label));
  if (target.startsWith('!')) return commandNode(target.slice(1), label);
  const address = decoded(target);
  if (!SAFE_ADDRESS.test(address)) return null;
  return link(address, ...(label ? inline(label) : [address]));
}

function commandNode(command, label) {
  const [name, ...rest] = command.split('^');
  if (name === 'subteam') return groupPill(rest[0]);
  if (name === 'date') return dateNode(rest, label);
  const word = BROADCASTS.has(name) ? name : decoded(label) || name;
  return el('span', { class: 'mention mention-me' }, `@${word}`);
}

function dateNode([epoch, format, address], label) {
  const seconds = Number(epoch);
  const words = Number.isFinite(seconds) && format ? slackDate(seconds, decoded(format)) : decoded(label);
  const node = el('time', { title: decoded(label) || null }, words);
  return address ? link(decoded(address), node) : node;
}

function decoded(text) {
  return text.replace(/&(?:amp|lt|gt);/g, (entity) => ENTITIES[entity]);
}
