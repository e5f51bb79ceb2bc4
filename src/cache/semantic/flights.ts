// Misses that are under way: who asks the same, or nearly the same, at the same moment waits for one answer.
// Invariant: only flights of one partition are joined; a flight goes on while anybody waits for it.
import { ServerError } from '../../errors.ts';
import { semanticFlightsMax } from '../../limits.ts';
import { decide, thresholdOf, type Policy } from './decision.ts';
import { exactText } from './text.ts';
import type { Partition } from './types.ts';
import { unitVector } from './vector-rows.ts';

export type Passenger = {
  readonly partition: Partition;
  readonly question: string;
  /** As the model gave it; without one only the same text is joined. */
  readonly vector?: Float32Array | undefined;
  readonly thresholdMin?: number | undefined;
  /** The client has left. */
  readonly signal?: AbortSignal | undefined;
};

export type Landed<Result> = {
  readonly result: Result;
  /** Whose flight it was: `own`, or one with the same text, or one with a near question. */
  readonly joined: 'own' | 'exact' | 'semantic';
  readonly similarity: number;
  readonly reason: string;
};

type Flight<Result> = {
  readonly question: string;
  readonly exact: string;
  readonly unit: Float32Array | undefined;
  readonly abort: AbortController;
  readonly result: Promise<Result>;
  waiting: number;
};

export class Flights<Result> {
  readonly #policy: Policy;
  readonly #flightsMax: number;
  /** By partition, then in the order of their start. */
  readonly #flights = new Map<string, Set<Flight<Result>>>();
  #count = 0;

  constructor(policy: Policy, flightsMax = semanticFlightsMax) {
    this.#policy = policy;
    this.#flightsMax = flightsMax;
  }

  /** Flights that can be joined. */
  get size(): number {
    return this.#count;
  }

  /**
   * Joins a flight or starts one with `make`, whose signal fires when nobody waits any more. What it rejects with,
   * all who wait get; who leaves gets CANCELLED at once. `make` should put the answer before it resolves: then who
   * comes later finds it.
   */
  async fly(passenger: Passenger, make: (signal: AbortSignal) => Promise<Result>): Promise<Landed<Result>> {
    const { partition, vector, signal } = passenger;
    if (signal?.aborted) throw new ServerError('CANCELLED');
    const name = JSON.stringify([partition.namespace, partition.key]);
    const exact = exactText(passenger.question);
    const unit = vector && unitVector(vector, vector.length);
    const joinable = this.#joinable(name, passenger, exact, unit);
    if (joinable !== undefined) {
      const { flight, ...how } = joinable;
      return { result: await this.#wait(flight, signal), ...how };
    }
    const flight = this.#start(name, { question: passenger.question, exact, unit }, make);
    return { result: await this.#wait(flight, signal), joined: 'own', similarity: 1, reason: 'asked' };
  }

  #joinable(
    name: string, { question, thresholdMin }: Passenger, exact: string, unit: Float32Array | undefined,
  ): { flight: Flight<Result>; joined: 'exact' | 'semantic'; similarity: number; reason: string } | undefined {
    const threshold = thresholdOf(this.#policy, thresholdMin);
    const flights = this.#flights.get(name);
    for (const flight of flights ?? []) {
      if (flight.exact === exact) return { flight, joined: 'exact', similarity: 1, reason: 'the same text' };
    }
    if (unit === undefined) return undefined;
    for (const flight of flights ?? []) {
      if (flight.unit?.length !== unit.length) continue;
      const similarity = Math.min(1, dot(flight.unit, unit));
      const { hit, reason } = decide(this.#policy, { question, cached: flight.question, similarity }, threshold, undefined);
      if (hit) return { flight, joined: 'semantic', similarity, reason };
    }
    return undefined;
  }

  #start(
    name: string, start: Pick<Flight<Result>, 'question' | 'exact' | 'unit'>, make: (signal: AbortSignal) => Promise<Result>,
  ): Flight<Result> {
    const abort = new AbortController();
    const flight: Flight<Result> = { ...start, abort, result: make(abort.signal), waiting: 0 };
    // Beyond the bound a flight flies alone.
    if (this.#count < this.#flightsMax) this.#add(name, flight);
    const landed = () => this.#remove(name, flight);
    flight.result.then(landed, landed);
    return flight;
  }

  #wait(flight: Flight<Result>, signal: AbortSignal | undefined): Promise<Result> {
    flight.waiting += 1;
    return new Promise((resolve, reject) => {
      let waits = true;
      const end = () => {
        if (waits) flight.waiting -= 1;
        waits = false;
        signal?.removeEventListener('abort', leave);
      };
      const leave = () => {
        end();
        if (flight.waiting === 0) flight.abort.abort();
        reject(new ServerError('CANCELLED'));
      };
      signal?.addEventListener('abort', leave);
      flight.result.then(resolve, reject).finally(end);
    });
  }

  #add(name: string, flight: Flight<Result>): void {
    const flights = this.#flights.get(name) ?? new Set();
    this.#flights.set(name, flights);
    flights.add(flight);
    this.#count += 1;
  }

  #remove(name: string, flight: Flight<Result>): void {
    const flights = this.#flights.get(name);
    if (flights?.delete(flight) !== true) return;
    this.#count -= 1;
    if (flights.size === 0) this.#flights.delete(name);
  }
}

function dot(left: Float32Array, right: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < left.length; i++) sum += left[i]! * right[i]!;
  return sum;
}
