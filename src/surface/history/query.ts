// The query string of GET /inference/history, checked. Pure.
// Invariant: what is wrong is refused by the parameter's name; parameters that we do not know are ignored.
import { errorTable, ServerError } from '../../errors.ts';
import { echoCharsMax, historyPageRowsMax } from '../../limits.ts';
import { idOfCursor } from '../../history/row.ts';
import type { HistoryQuery } from '../../history/store.ts';

const limitStandard = 100;
/** Beyond any number of rows that the history may keep. */
const offsetMax = 2 ** 31 - 1;

export function historyQueryOf(query: URLSearchParams): HistoryQuery {
  const one = (name: string) => singleOf(query, name);
  const fromMs = timeOf('from', one('from'));
  const toMs = timeOf('to', one('to'));
  const inferenceMsMin = millisecondsOf('min_inference_time', one('min_inference_time'));
  const inferenceMsMax = millisecondsOf('max_inference_time', one('max_inference_time'));
  if (fromMs !== undefined && toMs !== undefined && fromMs > toMs) refuse('from', "must not be later than 'to'");
  if (inferenceMsMin !== undefined && inferenceMsMax !== undefined && inferenceMsMin > inferenceMsMax) {
    refuse('min_inference_time', "must not be greater than 'max_inference_time'");
  }
  const given = {
    before: cursorIdOf(one('before')),
    version: one('version'),
    model: one('model'),
    status: statusOf(one('status')),
    fromMs,
    toMs,
    inferenceMsMin,
    inferenceMsMax,
  };
  return {
    limit: wholeOf('limit', one('limit'), 1, historyPageRowsMax) ?? limitStandard,
    offset: offsetOf(one('offset'), one('skip')),
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
  };
}

function refuse(field: string, reason: string): never {
  throw new ServerError('REQUEST_INVALID', `'${field}' ${reason}.`, { field });
}

function singleOf(query: URLSearchParams, name: string): string | undefined {
  const values = query.getAll(name);
  if (values.length > 1) refuse(name, 'is given more than once');
  if (values[0] === '') refuse(name, 'must not be empty');
  return values[0];
}

function wholeOf(name: string, text: string | undefined, minimum: number, maximum: number): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (/^\d{1,10}$/.test(text) && value >= minimum && value <= maximum) return value;
  return refuse(name, `must be a whole number from ${minimum} to ${maximum}`);
}

/** Both names are common; a client that sends both means one thing. */
function offsetOf(offset: string | undefined, skip: string | undefined): number {
  const ofOffset = wholeOf('offset', offset, 0, offsetMax);
  const ofSkip = wholeOf('skip', skip, 0, offsetMax);
  if (ofOffset !== undefined && ofSkip !== undefined && ofOffset !== ofSkip) refuse('skip', "contradicts 'offset'");
  return ofOffset ?? ofSkip ?? 0;
}

function cursorIdOf(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  return idOfCursor(text) ?? refuse('before', "must be the 'next' of an earlier page");
}

function statusOf(text: string | undefined): string | undefined {
  if (text === undefined || text === 'success' || text === 'error' || Object.hasOwn(errorTable, text)) return text;
  return refuse('status', "must be success, error or an error code");
}

const isoPattern = /^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+ -]\d{2}:?\d{2})?)?$/i;

/** Without a zone it is UTC, as the rows' own timestamps are. */
function timeOf(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,14}$/.test(text)) return Number(text);
  if (isoPattern.test(text)) {
    // A `+` that was not encoded arrives as a space.
    const zoned = text.replace(/ (?=\d{2}:?\d{2}$)/, (space, at: number) => (at > 10 ? '+' : space));
    const iso = zoned.replace(' ', 'T').toUpperCase().replace(/([+-]\d{2})(\d{2})$/, '$1:$2');
    const ms = Date.parse(/T/.test(iso) && !/(Z|[+-]\d{2}:\d{2})$/.test(iso) ? `${iso}Z` : iso);
    if (Number.isFinite(ms)) return ms;
  }
  return refuse(name, `must be a time such as 2025-01-31T12:00:00Z or milliseconds since 1970, not ${echo(text)}`);
}

function millisecondsOf(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (/^\d+(\.\d+)?(e[+-]?\d+)?$/i.test(text) && Number.isFinite(value)) return value;
  return refuse(name, 'must be a number of milliseconds, 0 or more');
}

function echo(text: string): string {
  return JSON.stringify(text.length <= echoCharsMax ? text : `${text.slice(0, echoCharsMax).toWellFormed()}…`);
}
