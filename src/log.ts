// The log: one JSON line for each event on standard output, written before the next statement runs.
// Invariant: no input of a client and no secret is logged; what a client named is cut.
import pino from 'pino';
import type { DestinationStream, Logger } from 'pino';
import { secretNames } from './config.ts';
import type { Config } from './config.ts';
import { echoCharsMax } from './limits.ts';
import type { AnyOperation, Call, CallObserver, Reply } from './operation.ts';
import { errorTable, type ServerError } from './errors.ts';

export type Log = Logger;

/** From here on a request is worth a line at `info`. */
const slowMs = 1000;
/** Lines of one kind in a second; an overloaded server must not spend itself on saying so. */
const linesPerSecondMax = 10;
const fieldCharsMax = 256;
const messageCharsMax = 1000;
const stackCharsMax = 4000;
const causesMax = 4;

const secretFields = [
  'authorization', 'Authorization', 'proxy-authorization', 'cookie', 'Cookie', 'password', ...secretNames,
];

/**
 * The log of one server. `destination` is for tests. Writing is synchronous: measured, that costs no more than
 * pino's buffered writing, and the last line before a crash is never lost.
 */
export function createLog(config: Pick<Config, 'logLevel'>, destination?: DestinationStream): Log {
  return pino({
    level: config.logLevel,
    // Collectors add host and container themselves.
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }), log: cutFields },
    serializers: { err: (error: unknown) => describeError(error) },
    redact: { paths: secretFields.flatMap((name) => [`["${name}"]`, `*["${name}"]`, `*.*["${name}"]`]), censor: '***' },
  }, destination ?? standardOutput());
}

/** A line that cannot be written is lost: a full disk costs lines, never the server, nor memory for what waits. */
function standardOutput(): DestinationStream {
  const open = () => pino.destination({ dest: 1, sync: true }).on('error', () => (output = open()));
  let output = open();
  return { write: (line) => output.write(line) };
}

/**
 * One line for each ended request. Those that went well or that the client got wrong are at `debug`: at ten
 * thousand requests a second a line for each would be a terabyte in four days, and the metrics count them.
 * Slow ones are at `info`, not `warn`, because a large batch on a small machine is slow and well. Failures of
 * the server are at `error`, with the cause when there is one.
 */
export function requestLog(log: Log, now: () => number = () => performance.now()): CallObserver {
  const budget = new LineBudget();
  return {
    ended(call, reply, error) {
      const durationMs = now() - call.startedMs;
      const level = levelOf(call.operation, reply, error, durationMs);
      if (!log.isLevelEnabled(level)) return;
      let suppressed = 0;
      if (level !== 'debug') {
        const allowed = budget.take(error?.code ?? `${level}${reply.status}`, now());
        if (allowed === undefined) return;
        suppressed = allowed;
      }
      const fields = requestFields(call, reply, durationMs, error);
      if (suppressed > 0) fields.suppressed = suppressed;
      log[level](fields, error?.message.slice(0, messageCharsMax) ?? 'request');
    },
  };
}

/** At most `max` characters of a client's text, with a sign that there was more. */
export function cut(text: string, max: number = echoCharsMax): string {
  if (text.length <= max) return text;
  // Half a surrogate pair is not valid UTF-8.
  const end = /[\uD800-\uDBFF]/.test(text[max - 1] ?? '') ? max - 1 : max;
  return `${text.slice(0, end)}…`;
}

/** What an error says, bounded: its causes too, which is where a ServerError keeps the bug. */
export function describeError(error: unknown, causes: number = causesMax): Record<string, unknown> {
  if (!(error instanceof Error)) return { message: cut(printable(error), messageCharsMax) };
  const { code } = error as NodeJS.ErrnoException;
  return {
    name: error.name,
    ...(code === undefined ? {} : { code }),
    message: cut(error.message, messageCharsMax),
    stack: cut(error.stack ?? '', stackCharsMax),
    ...(error.cause === undefined || causes <= 1 ? {} : { cause: describeError(error.cause, causes - 1) }),
  };
}

/** Says which lines of a kind may still be written in this second. */
class LineBudget {
  readonly #kinds = new Map<string, { second: number; written: number; suppressed: number }>();

  /** How many lines of that kind were left out since the last one, undefined when this one is to be left out. */
  take(kind: string, nowMs: number): number | undefined {
    const second = Math.floor(nowMs / 1000);
    let entry = this.#kinds.get(kind);
    if (entry === undefined) {
      // Kinds are codes and statuses, so there are few.
      entry = { second, written: 0, suppressed: 0 };
      this.#kinds.set(kind, entry);
    }
    if (entry.second !== second) {
      entry.second = second;
      entry.written = 0;
    }
    if (entry.written >= linesPerSecondMax) {
      entry.suppressed += 1;
      return undefined;
    }
    entry.written += 1;
    const { suppressed } = entry;
    entry.suppressed = 0;
    return suppressed;
  }
}

function levelOf(
  operation: AnyOperation, { status }: Reply, error: ServerError | undefined, durationMs: number,
): 'debug' | 'info' | 'error' {
  // A probe that says "not ready" has done its work; it is asked every second.
  if (status === 503 && operation.unlimited === true) return 'debug';
  // What breaks a stream off comes after a good status.
  if (status >= 500 || (error !== undefined && errorTable[error.code].http >= 500)) return 'error';
  return durationMs >= slowMs ? 'info' : 'debug';
}

function requestFields(
  call: Call, reply: Reply, durationMs: number, error: ServerError | undefined,
): Record<string, unknown> {
  const fields: Record<string, unknown> = {
    req_id: call.requestId, op: call.operation.name, status: reply.status, dur_ms: round(durationMs),
  };
  const { queueMs, tokenizeMs, inferenceMs } = call.timings;
  if (queueMs !== undefined) fields.queue_ms = round(queueMs);
  if (tokenizeMs !== undefined) fields.tokenize_ms = round(tokenizeMs);
  if (inferenceMs !== undefined) fields.inference_ms = round(inferenceMs);
  if (error === undefined) return fields;
  fields.code = error.code;
  if (error.field !== undefined) fields.field = error.field;
  const cause = error.cause ?? (error.code === 'INTERNAL' ? error : undefined);
  if (cause !== undefined) fields.err = cause;
  return fields;
}

function cutFields(fields: Record<string, unknown>): Record<string, unknown> {
  for (const value of Object.values(fields)) {
    if (typeof value === 'string' && value.length > fieldCharsMax) return withCutStrings(fields);
  }
  return fields;
}

function withCutStrings(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => (
    [name, typeof value === 'string' ? cut(value, fieldCharsMax) : value])));
}

function printable(value: unknown): string {
  try {
    return typeof value === 'string' ? value : JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}

function round(milliseconds: number): number {
  return Math.round(milliseconds * 100) / 100;
}
