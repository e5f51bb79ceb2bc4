// The vector that a question is compared by.
import type { EmbedCall, EmbedEngine } from './embed.ts';

/** Computed at most once, and only if somebody needs it. */
export class QuestionVector {
  readonly #engine: EmbedEngine;
  readonly #model: string;
  readonly #text: string;
  #vector: Promise<Float32Array | undefined> | undefined;

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

  async #compute(call: EmbedCall): Promise<Float32Array | undefined> {
    const fields = { model: 'model', inputs: 'query' };
    const { rows, truncated } = await this.#engine.embed({ model: this.#model, inputs: [this.#text], normalize: true, fields }, call);
    return truncated.length > 0 ? undefined : rows[0];
  }
}
