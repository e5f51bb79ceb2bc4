// The one door to embeddings for every surface: checks what only the model can tell, then hands to the cache, and
// what that does not have to the model's batcher.
import type { EmbedInput, EmbedOptions } from '../backend/protocol.ts';
import type { Embedded, Waiter } from '../batch/job.ts';
import type { CachedEmbedded, CacheUse, EmbeddingCache } from '../cache/embedding-cache.ts';
import { ServerError } from '../errors.ts';
import type { Call } from '../operation.ts';
import type { EmbeddingModel } from '../registry/embedding-model.ts';
import type { Registry } from '../registry/registry.ts';
import { countRequest } from './embed-statistics.ts';
import { waitInQueue } from './queue-wait.ts';
import { streamRows, type SliceTimes, type StreamedRow } from './row-stream.ts';
import { checkTokenIds, promptText, tooLong, truncatedInputs } from './embed-checks.ts';

export type EmbedRequest = {
  readonly model: string;
  readonly inputs: readonly EmbedInput[];
  /** Leading values wanted; undefined gives all. */
  readonly dimensions?: number | undefined;
  /** Unit length; undefined leaves it to the model's modules. */
  readonly normalize?: boolean | undefined;
  /** What happens to an input beyond the model's length: keep its start or end, or refuse the request. */
  readonly truncation?: 'right' | 'left' | 'refuse';
  readonly promptName?: string | undefined;
  /** `bypass` computes, whatever the cache has, and leaves nothing in it. */
  readonly cache?: 'use' | 'bypass' | undefined;
  /** Inputs that may run together with one of these; undefined leaves it to the model. */
  readonly batchInputsMax?: number | undefined;
  /** How long the request may wait for the first of its inputs to run: TIMEOUT then. */
  readonly queueMsMax?: number | undefined;
  /** What the surface calls these in its requests, for errors; `input` where a request's items are not these inputs one by one. */
  readonly fields: { readonly model: string; readonly inputs: string; readonly input?: (index: number) => string };
};

export type EmbedResult = Embedded & {
  /** The name that the client asked by. */
  readonly model: string;
  /** Of the model that made the vectors. */
  readonly identity: string;
  readonly dimension: number;
  /** Indices of the inputs that lost tokens. */
  readonly truncated: readonly number[];
  readonly cache: CacheUse;
};

/** Who waits for vectors, and where the times go. */
export type EmbedCall = Pick<Call, 'cancelled' | 'timings' | 'deadlineMs'>;

/** What is known once all rows have been given. */
export type EmbedTotals = SliceTimes & {
  readonly model: string;
  readonly dimension: number;
  readonly count: number;
  /** Tokens computed, special tokens included. */
  readonly tokens: number;
  readonly truncated: readonly Omit<StreamedRow, 'row'>[];
};

export class EmbedEngine {
  readonly #registry: Registry;
  readonly #allowDimensions: boolean;
  readonly #cache: EmbeddingCache | undefined;
  /** Requests that want the same share one options object, so that a batch of theirs is cloned with one. */
  readonly #options = new Map<string, EmbedOptions>();

  /**
   * @param allowDimensions whether vectors may be cut though the model was not trained for it
   * @param cache of all models; undefined computes each input of each request
   */
  constructor(registry: Registry, allowDimensions: boolean, cache?: EmbeddingCache) {
    this.#registry = registry;
    this.#allowDimensions = allowDimensions;
    this.#cache = cache;
  }

  /**
   * At once when this process knows every vector asked for; else it waits for the model, also while it loads.
   * Rejects with ServerErrors that name the surface's fields.
   */
  embed(request: EmbedRequest, call: EmbedCall): EmbedResult | Promise<EmbedResult> {
    return this.#known(request) ?? this.#embed(request, call);
  }

