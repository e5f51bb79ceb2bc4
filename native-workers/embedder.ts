// One loaded model in one worker: tokenise, pack or pad, run, pool, dense, cut, normalise.
// Invariant: row i of a reply belongs to input i, whatever order the inputs ran in.
import type { EmbeddingManifest } from '../src/backend/manifest.ts';
import type { DescribeReply, EmbedReply, EmbedTask, ProbeReply, ProbeTask } from '../src/backend/protocol.ts';
import type { WorkerSettings } from '../src/backend/protocol.ts';
import { packedRows, singleRows, type Row } from '../src/batch/pack.ts';
import { cutRuns } from '../src/batch/select.ts';
import { ServerError } from '../src/errors.ts';
import { packedTokensMax, plannedTokensMax } from '../src/limits.ts';
import { writeVector } from '../src/tensor/vector.ts';
import { EmbeddingSession } from './session.ts';
import type { SessionOutput } from './session.ts';
import { EmbeddingTokenizer } from './tokenizer.ts';
import type { Encoded } from './tokenizer.ts';
import { VectorSteps } from './vector-steps.ts';

export class Embedder {
  readonly #model: EmbeddingManifest;
  readonly #tokenizer: EmbeddingTokenizer;
  readonly #session: EmbeddingSession;
  readonly #steps: VectorSteps;
  readonly #loadMs: number;

  private constructor(model: EmbeddingManifest, loaded: Loaded, loadMs: number) {
    this.#model = model;
    this.#tokenizer = loaded.tokenizer;
    this.#session = loaded.session;
    this.#steps = loaded.steps;
    this.#loadMs = loadMs;
  }

  /** Opens everything and runs once, so that the first request finds memory allocated. Throws a plain Error. */
  static async open(settings: WorkerSettings, device: string): Promise<Embedder> {
    const startedMs = performance.now();
    const loaded = await load(settings, device);
    return new Embedder(settings.model, loaded, performance.now() - startedMs);
  }

  describe(): Omit<DescribeReply, 'worker'> {
    return {
      ok: true,
      dimension: this.#steps.dimension,
      vocabularySize: this.#tokenizer.vocabularySize,
      inputTokensMax: this.#model.inputTokensMax,
      packs: this.#packs,
      provider: this.#session.provider,
      fallback: this.#session.fallback,
      loadMs: this.#loadMs,
    };
  }

