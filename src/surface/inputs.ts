// What every embedding surface asks of its texts and token ids before the engine sees them.
import type { EmbedInput } from '../backend/protocol.ts';
import { ServerError } from '../errors.ts';
import { inputTokenIdsMax } from '../limits.ts';

export type TextLimits = { readonly charsMax: number };
export type InputLimits = TextLimits & { readonly inputsMax: number };

/** Throws INPUT_EMPTY, INPUT_TOO_LONG or REQUEST_INVALID, naming `field`. */
export function checkText(text: string, field: string, limits: TextLimits): void {
  if (text === '') throw new ServerError('INPUT_EMPTY', `'${field}' must not be an empty string.`, { field });
  if (text.length > limits.charsMax) {
    const detail = `'${field}' has ${text.length} characters; at most ${limits.charsMax} are allowed.`;
    throw new ServerError('INPUT_TOO_LONG', detail, { field });
  }
  // Half a surrogate pair has no UTF-8 form and no token; a NUL ends strings in native code.
  if (!text.isWellFormed()) {
    throw new ServerError('REQUEST_INVALID', `'${field}' holds a lone surrogate, which is not a character.`, { field });
  }
  if (text.includes('\0')) throw new ServerError('REQUEST_INVALID', `'${field}' holds a NUL character.`, { field });
}

/** Throws INPUT_EMPTY or BATCH_TOO_LARGE, naming `field`. */
export function checkCount(count: number, field: string, countMax: number): void {
  if (count === 0) throw new ServerError('INPUT_EMPTY', `'${field}' must not be an empty list.`, { field });
  if (count > countMax) {
    throw new ServerError('BATCH_TOO_LARGE', `'${field}' has ${count} inputs; at most ${countMax} are allowed.`, { field });
  }
}

/** One input's token ids as the engine takes them. Throws when one is no 32-bit non-negative integer. */
function tokenIds(ids: readonly unknown[], field: string): Int32Array {
  if (ids.length === 0) throw new ServerError('INPUT_EMPTY', `'${field}' must not be an empty list.`, { field });
  if (ids.length > inputTokenIdsMax) {
    throw new ServerError('INPUT_TOO_LONG', `'${field}' has ${ids.length} token ids; at most ${inputTokenIdsMax}.`, { field });
  }
  const wrong = ids.findIndex((id) => !Number.isInteger(id) || (id as number) < 0 || (id as number) > 0x7fffffff);
  if (wrong >= 0) {
    throw new ServerError('REQUEST_INVALID', `'${field}[${wrong}]' is not a token id: a non-negative integer.`, { field });
  }
  return Int32Array.from(ids as number[]);
}

/**
 * The four forms in which OpenAI and text-embeddings-inference take inputs. A flat list of integers is
 * one text's tokens, not a batch. Throws ServerErrors that name the item of `field` at fault.
 */
export function embedInputs(input: unknown, field: string, limits: InputLimits): EmbedInput[] {
  if (typeof input === 'string') {
    checkText(input, field, limits);
    return [input];
  }
  if (!Array.isArray(input)) {
    const detail = `'${field}' must be a string, a list of strings, a list of token ids, or a list of lists of token ids.`;
    throw new ServerError('REQUEST_INVALID', detail, { field });
  }
  if (typeof input[0] === 'number') return [tokenIds(input, field)];
  checkCount(input.length, field, limits.inputsMax);
  const texts = typeof input[0] === 'string';
  return input.map((item: unknown, i): EmbedInput => {
    const itemField = `${field}[${i}]`;
    if (texts ? typeof item !== 'string' : !Array.isArray(item)) {
      const form = texts ? 'a string' : 'a string or a list of token ids';
      throw new ServerError('REQUEST_INVALID', `'${itemField}' must be ${form}; all inputs have one form.`, { field: itemField });
    }
    if (typeof item !== 'string') return tokenIds(item as unknown[], itemField);
    checkText(item, itemField, limits);
    return item;
  });
}
