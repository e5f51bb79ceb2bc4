// Vectors on the wire: JSON numbers, base64, or raw rows with their shape in headers.
import type { EmbedResult } from '../engine/embed.ts';
import { ServerError } from '../errors.ts';
import { truncatedHeaderItemsMax } from '../limits.ts';
import type { Call, Reply } from '../operation.ts';
import { floatTextBytesMax, writeFloats } from '../tensor/float-text.ts';
import { base64Row, packRows, type VectorType } from '../tensor/vector-bytes.ts';

export const bytesContentType = 'application/octet-stream';

export type VectorFormat = { readonly encoding: 'float' | 'base64' | 'bytes'; readonly type: VectorType };

const vectorTypes: readonly string[] = ['float32', 'float16', 'int8'] satisfies VectorType[];

/**
 * What the body's fields and the Accept header ask for. `Accept: application/octet-stream; dtype=float16`
 * asks for bytes as `encoding_format: "bytes"` with `embed_dtype: "float16"` does; the body wins.
 */
export function vectorFormat(
  body: { encoding_format?: VectorFormat['encoding'] | null; embed_dtype?: VectorType | null },
  call: Call,
): VectorFormat {
  if (asksOnlyByBody(call)) return checkedFormat(body.encoding_format ?? 'float', body.embed_dtype ?? 'float32');
  const accept = call.header('accept');
  const [media, ...parameters] = accept.split(';');
  const acceptsBytes = media!.trim().toLowerCase() === bytesContentType;
  const encoding = body.encoding_format ?? (acceptsBytes ? 'bytes' : 'float');
  const dtype = parameters.map((parameter) => /^\s*dtype\s*=\s*"?(\w+)"?\s*$/i.exec(parameter)?.[1]).find(Boolean);
  const type = body.embed_dtype ?? (acceptsBytes && encoding !== 'float' && dtype !== undefined ? dtype : 'float32');
  return checkedFormat(encoding, type);
}

/** Whether the Accept header leaves all to the body, as what nearly all clients send does. */
export function asksOnlyByBody(call: Call): boolean {
  const accept = call.header('accept');
  return accept === '' || accept === '*/*' || accept === 'application/json';
}

function checkedFormat(encoding: VectorFormat['encoding'], type: string): VectorFormat {
  if (!vectorTypes.includes(type)) {
    throw new ServerError('REQUEST_INVALID', `The dtype must be one of ${vectorTypes.join(', ')}.`, { field: 'accept' });
  }
  if (encoding === 'float' && type !== 'float32') {
    throw new ServerError('REQUEST_INVALID', `'embed_dtype' ${type} needs 'encoding_format' base64 or bytes.`, {
      field: 'embed_dtype',
    });
  }
  return { encoding, type: type as VectorType };
}

/** All rows as one binary body: row-major, little-endian, shape and type in headers. */
export function bytesReply(result: EmbedResult, type: VectorType): Reply {
  return {
    status: 200,
    contentType: bytesContentType,
    headers: {
      'x-embedding-shape': `${result.rows.length},${result.dimension}`,
      'x-embedding-dtype': type,
      'x-compute-tokens': String(tokensKept(result)),
      ...truncationHeaders(result),
    },
    body: packRows(result.rows, type),
  };
}

export function base64Vector(row: Float32Array, type: VectorType): string {
  if (type === 'float32') return base64Row(row);
  return Buffer.from(packRows([row], type).buffer).toString('base64');
}

/** The tokens that were computed, special tokens included, padding not. */
export function tokensKept(result: EmbedResult): number {
  return result.tokensKept.reduce((sum, count) => sum + count, 0);
}

/** One row a truncated input: where an answer's JSON may carry it. */
export function truncationRows(result: EmbedResult): { index: number; tokens_given: number; tokens_kept: number }[] {
  return result.truncated.map((index) => {
    return { index, tokens_given: result.tokensGiven[index]!, tokens_kept: result.tokensKept[index]! };
  });
}

/**
 * `x-truncated-count` on every answer; `x-truncated` lists `index:kept/given` of the first ones, for answers
 * whose body is an array or bytes.
 */
export function truncationHeaders(result: EmbedResult): Record<string, string> {
  const headers: Record<string, string> = { 'x-truncated-count': String(result.truncated.length) };
  if (result.truncated.length === 0) return headers;
  const listed = truncationRows(result).slice(0, truncatedHeaderItemsMax);
  headers['x-truncated'] = listed.map((row) => `${row.index}:${row.tokens_kept}/${row.tokens_given}`).join(',');
  return headers;
}

/** Writes JSON text around float rows into one buffer, so that long vectors never become JavaScript strings. */
export class JsonBytes {
  readonly #bytes: Buffer;
  #length = 0;

  /** Room for `floatCount` values and `textBytesMax` bytes of everything else. */
  constructor(floatCount: number, textBytesMax: number) {
    // Untouched pages cost nothing; the pool's slices would be pinned by a long answer.
    this.#bytes = Buffer.allocUnsafeSlow(floatTextBytesMax(floatCount) + textBytesMax);
  }

  text(text: string): void {
    this.#length += this.#bytes.write(text, this.#length);
  }

  floats(row: Float32Array): void {
    this.#bytes[this.#length++] = 91; // [
    this.#length = writeFloats(this.#bytes, this.#length, row);
    this.#bytes[this.#length++] = 93; // ]
  }

  /** The rows as a JSON array of arrays. */
  rows(rows: readonly Float32Array[]): void {
    this.text('[');
    rows.forEach((row, i) => {
      if (i > 0) this.text(',');
      this.floats(row);
    });
    this.text(']');
  }

  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }
}