  /** Never throws: what is wrong with a request is found once more, and said, where it is computed. */
  #known(request: EmbedRequest): EmbedResult | undefined {
    if (this.#cache === undefined || request.cache === 'bypass') return undefined;
    try {
      const known = this.#registry.find(request.model, request.fields.model);
      const { model } = known.slot;
      if (model === undefined) return undefined;
      const dimension = this.#dimension(request, model);
      const cached = this.#cache.peek(model.identity, request.inputs, this.#optionsOf(request, model, dimension));
      if (cached === undefined) return undefined;
      const truncated = truncatedInputs(cached);
      if (request.truncation === 'refuse' && truncated.length > 0) return undefined;
      known.slot.touch();
      countRequest(known.statistics, cached.cache, cached, cached.cache.lookupMs);
      known.metrics.embedded(request.inputs.length, truncated.length);
      return resultOf(cached, request.model, model.identity, dimension, truncated);
    } catch {
      return undefined;
    }
  }

  async #embed(request: EmbedRequest, call: EmbedCall): Promise<EmbedResult> {
    const known = this.#registry.find(request.model, request.fields.model);
    const lease = await known.slot.lease();
    const startedMs = performance.now();
    try {
      const result = await this.#embedWith(lease.model, request, call);
      known.metrics.embedded(request.inputs.length, result.truncated.length);
      countRequest(known.statistics, result.cache, result, performance.now() - startedMs);
      return result;
    } catch (error) {
      if (!call.cancelled) known.statistics.failed(performance.now() - startedMs);
      throw error;
    } finally {
      lease.release();
    }
  }

  /** Which vectors a model gives now. Waits for it if it still loads. */
  async vectorModel(name: string): Promise<{ readonly identity: string; readonly dimension: number }> {
    const lease = await this.#registry.find(name, 'model').slot.lease();
    try {
      const { dimension } = lease.model.backend.description;
      return { identity: lease.model.identity, dimension };
    } finally {
      lease.release();
    }
  }

  /** As `embed`, giving the rows as their batches end, those of one batch together. */
  async *embedEach(request: EmbedRequest, call: Call): AsyncGenerator<readonly StreamedRow[], EmbedTotals> {
    const known = this.#registry.find(request.model, request.fields.model);
    const lease = await known.slot.lease();
    const startedMs = performance.now();
    const used = { hits: 0, misses: 0, lookupMs: 0 };
    try {
      const { model } = lease;
      const dimension = this.#dimension(request, model);
      checkTokenIds(request, model);
      const options = this.#optionsOf(request, model, dimension);
      const rows = streamRows(request.inputs.length, async (from, to, waiter) => {
        // What runs may outlast its reader, and with it the lease above.
        const own = await known.slot.lease();
        try {
          const embedded = await this.#vectors(own.model, request, request.inputs.slice(from, to), options, waiter);
          used.hits += embedded.cache.hits;
          used.misses += embedded.cache.misses;
          used.lookupMs += embedded.cache.lookupMs;
          return embedded;
        } finally {
          own.release();
        }
      }, waiterOf(request, call));
      const totals = yield* withTotals(rows, request);
      tellTimes(totals, call);
      known.metrics.embedded(totals.count, totals.truncated.length);
      countRequest(known.statistics, used, totals, performance.now() - startedMs);
      return { ...totals, dimension };
    } catch (error) {
      if (!call.cancelled) known.statistics.failed(performance.now() - startedMs);
      throw error;
    } finally {
      lease.release();
    }
  }

  async #embedWith(model: EmbeddingModel, request: EmbedRequest, call: EmbedCall): Promise<EmbedResult> {
    const dimension = this.#dimension(request, model);
    checkTokenIds(request, model);
    const options = this.#optionsOf(request, model, dimension);
    const embedded = await waitInQueue(request.queueMsMax, waiterOf(request, call), (waiter) => {
      return this.#vectors(model, request, request.inputs, options, waiter);
    });
    const truncated = truncatedInputs(embedded);
    if (request.truncation === 'refuse' && truncated.length > 0) {
      const index = truncated[0]!;
      throw tooLong(request, { index, tokensGiven: embedded.tokensGiven[index]!, tokensKept: embedded.tokensKept[index]! });
    }
    tellTimes(embedded, call);
    return resultOf(embedded, request.model, model.identity, dimension, truncated);
  }

  async #vectors(
    model: EmbeddingModel, { cache }: EmbedRequest, inputs: readonly EmbedInput[], options: EmbedOptions, waiter: Waiter,
  ): Promise<CachedEmbedded> {
    if (this.#cache !== undefined && cache !== 'bypass') return this.#cache.embed(model, inputs, options, waiter);
    const embedded = await model.batcher.embed(inputs, options, waiter);
    return { ...embedded, cache: { hits: 0, misses: inputs.length, lookupMs: 0 } };
  }

  #optionsOf(request: EmbedRequest, model: EmbeddingModel, dimension: number): EmbedOptions {
    return this.#shared({
      prompt: promptText(request.promptName, model),
      truncation: request.truncation === 'left' ? 'left' : 'right',
      // All, and as many as there are, are one.
      dimension: dimension === model.backend.description.dimension ? 0 : dimension,
      normalize: request.normalize,
    });
  }

  #dimension(request: EmbedRequest, model: EmbeddingModel): number {
    const native = model.backend.description.dimension;
    const wanted = request.dimensions;
    if (wanted === undefined || wanted === native) return native;
    if (wanted < 1 || wanted > native) {
      throw new ServerError('DIMENSIONS_UNSUPPORTED', `'dimensions' must be between 1 and ${native}.`, { field: 'dimensions' });
    }
    const trained = model.manifest.matryoshkaDimensions;
    if (this.#allowDimensions || trained.includes(wanted)) return wanted;
    const offer = trained.length > 0 ? `It gives ${[...trained, native].join(', ')}.` : `It gives ${native}.`;
    throw new ServerError('DIMENSIONS_UNSUPPORTED', `The model was not trained to be cut to ${wanted} dimensions. ${offer}`, {
      field: 'dimensions',
    });
  }

  #shared(options: EmbedOptions): EmbedOptions {
    const { prompt, truncation, dimension, normalize } = options;
    // Unlike JSON it takes no time; the prompt stands last, where nothing can be mistaken for it.
    const key = `${truncation} ${dimension} ${normalize} ${prompt}`;
    let shared = this.#options.get(key);
    if (shared === undefined) {
      shared = Object.freeze(options);
      // Clients choose dimensions, so the kinds are many but bounded; forgetting them costs nothing.
      if (this.#options.size >= 1000) this.#options.clear();
      this.#options.set(key, shared);
    }
    return shared;
  }
}

