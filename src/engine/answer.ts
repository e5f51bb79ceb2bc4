// Answers to questions: from the semantic cache where it has one, else from the upstream, once for all who ask the same
// at the same time. A cache that fails is a miss; only the upstream's own failure is the client's.
import { ByteBudget } from '../byte-budget.ts';
import type { LoadReport } from '../cache/semantic/json-lines.ts';
import { Flights } from '../cache/semantic/flights.ts';
import type { SemanticCache } from '../cache/semantic/semantic-cache.ts';
import type { Entry, Lookup, Nearest, Partition, Selection } from '../cache/semantic/types.ts';
import { unitVector } from '../cache/semantic/vector-rows.ts';
import { ServerError } from '../errors.ts';
import { cachedAnswerBytesMax, upstreamBytesInFlightMax } from '../limits.ts';
import type { Call } from '../operation.ts';
import { completionOf, completionOfStream, type Completion } from '../upstream/completion.ts';
import { SharedResponse } from '../upstream/shared-response.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { EmbedEngine } from './embed.ts';
import { QuestionVector } from './question-vector.ts';
import { amount, selectsNew, storedAnswer, type StoredAnswer } from './stored-answer.ts';

export type Question = {
  /** Undefined: nothing is looked up and nothing kept. */
  readonly cached: CachedQuestion | undefined;
  /** The chat request as JSON; undefined when only the cache is asked. */
  readonly body: string | Uint8Array;
  /** Whether the client, and so the body, wants a stream. */
  readonly streams: boolean;
  /** Whether the stream is to end with the usage: who did not ask for it may not know its chunk, which has no choices. */
  readonly includesUsage: boolean;
  /** The client's own `Authorization`. */
  readonly authorization: string;
};

export type CachedQuestion = {
  readonly partition: Partition;
  readonly text: string;
  /** False goes to the upstream and replaces what the cache has. */
  readonly read: boolean;
  /** A client's wish for at least that cosine. */
  readonly similarityMin?: number | undefined;
  readonly tags?: readonly string[];
  readonly ttlMs?: number | undefined;
};

export type Hit = Extract<Lookup, { hit: true }>;

export type Answered =
  | { readonly from: 'cache'; readonly hit: Hit; readonly completion: Completion }
  /** Another client's answer to the same question, which came meanwhile. */
  | { readonly from: 'flight'; readonly completion: Completion }
  /** In the form the client wants. `leave` when it needs no more of it. `joined`: another client asked for it. */
  | {
    readonly from: 'upstream'; readonly response: SharedResponse; readonly leave: () => void; readonly joined: boolean;
    readonly nearest: Nearest | undefined;
  }
  /** There is no upstream. */
  | { readonly from: 'nowhere'; readonly nearest: Nearest | undefined };

export type AnswerObserver = {
  /** How long the upstream took when it gave the answer, and the tokens it counted. */
  saved(upstreamMs: number, tokens: number): void;
  upstreamEnded(status: number, upstreamMs: number): void;
  /** Who joined an answer that another client waits for. */
  joined(): void;
  bypassed(): void;
};

/** A question that goes to the upstream. */
type Boarding = CachedQuestion & { readonly vector: Float32Array | undefined; readonly madeBy: string | undefined };

type Flight = {
  readonly cached: CachedQuestion;
  readonly response: SharedResponse;
  readonly streams: boolean;
  readonly includesUsage: boolean;
  /** Once it is in the cache. Undefined when the answer may not be given to others. */
  readonly completion: Promise<Completion | undefined>;
  /** Its answer is whole, and on its way into the cache. */
  hasLanded: boolean;
  /** Entries like its own were deleted since it was asked: it is for those who wait already, and is not kept. */
  isForgotten: boolean;
};

export type AnswerParts = {
  /** Opened when it is first asked for. Rejects while its store cannot be opened. */
  readonly cache: () => Promise<SemanticCache>;
  readonly engine: EmbedEngine;
  /** The embedding model that compares questions. */
  readonly model: string;
  readonly upstream: Upstream | undefined;
  readonly observer: AnswerObserver;
  /** Told of what went wrong beside an answer: a write that failed. */
  readonly onError: (error: unknown) => void;
};

export class AnswerEngine {
  readonly #parts: AnswerParts;
  /** What all answers of the upstream hold. */
  readonly #answers = new ByteBudget(upstreamBytesInFlightMax);
  /** All of them, those too many to be joined included. */
  readonly #flying = new Set<Flight>();
  /** Known once the cache is. */
  #flights: Flights<Flight> | undefined;

