// Opens an ONNX Runtime session on a device, or on the CPU when that cannot be used.
import { InferenceSession, env } from 'onnxruntime-node';

// Its errors come back as exceptions; the lines it writes besides are not for a server's standard error.
env.logLevel = 'fatal';

export type OrtSettings = {
  readonly onnxFile: string;
  /** What to open in place of the file: the same model, changed. */
  readonly onnxBytes?: Uint8Array | undefined;
  readonly intraOpThreads: number;
  readonly spinning: boolean;
  readonly arena: boolean;
  /** 'cpu' or 'cuda:N'. */
  readonly device: string;
  /** For weights stored as int8: make float32 weights of them once, at load, instead of int8 arithmetic. */
  readonly foldQuantizedWeights: boolean;
  /** Inputs come in so few shapes that a plan of the memory can be kept for each. */
  readonly fewShapes?: boolean;
};

export type OrtSession = {
  readonly session: InferenceSession;
  /** The execution provider the session runs on: 'cpu', 'cuda'. */
  readonly provider: string;
  /** Why the wanted device is not used; names no path. */
  readonly fallback: string | undefined;
};

/** Falls back to the CPU when the wanted device cannot be used. Throws a plain Error; its text may name paths. */
export async function openOrtSession(settings: OrtSettings): Promise<OrtSession> {
  return openOn(settings.device, settings);
}

async function openOn(device: string, settings: OrtSettings): Promise<OrtSession> {
  if (device === 'cpu') {
    const options = sessionOptions(['cpu'], settings);
    const { onnxFile, onnxBytes } = settings;
    const session = await (onnxBytes === undefined ? InferenceSession.create(onnxFile, options) : InferenceSession.create(onnxBytes, options));
    return { session, provider: 'cpu', fallback: undefined };
  }
  let fallback = `The device '${device}' is not known.`;
  const cuda = /^cuda(?::(\d+))?$/.exec(device);
  if (cuda !== null) {
    try {
      const providers = [{ name: 'cuda', deviceId: Number(cuda[1] ?? 0) }, 'cpu'];
      const session = await InferenceSession.create(settings.onnxFile, sessionOptions(providers, settings));
      return { session, provider: 'cuda', fallback: undefined };
    } catch (error) {
      fallback = `${device} could not be used: ${withoutPaths((error as Error).message)}`;
    }
  }
  return { ...(await openOn('cpu', settings)), fallback };
}

type Providers = NonNullable<InferenceSession.SessionOptions['executionProviders']>;

function sessionOptions(executionProviders: Providers, settings: OrtSettings): InferenceSession.SessionOptions {
  return {
    executionProviders,
    intraOpNumThreads: settings.intraOpThreads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    enableCpuMemArena: settings.arena,
    // A pattern is kept for every shape ever seen, and shapes of batches differ from run to run.
    enableMemPattern: settings.fewShapes ?? false,
    logSeverityLevel: 4,
    extra: {
      session: {
        intra_op: { allow_spinning: settings.spinning ? '1' : '0' },
        disable_quant_qdq: settings.foldQuantizedWeights ? '1' : '0',
      },
    },
  };
}

/** The first line, directories cut from file names: a client may see why a device was not used. */
function withoutPaths(message: string): string {
  const line = message.split('\n', 1)[0]!;
  return line.replace(/(?:[A-Za-z]:)?[\\/](?:[^\s\\/:'"]+[\\/])*/g, '').slice(0, 300);
}
