// What the protocol tells of the server and its models, with its own field names. HTTP sends these objects as JSON,
// gRPC as the messages of the same fields.
import type { Duration, InferenceStatistics } from '../../registry/inference-statistics.ts';
import { wireType, type WireType } from '../../tensor/wire.ts';
import type { KserveModel, ModelDescription, ModelState, TensorDescription } from './model.ts';

/** Exactly what is served; clients choose by it. */
const extensions = ['binary_tensor_data', 'model_repository', 'model_configuration', 'schedule_policy', 'statistics'];

export function serverMetadata(version: string): object {
  return { name: 'ortserve', version, extensions };
}

export function modelMetadata(model: KserveModel, { platform, inputs, outputs }: ModelDescription): object {
  return { name: model.name, versions: model.versions, platform, inputs: inputs.map(tensorMetadata), outputs: outputs.map(tensorMetadata) };
}

function tensorMetadata({ name, datatype, shape }: TensorDescription): object {
  return { name, datatype: wireType(datatype), shape };
}

/** A model configuration as Triton writes it; clients read `max_batch_size` and `dims`, which leave out the rows. */
export function modelConfig(model: KserveModel, description: ModelDescription): object {
  const { platform, backend, rowsMax, batching, instances, provider } = description;
  const dims = (shape: readonly number[]): readonly number[] => (rowsMax > 0 ? shape.slice(1) : shape);
  return {
    name: model.name,
    platform,
    backend,
    version_policy: { latest: { num_versions: 1 } },
    max_batch_size: rowsMax,
    input: description.inputs.map(({ name, datatype, shape, optional }) => ({
      name, data_type: configType(wireType(datatype)), format: 'FORMAT_NONE', dims: dims(shape),
      is_shape_tensor: false, allow_ragged_batch: false, optional,
    })),
    output: description.outputs.map(({ name, datatype, shape }) => ({
      name, data_type: configType(wireType(datatype)), dims: dims(shape), label_filename: '', is_shape_tensor: false,
    })),
    instance_group: [{ name: model.name, kind: provider === 'cpu' ? 'KIND_CPU' : 'KIND_GPU', count: instances, gpus: [] }],
    default_model_filename: 'model.onnx',
    parameters: {},
    ...(batching !== undefined && {
      dynamic_batching: {
        preferred_batch_size: batching.preferredRows,
        max_queue_delay_microseconds: Math.round(batching.queueDelayMs * 1000),
        preserve_ordering: false,
        priority_levels: batching.priorityLevels > 1 ? batching.priorityLevels : 0,
        default_priority_level: batching.priorityLevels > 1 ? batching.defaultPriority : 0,
        priority_queue_policy: {},
      },
    }),
  };
}

function configType(type: WireType): string {
  return type === 'BYTES' ? 'TYPE_STRING' : `TYPE_${type}`;
}

export function statisticsAnswer(models: readonly KserveModel[]): object {
  return { model_stats: models.map((model) => modelStatistics(model, model.statistics)) };
}

function modelStatistics({ name, version }: KserveModel, statistics: InferenceStatistics): object {
  const { success, fail, queue, input, infer, output, cacheHit, cacheMiss } = statistics;
  return {
    name,
    version,
    last_inference: statistics.lastInferenceMs,
    inference_count: statistics.inferences,
    execution_count: statistics.executions,
    inference_stats: {
      success: duration(success),
      fail: duration(fail),
      queue: duration(queue),
      compute_input: duration(input),
      compute_infer: duration(infer),
      compute_output: duration(output),
      cache_hit: duration(cacheHit),
      cache_miss: duration(cacheMiss),
    },
    batch_stats: [...statistics.batches].map(([size, batch]) => ({
      batch_size: size,
      compute_input: duration(batch.input),
      compute_infer: duration(batch.infer),
      compute_output: duration(batch.output),
    })),
    memory_usage: [],
    response_stats: {},
  };
}

function duration({ count, ms }: Duration): object {
  return { count, ns: Math.round(ms * 1e6) };
}

const states: Readonly<Record<ModelState, string>> = {
  absent: 'UNAVAILABLE', loading: 'LOADING', ready: 'READY', draining: 'UNLOADING', failed: 'UNAVAILABLE', unavailable: 'UNAVAILABLE', stuck: 'UNAVAILABLE',
};

export function indexRows(models: readonly KserveModel[], readyOnly: boolean): readonly object[] {
  return models
    .filter(({ state }) => !readyOnly || state === 'ready')
    .map(({ name, version, state, failure }) => {
      return { name, version, state: states[state], reason: reasonOf(state, failure) };
    });
}

function reasonOf(state: ModelState, failure: string | undefined): string {
  if (state === 'failed') return failure ?? '';
  if (state === 'unavailable') return 'its server does not answer';
  if (state === 'stuck') return 'a run does not end';
  return state === 'absent' ? 'not loaded' : '';
}
