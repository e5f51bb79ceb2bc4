// Which waiting tensor requests run together, and when. Pure: no clock, no promise.
// The rules are those of Triton's dynamic batcher (model configuration, "dynamic_batching").

export type BatchPolicy = {
  /** Rows in one run at most. */
  readonly rowsMax: number;
  /** Sizes that run as soon as they can be had, though more rows might come. */
  readonly preferredRows: readonly number[];
  /** How long the first request in turn waits for others; 0 never waits. */
  readonly queueDelayMs: number;
  /** Priorities go from 1, which runs first, to this. */
  readonly priorityLevels: number;
  readonly defaultPriority: number;
};

/** A request in the queue. */
export type Candidate = {
  readonly rows: number;
  /** What must be equal for two requests to share a run: types, sizes but for the rows, outputs. */
  readonly kind: string;
  readonly priority: number;
  readonly queuedMs: number;
};

export type Choice = { readonly take: readonly number[] } | { readonly waitUntilMs: number };

/** Where a request of `priority` stands in the queue: behind those that came before it with its priority or a lower number. */
export function placeOf(priority: number, queue: readonly Pick<Candidate, 'priority'>[]): number {
  const behind = queue.findIndex((other) => other.priority > priority);
  return behind < 0 ? queue.length : behind;
}

/** Indexes of the requests for the next run, the first in turn always among them; or until when to wait for more. */
export function chooseBatch(queue: readonly Candidate[], policy: BatchPolicy, nowMs: number): Choice {
  const first = queue[0]!;
  const take: number[] = [];
  let rows = 0;
  let preferred = 0;
  let isFull = false;
  for (const [index, candidate] of queue.entries()) {
    if (candidate.kind !== first.kind) continue;
    // Whoever does not fit stays first of its kind: passing it over could starve it.
    isFull = rows + candidate.rows > policy.rowsMax;
    if (isFull) break;
    take.push(index);
    rows += candidate.rows;
    if (policy.preferredRows.includes(rows)) preferred = take.length;
  }
  if (preferred > 0) return { take: take.slice(0, preferred) };
  const readyMs = first.queuedMs + policy.queueDelayMs;
  if (isFull || rows === policy.rowsMax || nowMs >= readyMs) return { take };
  return { waitUntilMs: readyMs };
}