  constructor(parts: AnswerParts) {
    this.#parts = parts;
  }

  /** Rejects with BACKEND_FAILED while its store cannot be opened. */
  cache(): Promise<SemanticCache> {
    return this.#parts.cache();
  }

  /** Of the vectors that questions are compared by; null while no model makes them. */
  dimension(): Promise<number | null> {
    return this.#parts.engine.vectorModel(this.#parts.model).then(({ dimension }) => dimension, () => null);
  }

  get hasUpstream(): boolean {
    return this.#parts.upstream !== undefined;
  }

  /** Throws what the upstream client throws. */
  async answer(question: Question, call: Call): Promise<Answered> {
    const { cached } = question;
    if (cached === undefined) {
      this.#parts.observer.bypassed();
      return this.#asked(this.#start(question), call, undefined);
    }
    const vector = new QuestionVector(this.#parts.engine, this.#parts.model, cached.text);
    // Who asks again at once must not fall between the answer and its entry.
    const landed = cached.read ? this.#sameFlight(cached) : undefined;
    if (landed?.hasLanded === true) await landed.completion;
    const lookup = cached.read ? await this.#lookup(cached, vector, call) : { hit: false as const };
    if (lookup.hit) {
      const stored = storedAnswer(lookup.entry);
      if (stored !== undefined) {
        this.#parts.observer.saved(stored.upstreamMs, amount(stored.completion.usage?.total_tokens));
        return { from: 'cache', hit: lookup, completion: stored.completion };
      }
    }
    const nearest = lookup.hit ? undefined : lookup.nearest;
    if (!this.hasUpstream) return { from: 'nowhere', nearest };
    const computed = await this.#vectorOf(vector, call);
    return this.#fly(question, { ...cached, vector: computed, madeBy: vector.madeBy }, call, nearest);
  }

  /** Puts an answer in by hand. Throws what embedding throws, and what the cache throws. */
  async put(cached: CachedQuestion, completion: Completion, call: Call): Promise<Entry> {
    const cache = await this.#currentCache();
    const question = new QuestionVector(this.#parts.engine, this.#parts.model, cached.text);
    const vector = await question.get(call);
    const answer = Buffer.from(JSON.stringify({ completion, upstreamMs: 0 } satisfies StoredAnswer));
    return cache.put(cached.partition, { question: cached.text, vector, model: question.madeBy, answer, tags: cached.tags ?? [], ttlMs: cached.ttlMs });
  }

  /** How many entries left. What is under way is not kept where it would have been deleted. Throws what the cache throws. */
  async delete(namespace: string, selection: Selection): Promise<number> {
    const forgotten = [...this.#flying].filter(({ cached }) => cached.partition.namespace === namespace && selectsNew(selection, cached.tags));
    for (const flight of forgotten) flight.isForgotten = true;
    const cache = await this.cache();
    // One that is on its way into the cache is deleted there.
    await Promise.all(forgotten.filter(({ hasLanded }) => hasLanded).map(({ completion }) => completion));
    return cache.delete(namespace, selection);
  }

  /** The embedding model may have been loaded anew since the last question. */
  async #currentCache(): Promise<SemanticCache> {
    const cache = await this.cache();
    await cache.useModel(await this.#parts.engine.vectorModel(this.#parts.model));
    this.#flights ??= new Flights(cache.policy);
    return cache;
  }

  /** The lines of a dump, with vectors where there is a model. Rejects with BACKEND_FAILED where the store could not be read. */
  async dump(namespace: string | undefined): Promise<AsyncIterable<string>> {
    const cache = await this.#currentCache().catch(() => this.cache());
    await cache.complete();
    return cache.dump(namespace);
  }

  /** Takes the lines of a dump; what has no vector of the current model is embedded anew. */
  async load(lines: AsyncIterable<Uint8Array>, namespace: string | undefined, call: Call): Promise<LoadReport> {
    const cache = await this.#currentCache();
    const { engine, model } = this.#parts;
    const embed = (question: string) => new QuestionVector(engine, model, question).get(call);
    return cache.load(lines, { embed, ...(namespace !== undefined && { namespace }) });
  }

  /** Joins who asks the same, or asks the upstream. */
  async #fly(question: Question, cached: Boarding, call: Call, nearest: Nearest | undefined): Promise<Answered> {
    const joined = cached.read ? this.#flights?.join({ ...cached, question: cached.text, model: cached.madeBy, thresholdMin: cached.similarityMin }) : undefined;
    if (joined === undefined || joined.flight.isForgotten || joined.flight.response.isAbandoned) return this.#asked(this.#startFlight(question, cached), call, nearest);
    this.#parts.observer.joined();
    const { flight } = joined;
    if (flight.streams === question.streams && flight.includesUsage === question.includesUsage) {
      return this.#asked(flight.response, call, nearest, true);
    }
    // It wants the other form: it waits for the whole of it.
    const leave = flight.response.enter();
    call.signal.addEventListener('abort', leave, { once: true });
    const completion = await flight.completion.finally(leave);
    if (call.cancelled) throw new ServerError('CANCELLED');
    if (completion !== undefined) return { from: 'flight', completion };
    return this.#asked(this.#start(question), call, nearest);
  }

  #sameFlight({ partition, text }: CachedQuestion): Flight | undefined {
    return this.#flights?.join({ partition, question: text })?.flight;
  }

  /** Beyond what a miss needs: near questions of the same moment are told by it, and the entry is there the sooner. */
  async #vectorOf(vector: QuestionVector, call: Call): Promise<Float32Array | undefined> {
    try {
      const computed = await vector.get(call);
      return computed && unitVector(computed, computed.length);
    } catch (error) {
      if (call.cancelled) throw error;
      this.#parts.onError(error);
      return undefined;
    }
  }

