// A model on a Triton server as a backend: one micro-batch, one ModelInfer call.
import { ServerError } from '../../errors.ts';
import { inputTokenIdsMax, tritonCallMsMax } from '../../limits.ts';
import { writeVector } from '../../tensor/vector.ts';
import type { Backend } from '../backend.ts';
import type { EmbedReply, EmbedTask, ModelDescription, RunCost } from '../protocol.ts';
import type { TritonClient } from './client.ts';
import { callFailure, statusName, unavailable } from './failures.ts';
import type { InferRequest, InferResponse } from './messages.ts';
import type { TritonModel } from './model.ts';
import { bytesTensor, floats } from './tensors.ts';
import type { TritonWatch } from './watch.ts';

/** Told of every call's end: `OK`, or the status as gRPC names it. */
export type CallObserver = (status: string) => void;

export class TritonBackend implements Backend {
  readonly description: ModelDescription;
  readonly model: TritonModel;
  /** Longer texts wait longer there, too: only about equal ones share a call, as a call costs little. */
  readonly runCost: RunCost;
  readonly #client: TritonClient;
  readonly #watch: TritonWatch;
  readonly #onCall: CallObserver;

  constructor(client: TritonClient, watch: TritonWatch, model: TritonModel, loadMs: number, onCall: CallObserver) {
    this.#client = client;
    this.#watch = watch;
    this.#onCall = onCall;
    this.model = model;
    this.runCost = { tokensMax: model.batchInputsMax * inputTokenIdsMax, overheadTokens: callTokens };
    this.description = {
      dimension: model.dimension,
      vocabularySize: undefined,
      inputTokensMax: inputTokenIdsMax,
      packs: false,
      provider: 'triton',
      fallback: undefined,
      loadMs,
    };
  }

  get concurrency(): number {
    return this.#client.connections;
  }

  get batchInputsMax(): number {
    return this.model.batchInputsMax;
  }

  async embed(task: EmbedTask, deadlineMs: number = Infinity): Promise<EmbedReply> {
    // A server that has fallen silent would hold every request until its deadline.
    if (this.#watch.state(this.model.name) === 'down') throw unavailable();
    const texts = task.inputs.map((input, i) => task.options[i]!.prompt + textOf(input));
    const startedMs = performance.now();
    const timeoutMs = Math.min(tritonCallMsMax, deadlineMs - startedMs);
    if (timeoutMs <= 0) throw new ServerError('TIMEOUT');
    const rows = this.#rows(await this.#infer(texts, timeoutMs), task);
    const tokens = Int32Array.from(texts, tokenCount);
    return {
      ok: true,
      rows,
      stride: this.model.dimension,
      tokensGiven: tokens,
      tokensKept: tokens,
      tokenizeMs: 0,
      runMs: performance.now() - startedMs,
      runInputs: [texts.length],
      tokensPadded: Math.max(...tokens) * tokens.length,
    };
  }

  async #infer(texts: readonly string[], timeoutMs: number): Promise<InferResponse> {
    try {
      const response = await this.#client.infer(this.#request(texts), timeoutMs);
      this.#onCall('OK');
      return response;
    } catch (error) {
      this.#onCall(statusName(error));
      const failure = callFailure(error);
      if (failure.code === 'MODEL_NOT_READY') void this.#watch.check();
      throw failure;
    }
  }

  #request(texts: readonly string[]): InferRequest {
    const { name, version, input, output, batched } = this.model;
    return {
      model_name: name,
      // The identity names this version; another one's vectors would go by its name.
      model_version: version,
      inputs: [{ name: input, datatype: 'BYTES', shape: batched ? [texts.length, 1] : [1] }],
      outputs: [{ name: output }],
      raw_input_contents: [bytesTensor(texts)],
    };
  }

  /** Cut and scaled as each input's options say; as Triton gave them where they say nothing. */
  #rows(response: InferResponse, task: EmbedTask): Float32Array {
    const { output, outputType, dimension } = this.model;
    const raw = response.raw_output_contents[response.outputs.findIndex(({ name }) => name === output)];
    if (raw === undefined) throw new ServerError('BACKEND_FAILED', `Triton answered without the tensor ${output}.`);
    const rows = floats(raw, outputType, task.inputs.length * dimension);
    task.options.forEach((options, i) => {
      const row = rows.subarray(i * dimension, (i + 1) * dimension);
      if (writeVector(row, options.dimension || dimension, options.normalize ?? false, row, 0)) return;
      throw new ServerError('BACKEND_FAILED', 'Triton answered a vector that holds no number.');
    });
    return rows;
  }

  async tune(): Promise<void> {
    // What a run costs there, its own scheduler knows.
  }

  async close(): Promise<void> {
    // The connections are shared by all models of the server, and end with it.
  }
}

/** What one more call costs, in tokens: a round trip, against the time that a batch takes a token longer. */
const callTokens = 512;

function textOf(input: EmbedTask['inputs'][number]): string {
  if (typeof input === 'string') return input;
  throw new ServerError('REQUEST_INVALID', 'The model takes texts, not token ids.');
}

/** Triton does not say. A token a letter and an end mark is what protein models have; others count fewer. */
function tokenCount(text: string): number {
  return text.replaceAll(/\s/g, '').length + 1;
}
