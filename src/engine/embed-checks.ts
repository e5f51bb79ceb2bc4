// What only the model can tell of a request: its prompts, its vocabulary, its length. Errors name the surface's fields.
import type { Embedded } from '../batch/job.ts';
import { ServerError } from '../errors.ts';
import type { EmbeddingModel } from '../registry/embedding-model.ts';
import type { EmbedRequest } from './embed.ts';
import type { StreamedRow } from './row-stream.ts';

export function promptText(name: string | undefined, model: EmbeddingModel): string {
  const { prompts, defaultPromptName } = model.manifest;
  const wanted = name ?? defaultPromptName;
  if (wanted === undefined) return '';
  if (Object.hasOwn(prompts, wanted)) return prompts[wanted]!;
  const names = Object.keys(prompts);
  const offer = names.length > 0 ? `It has ${names.join(', ')}.` : 'It has none.';
  throw new ServerError('REQUEST_INVALID', `The model has no prompt of that name. ${offer}`, { field: 'prompt_name' });
}

export function checkTokenIds(request: EmbedRequest, model: EmbeddingModel): void {
  const { vocabularySize } = model.backend.description;
  request.inputs.forEach((input, index) => {
    if (typeof input === 'string') return;
    if (vocabularySize === undefined) {
      throw new ServerError('REQUEST_INVALID', 'The model takes texts, not token ids.', { field: request.fields.inputs });
    }
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

export function truncatedInputs(embedded: Embedded): number[] {
  const truncated: number[] = [];
  embedded.tokensGiven.forEach((given, i) => {
    if (given > embedded.tokensKept[i]!) truncated.push(i);
  });
  return truncated;
}

export function tooLong(request: EmbedRequest, { index, tokensGiven, tokensKept }: Omit<StreamedRow, 'row'>): ServerError {
  const field = request.fields.input?.(index);
  const name = field === undefined ? `Input ${index}` : `'${field}'`;
  const detail = `${name} has ${tokensGiven} tokens; the model takes ${tokensKept}.`;
  return new ServerError('INPUT_TOO_LONG', detail, { field: field ?? request.fields.inputs });
}
