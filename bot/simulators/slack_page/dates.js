// Writes moments the way Slack's date tokens and message heads show them, in the reader's time zone.

const LANGUAGE = 'en-GB';
const DAY = 86_400_000;

const shown = {
  time: { hour: '2-digit', minute: '2-digit' },
  time_secs: { hour: '2-digit', minute: '2-digit', second: '2-digit' },
  date_num: { year: 'numeric', month: '2-digit', day: '2-digit' },
  date: { year: 'numeric', month: 'long', day: 'numeric' },
  date_short: { year: 'numeric', month: 'short', day: 'numeric' },
  date_long: { weekday: 'long', year: 'numeric', month: 'long', day: 'numeric' },
};

/** Fills a Slack date format such as `{date_short_pretty} {time}` for a moment in epoch seconds. */
export function slackDate(epoch, format) {
  const moment = new Date(epoch * 1000);
  return format.replace(/\{([a-z_]+)\}/g, (token, name) => {
    if (name === 'ago') return ago(moment);
    if (name.endsWith('_pretty')) return nearDay(moment) ?? written(moment, name.replace(/_pretty$/, '')) ?? token;
    return written(moment, name) ?? token;
  });
}

function written(moment, name) {
  const options = shown[name];
  if (!options) return null;
  return new Intl.DateTimeFormat(LANGUAGE, options).format(moment);
}

function nearDay(moment) {
  const midnight = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
  const days = Math.round((midnight(moment) - midnight(new Date())) / DAY);
  return { '-1': 'yesterday', 0: 'today', 1: 'tomorrow' }[days] ?? null;
}

/** How long ago a moment is, in words. */
export function ago(moment) {
  const seconds = Math.round((Date.now() - moment.getTime()) / 1000);
  if (seconds < 45) return 'just now';
  if (seconds < 5400) return counted(Math.round(seconds / 60), 'minute');
  if (seconds < 129_600) return counted(Math.round(seconds / 3600), 'hour');
  return counted(Math.round(seconds / 86_400), 'day');
}

function counted(number, unit) {
  return `${number} ${unit}${number === 1 ? '' : 's'} ago`;
}

/** The clock time of a message's ts. */
export function clockOfTs(ts) {
  return written(new Date(Number(ts) * 1000), 'time');
}

/** Date and time of a moment in full, for titles. */
export function inFull(moment) {
  return `${written(moment, 'date')}, ${written(moment, 'time_secs')}`;
}

/** The clock time with seconds of an RFC 3339 moment, or the text itself when it is none. */
export function clockOfIso(text) {
  const moment = new Date(text);
  return Number.isNaN(moment.getTime()) ? text : written(moment, 'time_secs');
}
