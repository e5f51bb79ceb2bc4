// One ONNX session with any inputs and outputs: tensors in, tensors out, nothing known of their meaning.
import { Tensor as OrtTensor, type InferenceSession } from 'onnxruntime-node';
import type {
  NamedTensors,
  TensorDescription,
  TensorInfo,
  TensorReply,
  TensorTask,
} from '../src/backend/tensor-protocol.ts';
import { isDataType, type Tensor, type TensorData } from '../src/tensor/dtypes.ts';
import { openOrtSession } from './ort-session.ts';
import type { OrtSession, OrtSettings } from './ort-session.ts';

export class TensorSession {
  readonly #opened: OrtSession;
  readonly #inputs: readonly TensorInfo[];
  readonly #outputs: readonly TensorInfo[];
  readonly #loadMs: number;

  private constructor(opened: OrtSession, loadMs: number) {
    this.#opened = opened;
    this.#inputs = opened.session.inputMetadata.map(tensorInfo);
    this.#outputs = opened.session.outputMetadata.map(tensorInfo);
    this.#loadMs = loadMs;
  }

  /** Throws a plain Error; its text may name paths. */
  static async open(settings: OrtSettings): Promise<TensorSession> {
    const startedMs = performance.now();
    const opened = await openOrtSession(settings);
    try {
      return new TensorSession(opened, performance.now() - startedMs);
    } catch (error) {
      await opened.session.release();
      throw error;
    }
  }

  describe(): Omit<TensorDescription, 'worker'> {
    return {
      ok: true,
      inputs: this.#inputs,
      outputs: this.#outputs,
      provider: this.#opened.provider,
      fallback: this.#opened.fallback,
      loadMs: this.#loadMs,
    };
  }

  /** Blocks the thread while it computes. Throws a plain Error when the graph refuses the inputs or fails. */
  async run({ inputs, outputs }: TensorTask): Promise<TensorReply> {
    // Without a prototype: an input may be called `__proto__`.
    const feeds = Object.create(null) as Record<string, OrtTensor>;
    for (const [name, tensor] of inputs) feeds[name] = ortTensor(tensor);
    const startedMs = performance.now();
    const results = await this.#opened.session.run(feeds, outputs);
    const runMs = performance.now() - startedMs;
    const given: NamedTensors = outputs.map((name) => [name, plainTensor(name, results[name]!)] as const);
    return { ok: true, outputs: given, runMs };
  }

  /** Only for an owner that is not about to end its thread. */
  async close(): Promise<void> {
    await this.#opened.session.release();
  }
}

function tensorInfo(info: InferenceSession.ValueMetadata): TensorInfo {
  if (!info.isTensor) throw new Error(`The graph's ${info.name} is no tensor.`);
  if (!isDataType(info.type))
    throw new Error(`The graph's ${info.name} is of type ${info.type}, which is not supported.`);
  // A dimension without a name comes as '': any size, tied to no other.
  return { name: info.name, datatype: info.type, shape: info.shape.map((size) => (size === '' ? -1 : size)) };
}

/** ONNX Runtime's constructor has an overload for each type and none for their union. */
const AnyOrtTensor = OrtTensor as unknown as new (type: string, data: TensorData, dims: readonly number[]) => OrtTensor;

function ortTensor({ datatype, shape, data }: Tensor): OrtTensor {
  return new AnyOrtTensor(datatype, data, shape);
}

function plainTensor(name: string, { type, dims, data }: OrtTensor): Tensor {
  if (!isDataType(type)) throw new Error(`The graph gave ${name} of type ${type}, which is not supported.`);
  if (Array.isArray(data)) return { datatype: type, shape: dims, data };
  return { datatype: type, shape: dims, data: ownMemory(data as Exclude<TensorData, string[]>, type) };
}

/** What is transferred takes its whole buffer with it. float16 comes as bits, or from newer Node as Float16Array. */
function ownMemory(data: Exclude<TensorData, string[]>, type: string): TensorData {
  const own = data.byteLength === data.buffer.byteLength ? data : data.slice();
  return type === 'float16' ? new Uint16Array(own.buffer) : own;
}