  #asked(response: SharedResponse, call: Call, nearest: Nearest | undefined, joined = false): Answered {
    const leave = response.enter();
    if (call.cancelled) leave();
    else call.signal.addEventListener('abort', leave, { once: true });
    return { from: 'upstream', response, leave, joined, nearest };
  }

  #start({ body, authorization }: Question): SharedResponse {
    const { upstream, observer } = this.#parts;
    if (upstream === undefined) throw new ServerError('UPSTREAM_ABSENT');
    const startedMs = performance.now();
    const response = new SharedResponse((signal) => upstream.chatCompletions({ body, authorization, signal }), this.#answers);
    const ended = (status: number) => observer.upstreamEnded(status, performance.now() - startedMs);
    response.whole.then(
      async () => ended((await response.head).status),
      () => ended(0),
    );
    return response;
  }

  #startFlight(question: Question, cached: Boarding): SharedResponse {
    const startedMs = performance.now();
    const response = this.#start(question);
    const { streams, includesUsage } = question;
    const started = { cached, response, streams, includesUsage, hasLanded: false, isForgotten: false };
    const flight: Flight = Object.assign(started, { completion: this.#kept(started, cached, startedMs) });
    response.whole.then(() => (flight.hasLanded = true), () => {});
    this.#flying.add(flight);
    void flight.completion.then(() => this.#flying.delete(flight));
    this.#flights?.add({ ...cached, question: cached.text, model: cached.madeBy }, flight, flight.completion);
    return response;
  }

  /** Never rejects. */
  async #kept(flight: Omit<Flight, 'completion'>, cached: Boarding, startedMs: number): Promise<Completion | undefined> {
    const { response, streams } = flight;
    try {
      const bytes = await response.whole;
      if ((await response.head).status !== 200) return undefined;
      const completion = streams ? completionOfStream(bytes) : completionOf(bytes);
      if (completion === undefined) return undefined;
      const stored: StoredAnswer = { completion, upstreamMs: Math.round(performance.now() - startedMs) };
      const answer = Buffer.from(JSON.stringify(stored));
      if (answer.byteLength > cachedAnswerBytesMax) return completion;
      const { partition, text, vector, madeBy: model, tags = [], ttlMs } = cached;
      const cache = await this.#currentCache();
      if (flight.isForgotten) return completion;
      await cache.put(partition, { question: text, vector, model, answer, tags, ttlMs });
      return completion;
    } catch (error) {
      // What the upstream did is told to those who wait for it.
      const isUpstreams = error instanceof ServerError && error.code !== 'BACKEND_FAILED';
      if (!isUpstreams) this.#parts.onError(error);
      return undefined;
    }
  }

  async #lookup(cached: CachedQuestion, vector: QuestionVector, call: Call): Promise<Lookup> {
    try {
      const cache = await this.#currentCache();
      const comparable = async () => {
        const computed = await vector.get(call);
        return vector.madeBy === cache.model.identity ? computed : undefined;
      };
      return await cache.lookup(cached.partition, cached.text, comparable, { thresholdMin: cached.similarityMin });
    } catch (error) {
      // Without an upstream there is nothing but the cache, and its failure is the answer.
      if (!this.hasUpstream) throw error;
      if (error instanceof ServerError && error.code === 'CANCELLED') throw error;
      this.#parts.onError(error);
      return { hit: false };
    }
  }
}
