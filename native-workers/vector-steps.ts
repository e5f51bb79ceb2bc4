// What follows the session: pooling, dense layers, and normalisations that are not the last step.
// Invariant: scratch memory only, so one text's vector at a time.
import type { EmbeddingManifest } from '../src/backend/manifest.ts';
import { writeVector } from '../src/tensor/vector.ts';
import { Dense } from './dense.ts';
import { Pooler } from './pooling.ts';
import type { SessionOutput } from './session.ts';

/** Reads `input`, overwrites `output`, which is another array. */
type Step = (input: Float32Array, output: Float32Array) => void;

/** From a row of the session's output to the model's vector, up to a last normalisation. */
export class VectorSteps {
  readonly dimension: number;
  /** Whether the model itself ends with unit length. */
  readonly normalizes: boolean;
  readonly #pooler: Pooler;
  readonly #afterPooling: readonly Step[];
  /** Steps read one and write the other. */
  readonly #scratch: readonly [Float32Array, Float32Array];

  /** `sample` is any output of the session: it tells the widths. Throws a plain Error where they do not fit. */
  constructor(model: EmbeddingManifest, sample: SessionOutput) {
    const pooling = model.modules.find((module) => module.kind === 'pooling');
    if (pooling === undefined && !sample.pooled) throw new Error('Neither the graph nor the folder says how to pool.');
    this.normalizes = model.modules.at(-1)?.kind === 'normalize';
    // A graph that pools has the modules inside; to keep its one vector is what 'cls' does.
    this.#pooler = new Pooler(sample.pooled || pooling === undefined ? ['cls'] : pooling.modes, sample.width);
    let width = this.#pooler.dimension;
    let widest = width;
    const steps: Step[] = [];
    for (const [i, module] of (sample.pooled ? [] : model.modules).entries()) {
      if (module.kind === 'normalize' && i < model.modules.length - 1) {
        const count = width;
        steps.push((input, output) => {
          if (!writeVector(input, count, true, output, 0)) output.fill(NaN);
        });
      } else if (module.kind === 'dense') {
        const dense = new Dense(module);
        if (dense.inputDimension !== width) {
          throw new Error(`A Dense module takes ${dense.inputDimension} values and gets ${width}.`);
        }
        width = dense.outputDimension;
        steps.push((input, output) => dense.apply(input, output));
      }
      widest = Math.max(widest, width);
    }
    this.dimension = width;
    this.#afterPooling = steps;
    this.#scratch = [new Float32Array(widest), new Float32Array(widest)];
  }

  /** Valid until the next call. */
  vectorOf(vectors: Float32Array, start: number, pooledFrom: number, tokens: number): Float32Array {
    let [current, other] = this.#scratch;
    this.#pooler.pool(vectors, start, pooledFrom, tokens, current);
    for (const step of this.#afterPooling) {
      step(current, other);
      [current, other] = [other, current];
    }
    return current;
  }
}
