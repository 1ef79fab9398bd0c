// Draws rich_text blocks: sections, lists, quotes and preformatted text.

import { slackDate } from './dates.js';
import { el } from './dom.js';
import { emojiSign } from './emoji.js';
import { channelPill, groupPill, link, personPill } from './mrkdwn.js';

const STYLES = { bold: 'strong', italic: 'em', strike: 's', code: 'code' };

/** Nodes for the elements of a rich_text block. */
export function richText(elements) {
  return (elements ?? []).map(part);
}

function part(element) {
  switch (element.type) {
    case 'rich_text_list':
      return el(element.style === 'ordered' ? 'ol' : 'ul', {}, (element.elements ?? []).map((item) => el('li', {}, pieces(item))));
    case 'rich_text_quote':
      return el('blockquote', {}, pieces(element));
    case 'rich_text_preformatted':
      return el('pre', {}, pieces(element));
    default:
      return el('div', {}, pieces(element));
  }
}

function pieces(element) {
  return (element.elements ?? []).map(piece);
}

function piece(element) {
  switch (element.type) {
    case 'text':
      return styled(element.text ?? '', element.style);
    case 'link':
      return link(element.url ?? '', styled(element.text || element.url || '', element.style));
    case 'emoji':
      return emojiSign(element.name) ?? `:${element.name}:`;
    case 'user':
      return personPill(element.user_id);
    case 'usergroup':
      return groupPill(element.usergroup_id);
    case 'channel':
      return channelPill(element.channel_id);
    case 'broadcast':
      return el('span', { class: 'mention mention-me' }, `@${element.range}`);
    case 'date':
      return el('time', {}, slackDate(element.timestamp, element.format ?? '{date_short_pretty} {time}'));
    default:
      return element.text ?? '';
  }
}

function styled(text, style) {
  return Object.entries(STYLES).reduce((inner, [name, tag]) => (style?.[name] ? el(tag, {}, inner) : inner), text);
}
