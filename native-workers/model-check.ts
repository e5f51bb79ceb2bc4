// The child process that opens and runs a model that nobody trusts yet. It may hang, crash or be killed: nothing
// but the check is lost with it.
import { writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { CheckReply, CheckSettings, CheckTask, CheckTrial, TrialInput } from '../src/backend/check-protocol.ts';
import { newData, type Tensor } from '../src/tensor/dtypes.ts';
import { onnxRefusal } from './onnx-refusal.ts';
import { TensorSession } from './tensor-session.ts';

const reasonCharsMax = 300;

const settings = JSON.parse(process.argv[2]!) as CheckSettings;
const guard = new Worker(new URL('check-guard.js', import.meta.url), {
  workerData: settings,
  resourceLimits: { maxOldGenerationSizeMb: 16 },
});
await once(guard, 'online');
try {
  // Where memory runs out before the limit, this process is the one to go.
  writeFileSync('/proc/self/oom_score_adj', '1000');
} catch {
  // Not Linux.
}

let session: TensorSession | undefined;
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
process.on('message', (task: CheckTask) => {
  void answer(task).then((reply) => process.send!(reply));
});

async function answer(task: CheckTask): Promise<CheckReply> {
  try {
    return task.kind === 'load' ? await load(task.onnxFile) : await run(task);
  } catch (error) {
    return { kind: 'refused', reason: `ONNX Runtime refuses it: ${printable((error as Error).message)}` };
  }
}

async function load(onnxFile: string): Promise<CheckReply> {
  const reason = onnxRefusal(onnxFile);
  if (reason !== undefined) return { kind: 'refused', reason };
  session = await TensorSession.open({
    onnxFile,
    intraOpThreads: 1,
    spinning: false,
    arena: false,
    device: 'cpu',
    foldQuantizedWeights: false,
  });
  return { kind: 'loaded', description: { ...session.describe(), worker: 0 } };
}

async function run({ inputs, outputs }: CheckTrial): Promise<CheckReply> {
  const named = inputs.map((input) => [input.name, tensorOf(input)] as const);
  await session!.run({ kind: 'run', inputs: named, outputs });
  return { kind: 'ran' };
}

function tensorOf(input: TrialInput): Tensor {
  if ('tensor' in input) return input.tensor;
  const { datatype, shape, fill } = input;
  const data = newData(datatype, shape.reduce((count, size) => count * size, 1));
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) data.fill(BigInt(Math.round(fill)));
  else if (!Array.isArray(data)) data.fill(fill);
  return { datatype, shape, data };
}

/** Its first line, without where in its own source it stands. Names in it come out of the file. */
function printable(message: string): string {
  const line = message.split('\n', 1)[0]!.replaceAll(/\S*onnxruntime_src\/\S+ .*?\) /g, '');
  return line.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, reasonCharsMax);
}
