// Misses that are under way: who asks the same, or nearly the same, at the same moment waits for one answer.
// Invariant: only flights of one partition are joined, and only vectors of one model are compared.
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
  /** Identity of the model that made it. */
  readonly model?: string | undefined;
  readonly thresholdMin?: number | undefined;
};

export type Joined<Flight> = {
  readonly flight: Flight;
  /** With the same text, or with a near question. */
  readonly by: 'exact' | 'semantic';
  readonly similarity: number;
  readonly reason: string;
};

type Airborne<Flight> = {
  readonly flight: Flight;
  readonly question: string;
  readonly exact: string;
  readonly unit: Float32Array | undefined;
  readonly model: string | undefined;
};

/** Join, and start only what cannot be joined; between the two nothing may be awaited. */
export class Flights<Flight> {
  readonly #policy: Policy;
  readonly #flightsMax: number;
  /** By partition, then in the order of their start. */
  readonly #flights = new Map<string, Set<Airborne<Flight>>>();
  #count = 0;

  constructor(policy: Policy, flightsMax = semanticFlightsMax) {
    this.#policy = policy;
    this.#flightsMax = flightsMax;
  }

  /** Flights that can be joined. */
  get size(): number {
    return this.#count;
  }

  join({ partition, question, vector, model, thresholdMin }: Passenger): Joined<Flight> | undefined {
    const exact = exactText(question);
    const flights = this.#flights.get(nameOf(partition));
    for (const each of flights ?? []) {
      if (each.exact === exact) return { flight: each.flight, by: 'exact', similarity: 1, reason: 'the same text' };
    }
    if (vector === undefined) return undefined;
    const unit = unitVector(vector, vector.length);
    const threshold = thresholdOf(this.#policy, thresholdMin);
    for (const each of flights ?? []) {
      if (each.unit?.length !== unit.length || each.model !== model) continue;
      const similarity = Math.min(1, dot(each.unit, unit));
      const { hit, reason } = decide(this.#policy, { question, cached: each.question, similarity }, threshold, undefined);
      if (hit) return { flight: each.flight, by: 'semantic', similarity, reason };
    }
    return undefined;
  }

  /**
   * Can be joined until it has landed, which is when its answer can be found in the cache. One with the same text leaves:
   * this is the newer answer. Beyond the bound a flight flies alone.
   */
  add({ partition, question, vector, model }: Passenger, flight: Flight, landed: Promise<unknown>): void {
    const name = nameOf(partition);
    const exact = exactText(question);
    for (const each of this.#flights.get(name) ?? []) if (each.exact === exact) this.#remove(name, each);
    if (this.#count >= this.#flightsMax) return;
    const airborne = { flight, question, exact, unit: vector && unitVector(vector, vector.length), model };
    const flights = this.#flights.get(name) ?? new Set();
    this.#flights.set(name, flights.add(airborne));
    this.#count += 1;
    const remove = (): void => this.#remove(name, airborne);
    landed.then(remove, remove);
  }

  #remove(name: string, airborne: Airborne<Flight>): void {
    const flights = this.#flights.get(name);
    if (flights?.delete(airborne) !== true) return;
    this.#count -= 1;
    if (flights.size === 0) this.#flights.delete(name);
  }
}

function nameOf({ namespace, key }: Partition): string {
  return JSON.stringify([namespace, key]);
}

function dot(left: Float32Array, right: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < left.length; i++) sum += left[i]! * right[i]!;
  return sum;
}
