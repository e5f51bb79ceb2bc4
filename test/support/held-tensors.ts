// A tensor model without a graph: it answers each run with what the test makes of its inputs.
import type { TensorBackend, TensorRun } from '../../src/backend/tensor-backend.ts';
import type { NamedTensors } from '../../src/backend/tensor-protocol.ts';
import type { TensorInput, TensorOutput } from '../../src/registry/tensor-manifest.ts';
import type { LeasedModel } from '../../src/registry/tensor-models.ts';
import { TensorStats } from '../../src/registry/tensor-stats.ts';
import { ServerError } from '../../src/errors.ts';
import type { Tensor } from '../../src/tensor/dtypes.ts';

export function tensorInput(name: string, changes: Partial<TensorInput> = {}): TensorInput {
  return { name, field: name, datatype: 'float32', shape: undefined, default: undefined, range: undefined, ...changes };
}

export function tensorOutput(name: string, changes: Partial<TensorOutput> = {}): TensorOutput {
  return { name, field: name, datatype: 'float32', shape: [], when: undefined, metric: undefined, ...changes };
}

export function floats(shape: readonly number[], ...values: number[]): Tensor {
  return { datatype: 'float32', shape, data: Float32Array.from(values) };
}

export function heldTensorModel(init: {
  version?: string;
  inputs?: readonly TensorInput[];
  outputs: readonly TensorOutput[];
  runMs?: () => number;
  answer: (inputs: ReadonlyMap<string, Tensor>) => Readonly<Record<string, Tensor>>;
}): LeasedModel & { readonly runs: NamedTensors[] } {
  const runs: NamedTensors[] = [];
  const version = init.version ?? '1.0';
  const backend: TensorBackend = {
    description: { ok: true, worker: 0, inputs: [], outputs: [], provider: 'cpu', fallback: undefined, loadMs: 0 },
    concurrency: 1,
    pending: 0,
    run: async ({ inputs, outputs, isCancelled }: TensorRun) => {
      await new Promise(setImmediate);
      if (isCancelled()) throw new ServerError('CANCELLED');
      runs.push(inputs);
      const given = init.answer(new Map(inputs));
      return { outputs: outputs.map((name) => [name, given[name]!] as const), queueMs: 0, runMs: init.runMs?.() ?? 1 };
    },
    close: () => Promise.resolve(),
  };
  return {
    files: { name: 'held', version, onnxFile: '/nowhere', manifestFile: undefined, bytes: 0, modifiedMs: 0 },
    manifest: { description: undefined, instances: 1, threads: undefined, batching: undefined, inputs: undefined, outputs: undefined },
    table: { inputs: init.inputs ?? [], outputs: init.outputs },
    backend,
    stats: new TensorStats(),
    close: () => Promise.resolve(),
    runs,
  };
}
