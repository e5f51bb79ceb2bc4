// The one door to embeddings for every surface: checks what only the model can tell, then hands to its batcher.
import type { EmbedInput, EmbedOptions } from '../backend/protocol.ts';
import type { Embedded } from '../batch/job.ts';
import { ServerError } from '../errors.ts';
import type { Call } from '../operation.ts';
import type { EmbeddingModel } from '../registry/embedding-model.ts';
import type { Registry } from '../registry/registry.ts';

export type EmbedRequest = {
  readonly model: string;
  readonly inputs: readonly EmbedInput[];
  /** Leading values wanted; undefined gives all. */
  readonly dimensions?: number | undefined;
  /** Unit length; undefined leaves it to the model's modules. */
  readonly normalize?: boolean | undefined;
  /** What happens to an input beyond the model's length: keep its start or end, or refuse the request. */
  readonly truncation?: 'right' | 'left' | 'refuse';
  readonly promptName?: string | undefined;
  /** What the surface calls these in its requests, for errors. */
  readonly fields: { readonly model: string; readonly inputs: string };
};

export type EmbedResult = Embedded & {
  /** The name that the client asked by. */
  readonly model: string;
  readonly dimension: number;
  /** Indices of the inputs that lost tokens. */
  readonly truncated: readonly number[];
};

export class EmbedEngine {
  readonly #registry: Registry;
  readonly #allowDimensions: boolean;
  /** Requests that want the same share one options object, so that a batch of theirs is cloned with one. */
  readonly #options = new Map<string, EmbedOptions>();

  /** @param allowDimensions whether vectors may be cut though the model was not trained for it. */
  constructor(registry: Registry, allowDimensions: boolean) {
    this.#registry = registry;
    this.#allowDimensions = allowDimensions;
  }

  /** Waits for the model if it still loads. Throws ServerErrors that name the surface's fields. */
  async embed(request: EmbedRequest, call: Call): Promise<EmbedResult> {
    const known = this.#registry.find(request.model, request.fields.model);
    const lease = await known.slot.lease();
    try {
      const result = await this.#embedWith(lease.model, request, call);
      known.metrics.embedded(request.inputs.length, result.truncated.length);
      return result;
    } finally {
      lease.release();
    }
  }

  async #embedWith(model: EmbeddingModel, request: EmbedRequest, call: Call): Promise<EmbedResult> {
    const dimension = this.#dimension(request, model);
    checkTokenIds(request, model);
    const options = this.#shared({
      prompt: promptText(request.promptName, model),
      truncation: request.truncation === 'left' ? 'left' : 'right',
      dimension: request.dimensions === undefined ? 0 : dimension,
      normalize: request.normalize,
    });
    const embedded = await model.batcher.embed(request.inputs, options, call);
    const truncated = truncatedInputs(embedded);
    if (request.truncation === 'refuse' && truncated.length > 0) throw tooLong(request, embedded, truncated[0]!);
    call.timings.queueMs = embedded.queueMs;
    call.timings.tokenizeMs = embedded.tokenizeMs;
    call.timings.inferenceMs = embedded.inferenceMs;
    return { ...embedded, model: request.model, dimension, truncated };
  }

  #dimension(request: EmbedRequest, model: EmbeddingModel): number {
    const native = model.backend.description.dimension;
    const wanted = request.dimensions;
    if (wanted === undefined || wanted === native) return native;
    if (wanted < 1 || wanted > native) {
      throw new ServerError('DIMENSIONS_UNSUPPORTED', `'dimensions' must be between 1 and ${native}.`, { field: 'dimensions' });
    }
    const trained = model.manifest.matryoshkaDimensions;
    if (this.#allowDimensions || trained.includes(wanted)) return wanted;
    const offer = trained.length > 0 ? `It gives ${[...trained, native].join(', ')}.` : `It gives ${native}.`;
    throw new ServerError('DIMENSIONS_UNSUPPORTED', `The model was not trained to be cut to ${wanted} dimensions. ${offer}`, {
      field: 'dimensions',
    });
  }

  #shared(options: EmbedOptions): EmbedOptions {
    const key = JSON.stringify(options);
    let shared = this.#options.get(key);
    if (shared === undefined) {
      shared = Object.freeze(options);
      // Clients choose dimensions, so the kinds are many but bounded; forgetting them costs nothing.
      if (this.#options.size >= 1000) this.#options.clear();
      this.#options.set(key, shared);
    }
    return shared;
  }
}

function promptText(name: string | undefined, model: EmbeddingModel): string {
  const { prompts, defaultPromptName } = model.manifest;
  const wanted = name ?? defaultPromptName;
  if (wanted === undefined) return '';
  if (Object.hasOwn(prompts, wanted)) return prompts[wanted]!;
  const names = Object.keys(prompts);
  const offer = names.length > 0 ? `It has ${names.join(', ')}.` : 'It has none.';
  throw new ServerError('REQUEST_INVALID', `The model has no prompt of that name. ${offer}`, { field: 'prompt_name' });
}

function checkTokenIds(request: EmbedRequest, model: EmbeddingModel): void {
  const { vocabularySize } = model.backend.description;
  request.inputs.forEach((input, index) => {
    if (typeof input === 'string') return;
    const wrong = input.find((id) => id < 0 || id >= vocabularySize);
    if (wrong === undefined) return;
    throw new ServerError(
      'TOKEN_OUT_OF_RANGE',
      `Token id ${wrong} in input ${index} is not in this model's vocabulary of ${vocabularySize}. Ids of another ` +
        `tokenizer (tiktoken, as LangChain sends by default) make wrong vectors: send text, or in LangChain set ` +
        `check_embedding_ctx_length=False.`,
      { field: request.fields.inputs },
    );
  });
}

function truncatedInputs(embedded: Embedded): number[] {
  const truncated: number[] = [];
  embedded.tokensGiven.forEach((given, i) => {
    if (given > embedded.tokensKept[i]!) truncated.push(i);
  });
  return truncated;
}

function tooLong(request: EmbedRequest, embedded: Embedded, index: number): ServerError {
  const detail = `Input ${index} has ${embedded.tokensGiven[index]} tokens; the model takes ${embedded.tokensKept[index]}.`;
  return new ServerError('INPUT_TOO_LONG', detail, { field: request.fields.inputs });
}
