// The vector that a question is compared by.
import type { EmbedCall, EmbedEngine } from './embed.ts';

/** Computed at most once, and only if somebody needs it. */
export class QuestionVector {
  readonly #engine: EmbedEngine;
  readonly #model: string;
  readonly #text: string;
  #vector: Promise<Float32Array | undefined> | undefined;
  #madeBy: string | undefined;

  constructor(engine: EmbedEngine, model: string, text: string) {
    this.#engine = engine;
    this.#model = model;
    this.#text = text;
  }

  /** Undefined for a text beyond the model's length: its start alone must not speak for it. */
  async get(call: EmbedCall): Promise<Float32Array | undefined> {
    this.#vector ??= this.#compute(call);
    return this.#vector.catch((error: unknown) => {
      this.#vector = undefined;
      throw error;
    });
  }

  /** Identity of the model that made it, which may have been loaded anew since; undefined before there is one. */
  get madeBy(): string | undefined {
    return this.#madeBy;
  }

  async #compute(call: EmbedCall): Promise<Float32Array | undefined> {
    const fields = { model: 'model', inputs: 'query' };
    const { rows, truncated, identity } = await this.#engine.embed({ model: this.#model, inputs: [this.#text], normalize: true, fields }, call);
    this.#madeBy = identity;
    return truncated.length > 0 ? undefined : rows[0];
  }
}
