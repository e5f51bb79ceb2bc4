// One request on its way, whatever transport it came by.
import type { AnyOperation } from '../operation.ts';

/** Milliseconds spent in each stage, filled by the engine, shown by the transport. */
export type Timings = { queueMs?: number; tokenizeMs?: number; inferenceMs?: number };

/** Who calls: the name of an API key, or `anonymous`. */
export type Caller = { readonly name: string; readonly scopes: ReadonlySet<string> };

const anonymous: Caller = { name: 'anonymous', scopes: new Set() };
const noChunks: AsyncIterable<Uint8Array> = { [Symbol.asyncIterator]: () => ({ next: () => Promise.resolve({ done: true, value: undefined }) }) };

/** One request on its way. Made by a transport, ended by it; everyone between only reads it and adds timings. */
export class Call {
  readonly requestId: string;
  /** Parsed path parameters by name, percent-decoded; `*` is the rest of a wildcard path. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly startedMs: number = performance.now();
  readonly timings: Timings = {};
  caller: Caller = anonymous;
  /** The operation that answers; a choosing operation replaces it once the body is known. */
  operation: AnyOperation;
  /** The body of an operation that takes it as a stream; empty elsewhere. The chunks are the reader's. */
  body: AsyncIterable<Uint8Array> = noChunks;
  #cancelled = false;
  #cancellation: AbortController | undefined;
  readonly #header: (name: string) => string;
  #query: string | URLSearchParams;

  constructor(init: {
    requestId: string;
    operation: AnyOperation;
    parameters?: Readonly<Record<string, string>>;
    /** What follows the `?`, undecoded. */
    query?: string | URLSearchParams;
    timeoutMs: number;
    header?: (name: string) => string;
  }) {
    this.requestId = init.requestId;
    this.operation = init.operation;
    this.parameters = init.parameters ?? {};
    this.#query = init.query ?? '';
    this.timeoutMs = init.timeoutMs;
    this.#header = init.header ?? (() => '');
  }

  /** True once nobody waits: what is still queued for this call is dropped before it runs. */
  get cancelled(): boolean {
    return this.#cancelled;
  }

  /** Aborted with the call, for what can be stopped outside: a request to another server. */
  get signal(): AbortSignal {
    if (this.#cancellation === undefined) {
      this.#cancellation = new AbortController();
      if (this.#cancelled) this.#cancellation.abort();
    }
    return this.#cancellation.signal;
  }

  /** Says that nobody waits any more. */
  cancel(): void {
    if (this.#cancelled) return;
    this.#cancelled = true;
    this.#cancellation?.abort();
  }

  /** By `performance.now()`: after that the call has been answered. */
  get deadlineMs(): number {
    return this.startedMs + this.timeoutMs;
  }

  get query(): URLSearchParams {
    // Few operations look at it, so it is parsed for those.
    if (typeof this.#query === 'string') this.#query = new URLSearchParams(this.#query);
    return this.#query;
  }

  /** A header's or metadata entry's value, '' when absent. `name` in lower case. */
  header(name: string): string {
    return this.#header(name);
  }
}
