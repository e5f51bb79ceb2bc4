// One row of the inference history, and the id it is sorted by. Pure.
// Invariant: a row has a bounded size and holds names, shapes and numbers, never a tensor's data.
import { randomBytes } from 'node:crypto';
import type { ErrorCode } from '../errors.ts';
import { historyItemsMax, historyTextCharsMax, requestIdCharsMax } from '../limits.ts';

export type InputSummary = {
  readonly name: string;
  readonly shape: readonly number[];
  readonly datatype: string | null;
};

/** As it is stored and shown. */
export type HistoryRow = {
  /** A UUID of version 7: sorts by time, then in the order of recording. */
  readonly id: string;
  readonly version: string;
  readonly model: string;
  /** ISO 8601 in UTC, the same moment as `timestamp_ms`. */
  readonly timestamp: string;
  readonly timestamp_ms: number;
  readonly status: 'success' | 'error';
  /** Of the error table. */
  readonly error_code: string | null;
  readonly inference_time_ms: number | null;
  readonly compression_ratio: number | null;
  readonly predicted_quality: number | null;
  readonly metrics: Readonly<Record<string, number>> | null;
  readonly inputs: readonly InputSummary[];
  readonly request_id: string;
  readonly caller: string | null;
};

/** What the recorder is told of one inference request. Too long texts are cut, numbers that are none are left out. */
export type HistoryEntry = {
  readonly version: string;
  readonly model: string;
  readonly requestId: string;
  /** The name that the caller's key stands for, never the key. */
  readonly caller?: string | undefined;
  /** Absent when the inference succeeded. */
  readonly errorCode?: ErrorCode | undefined;
  readonly inferenceMs?: number | undefined;
  readonly compressionRatio?: number | undefined;
  readonly predictedQuality?: number | undefined;
  readonly metrics?: Readonly<Record<string, number>> | undefined;
  readonly inputs?: readonly {
    readonly name: string;
    readonly shape: readonly number[];
    readonly datatype?: string | undefined;
  }[];
};

/** Also what the `status` filter takes besides `error`: how an inference ended, in one word. */
export function outcomeOf(row: Pick<HistoryRow, 'error_code'>): string {
  return row.error_code ?? 'success';
}

/** Makes rows with ids that rise within this source and differ from those of every other process. */
export class RowSource {
  readonly #instance = randomBytes(6).toString('hex');
  readonly #now: () => number;
  #lastMs = 0;
  #sequence = 0;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  row(entry: HistoryEntry): HistoryRow {
    const { id, timeMs } = this.#next();
    return {
      id,
      version: text(entry.version),
      model: text(entry.model),
      timestamp: new Date(timeMs).toISOString(),
      timestamp_ms: timeMs,
      status: entry.errorCode === undefined ? 'success' : 'error',
      error_code: entry.errorCode ?? null,
      inference_time_ms: finite(entry.inferenceMs),
      compression_ratio: finite(entry.compressionRatio),
      predicted_quality: finite(entry.predictedQuality),
      metrics: metricsOf(entry.metrics),
      inputs: (entry.inputs ?? []).slice(0, historyItemsMax).map(({ name, shape, datatype }) => ({
        name: text(name),
        shape: shape.slice(0, historyItemsMax),
        datatype: datatype === undefined ? null : text(datatype),
      })),
      request_id: text(entry.requestId, requestIdCharsMax),
      caller: entry.caller === undefined ? null : text(entry.caller),
    };
  }

  #next(): { id: string; timeMs: number } {
    // A clock that is set back must not put new rows below old ones.
    const timeMs = Math.max(this.#now(), this.#lastMs);
    this.#sequence = timeMs === this.#lastMs ? this.#sequence + 1 : 0;
    this.#lastMs = timeMs;
    return { id: idOf(timeMs, this.#sequence, this.#instance), timeMs };
  }
}

const sequenceLowBits = 14;

/** 48 bits of time, 26 bits of sequence around the fixed bits of a UUIDv7, 48 bits of the source. */
function idOf(timeMs: number, sequence: number, instance: string): string {
  const time = timeMs.toString(16).padStart(12, '0');
  const high = (0x7000 | ((sequence >>> sequenceLowBits) & 0xfff)).toString(16);
  const low = (0x8000 | (sequence & ((1 << sequenceLowBits) - 1))).toString(16);
  return `${time.slice(0, 8)}-${time.slice(8)}-${high}-${low}-${instance}`;
}

const timeMsMax = 2 ** 48 - 1;

/** Below every id of that millisecond and later, above all of earlier ones. */
export function lowestIdAt(timeMs: number): string {
  const time = Math.min(Math.max(Math.ceil(timeMs), 0), timeMsMax).toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-0000-0000-000000000000`;
}

export function idToBytes(id: string): Buffer {
  return Buffer.from(id.replaceAll('-', ''), 'hex');
}

/** The id as clients pass it on to get the rows below it. */
export function cursorOf(id: string): string {
  return idToBytes(id).toString('base64url');
}

/** The id in a cursor, undefined when it is none of ours. */
export function idOfCursor(cursor: string): string | undefined {
  const bytes = Buffer.from(cursor, 'base64url');
  if (bytes.length !== 16 || bytes.toString('base64url') !== cursor) return undefined;
  const hex = bytes.toString('hex');
  const id = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
  return /^.{14}7.{4}[89ab]/.test(id) ? id : undefined;
}

function metricsOf(metrics: HistoryEntry['metrics']): Record<string, number> | null {
  if (metrics === undefined) return null;
  const kept = Object.entries(metrics).filter(([, value]) => Number.isFinite(value)).slice(0, historyItemsMax);
  // Databases give `$` and `.` in names a meaning; a name in a database must be only a name.
  return Object.fromEntries(kept.map(([name, value]) => [text(name).replace(/[^\w-]/g, '_'), value]));
}

function finite(value: number | undefined): number | null {
  return value !== undefined && Number.isFinite(value) ? value : null;
}

function text(value: string, charsMax: number = historyTextCharsMax): string {
  // Half a surrogate pair has no UTF-8: a database would give back another text.
  return (value.length <= charsMax ? value : value.slice(0, charsMax)).toWellFormed();
}