  /** Throws ServerError for what a client did, a plain Error when the run fails. */
  async embed(task: EmbedTask): Promise<EmbedReply> {
    const startedMs = performance.now();
    const inputs = task.inputs.map((input, i) => this.#encode(input, task, i));
    const tokenizedMs = performance.now();
    const rows = this.#rowsOf(inputs.map(({ ids }) => ids.length));
    const batch = { task, inputs, ...this.#emptyRows(task) };
    const counts = this.#model.batchable ? cutRuns(rows.map(({ tokens }) => tokens), task.runCost) : rows.map(() => 1);
    let start = 0;
    let tokensPadded = 0;
    const runInputs: number[] = [];
    for (const count of counts) {
      const run = rows.slice(start, start + count);
      const output = await this.#session.run(run.map((row) => row.inputs.map((i) => inputs[i]!.ids)));
      this.#writeRows(output, run, batch);
      start += count;
      tokensPadded += count * rows[start - 1]!.tokens;
      runInputs.push(run.reduce((sum, row) => sum + row.inputs.length, 0));
    }
    return {
      ok: true,
      rows: batch.rows,
      stride: batch.stride,
      tokensGiven: Int32Array.from(inputs, (input) => input.tokensGiven),
      tokensKept: Int32Array.from(inputs, (input) => input.ids.length),
      tokenizeMs: tokenizedMs - startedMs,
      runMs: performance.now() - tokenizedMs,
      runInputs,
      tokensPadded,
    };
  }

  /** Made-up tokens: what is timed does not depend on their meaning. */
  async probe({ count, tokens }: ProbeTask): Promise<ProbeReply> {
    const length = Math.min(tokens, this.#model.inputTokensMax);
    const ids = Int32Array.from({ length }, (_, i) => (i * 31) % this.#tokenizer.vocabularySize);
    const rows = this.#rowsOf(new Array<number>(count).fill(length)).map((row) => row.inputs.map(() => ids));
    const startedMs = performance.now();
    if (this.#model.batchable) await this.#session.run(rows);
    else for (const row of rows) await this.#session.run([row]);
    return { ok: true, runMs: performance.now() - startedMs };
  }

  /** Only for an owner that is not about to end its thread. */
  async close(): Promise<void> {
    await this.#session.close();
  }

  /** A model that runs one text at a time has nothing to pack, whatever its graph could do. */
  get #packs(): boolean {
    return this.#session.packs && this.#model.batchable;
  }

  #rowsOf(lengths: readonly number[]): Row[] {
    // A graph may hold tables that end where its longest text does.
    return this.#packs ? packedRows(lengths, this.#model.inputTokensMax) : singleRows(lengths);
  }

  #encode(input: EmbedTask['inputs'][number], task: EmbedTask, i: number): Encoded {
    const options = task.options[i]!;
    return typeof input === 'string'
      ? this.#tokenizer.encodeText(input, options)
      : this.#tokenizer.encodeIds(input, options);
  }

  #emptyRows({ options }: EmbedTask): { readonly rows: Float32Array; readonly stride: number } {
    const { dimension } = this.#steps;
    let stride = 0;
    for (const wanted of options) stride = Math.max(stride, wanted.dimension || dimension);
    if (stride > dimension) {
      throw new ServerError('DIMENSIONS_UNSUPPORTED', `The model gives ${dimension} dimensions, not ${stride}.`);
    }
    return { rows: new Float32Array(options.length * stride), stride };
  }

  #writeRows(output: SessionOutput, run: readonly Row[], batch: Batch): void {
    const { dimension, normalizes } = this.#steps;
    for (const [row, { inputs }] of run.entries()) {
      let at = row * output.vectorsPerRow * output.width;
      for (const i of inputs) {
        const { ids, pooledFrom } = batch.inputs[i]!;
        const options = batch.task.options[i]!;
        const vector = this.#steps.vectorOf(output.vectors, at, pooledFrom, ids.length);
        at += ids.length * output.width;
        // Cut first: the other order gives vectors that are not of unit length.
        const unitLength = options.normalize ?? normalizes;
        if (!writeVector(vector, options.dimension || dimension, unitLength, batch.rows, i * batch.stride)) {
          throw new ServerError('BACKEND_FAILED', 'The model gave values that are not finite.');
        }
      }
    }
  }
}

type Batch = {
  readonly task: EmbedTask;
  readonly inputs: readonly Encoded[];
  readonly rows: Float32Array;
  readonly stride: number;
};

type Loaded = {
  readonly tokenizer: EmbeddingTokenizer;
  readonly session: EmbeddingSession;
  readonly steps: VectorSteps;
};

async function load(settings: WorkerSettings, device: string): Promise<Loaded> {
  const { model } = settings;
  const pooling = model.modules.find((module) => module.kind === 'pooling');
  const tokenizer = new EmbeddingTokenizer({ ...model, includePrompt: pooling?.includePrompt ?? true });
  const session = await EmbeddingSession.open({
    ...model,
    intraOpThreads: settings.intraOpThreads,
    spinning: settings.spinning,
    arena: settings.arena,
    device,
    preferPooled: pooling === undefined,
    // A graph meant for int8 arithmetic keeps it.
    foldQuantizedWeights: model.precision !== 'int8',
    // On a GPU the changed graph would lose the fused attention, which was not measured.
    packTokensMax: model.batchable && device === 'cpu' && model.inputTokensMax <= packedTokensMax ? model.inputTokensMax : undefined,
    // One text a run has as many shapes as lengths. That saves such models a twentieth of their time.
    fewShapes: !model.batchable && model.inputTokensMax <= plannedTokensMax,
  });
  const { ids } = tokenizer.encodeText('', { prompt: '', truncation: 'right' });
  return { tokenizer, session, steps: new VectorSteps(model, await session.run([[ids]])) };
}