/** Spelt out: spreading took five of the six microseconds of a hit. */
function resultOf(
  embedded: CachedEmbedded, model: string, identity: string, dimension: number, truncated: readonly number[],
): EmbedResult {
  const { rows, tokensGiven, tokensKept, queueMs, tokenizeMs, inferenceMs, batches, cache } = embedded;
  return { rows, tokensGiven, tokensKept, queueMs, tokenizeMs, inferenceMs, batches, cache, model, identity, dimension, truncated };
}

function waiterOf({ batchInputsMax }: EmbedRequest, call: EmbedCall): Waiter {
  if (batchInputsMax === undefined) return call;
  return {
    get cancelled() {
      return call.cancelled;
    },
    deadlineMs: call.deadlineMs,
    batchInputsMax,
  };
}

/** What took no time at all took none of this request's. */
function tellTimes({ queueMs, tokenizeMs, inferenceMs }: SliceTimes, call: EmbedCall): void {
  if (inferenceMs > 0) Object.assign(call.timings, { queueMs, tokenizeMs, inferenceMs });
}

/** Passes rows on, and adds up what the last of them completes. */
async function* withTotals(
  rows: AsyncGenerator<readonly StreamedRow[], SliceTimes>, request: EmbedRequest,
): AsyncGenerator<readonly StreamedRow[], Omit<EmbedTotals, 'dimension'>> {
  const truncated: Omit<StreamedRow, 'row'>[] = [];
  let tokens = 0;
  try {
    for (;;) {
      const step = await rows.next();
      if (step.done === true) {
        truncated.sort((one, other) => one.index - other.index);
        return { ...step.value, model: request.model, count: request.inputs.length, tokens, truncated };
      }
      for (const { index, tokensGiven, tokensKept } of step.value) {
        tokens += tokensKept;
        if (tokensGiven <= tokensKept) continue;
        if (request.truncation === 'refuse') throw tooLong(request, { index, tokensGiven, tokensKept });
        truncated.push({ index, tokensGiven, tokensKept });
      }
      yield step.value;
    }
  } finally {
    void rows.return({ queueMs: 0, tokenizeMs: 0, inferenceMs: 0 });
  }
}
