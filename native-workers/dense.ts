// sentence-transformers' Dense module: one linear layer and an activation on the pooled vector.
import type { DenseModule } from '../src/backend/manifest.ts';
import { readSafetensors } from './safetensors.ts';
import type { StoredTensor } from './safetensors.ts';

export class Dense {
  readonly inputDimension: number;
  readonly outputDimension: number;
  /** Rows of `inputDimension` weights, one for each output. */
  readonly #weights: Float32Array;
  readonly #bias: Float32Array;
  readonly #activation: (value: number) => number;

  /** Reads the weights. Throws a plain Error when the file does not hold what the module says. */
  constructor(module: DenseModule) {
    const tensors = readSafetensors(module.weightsFile);
    this.inputDimension = module.inputDimension;
    this.outputDimension = module.outputDimension;
    this.#weights = valuesOf(tensors, 'linear.weight', [module.outputDimension, module.inputDimension]);
    this.#bias = module.bias
      ? valuesOf(tensors, 'linear.bias', [module.outputDimension])
      : new Float32Array(module.outputDimension);
    this.#activation = activations[module.activation];
  }

  /** `output` must not be `input`; at least `outputDimension` values of it are overwritten. */
  apply(input: Float32Array, output: Float32Array): void {
    const width = this.inputDimension;
    const weights = this.#weights;
    for (let row = 0; row < this.outputDimension; row++) {
      let sum = 0;
      for (let i = 0, at = row * width; i < width; i++, at++) sum += weights[at]! * input[i]!;
      output[row] = this.#activation(sum + this.#bias[row]!);
    }
  }
}

function valuesOf(tensors: ReadonlyMap<string, StoredTensor>, name: string, shape: readonly number[]): Float32Array {
  const tensor = tensors.get(name);
  if (tensor === undefined) throw new Error(`The Dense module has no tensor ${name}.`);
  if (tensor.shape.join() !== shape.join()) {
    throw new Error(`The Dense module's ${name} has shape ${tensor.shape.join()} instead of ${shape.join()}.`);
  }
  return tensor.values;
}

const activations: Readonly<Record<DenseModule['activation'], (value: number) => number>> = {
  identity: (value) => value,
  tanh: Math.tanh,
  relu: (value) => Math.max(0, value),
  // PyTorch's default is the exact form, not the tanh approximation.
  gelu: (value) => 0.5 * value * (1 + errorFunction(value * Math.SQRT1_2)),
  sigmoid: (value) => 1 / (1 + Math.exp(-value)),
};

/**
 * erf by its series with positive terms only, 2/sqrt(pi) e^(-x^2) sum 2^n x^(2n+1) / (2n+1)!!, which loses
 * no digits to cancellation. Beyond 6 it is 1 in double precision.
 */
function errorFunction(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > Math.abs(sum) * Number.EPSILON; n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}
