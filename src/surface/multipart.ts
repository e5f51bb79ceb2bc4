// multipart/form-data (RFC 7578) while it comes: part by part, nothing held but a chunk and what may be the beginning
// of a boundary. Invariant: after an error nothing more is read.
import { ServerError } from '../errors.ts';
import { uploadHeaderBytesMax, uploadPartsMax } from '../limits.ts';

export type Part = {
  readonly name: string;
  /** As the client's file system has it; never used as a path. */
  readonly filename: string | undefined;
  /** What is not read of it is passed over. Each chunk is valid until the next is asked for. */
  readonly body: AsyncIterable<Uint8Array>;
};

const lineEnd = Buffer.from('\r\n');
const headerEnd = Buffer.from('\r\n\r\n');
const paddingBytesMax = 256;

/** The boundary of a `multipart/form-data` body; undefined for another type. Throws REQUEST_INVALID without a boundary. */
export function boundaryOf(contentType: string): string | undefined {
  if (!/^multipart\/form-data *(;|$)/i.test(contentType)) return undefined;
  const [, quoted, plain] = /;\s*boundary=(?:"([^"]*)"|([^;\s]*))/i.exec(contentType) ?? [];
  const boundary = quoted ?? plain ?? '';
  if (boundary.length >= 1 && boundary.length <= 70) return boundary;
  throw malformed('its content type has no boundary of 1 to 70 characters');
}

/** The parts in turn; each must be read before the next is asked for. Throws REQUEST_INVALID for what is malformed. */
export async function* partsOf(source: AsyncIterable<Uint8Array>, boundary: string): AsyncGenerator<Part, void> {
  const delimiter = Buffer.from(`\r\n--${boundary}`);
  const bytes = new Bytes(source);
  for await (const _preamble of bytes.until(delimiter)) continue;
  for (let count = 1; ; count += 1) {
    // No line end need follow the last boundary.
    if (await bytes.startWith('--')) return;
    const padding = await collect(bytes.until(lineEnd), paddingBytesMax, () => malformed('a boundary has no end'));
    if (padding.trim() !== '') throw malformed('a boundary goes on');
    if (count > uploadPartsMax) throw malformed(`it has more than ${uploadPartsMax} parts`);
    const header = await collect(bytes.until(headerEnd), uploadHeaderBytesMax, () => malformed('the header of a part is too long'));
    const body = bytes.until(delimiter);
    // Without `return`: a reader that stops early must not end what is read on here.
    yield { ...disposition(header), body: { [Symbol.asyncIterator]: () => ({ next: () => body.next() }) } };
    for await (const _unread of body) continue;
  }
}

/** A part as text. Throws REQUEST_INVALID naming it when it is longer or no UTF-8. */
export async function textOf({ name, body }: Part, bytesMax: number): Promise<string> {
  const refuse = (rule: string): ServerError => new ServerError('REQUEST_INVALID', `'${name}' ${rule}.`, { field: name });
  const text = await collect(body, bytesMax, () => refuse(`is longer than ${bytesMax} bytes`));
  if (text.includes('\ufffd')) throw refuse('is not UTF-8 text');
  return text;
}

/** Bytes of a stream, read up to marks. */
class Bytes {
  readonly #source: AsyncIterator<Uint8Array>;
  /** A body that begins with its boundary has no line before it. */
  #held: Buffer = lineEnd;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** What comes before the mark, which is taken too. */
  async *until(mark: Buffer): AsyncGenerator<Uint8Array, void> {
    for (;;) {
      const at = this.#held.indexOf(mark);
      if (at >= 0) {
        const before = this.#held.subarray(0, at);
        this.#held = this.#held.subarray(at + mark.length);
        if (before.length > 0) yield before;
        return;
      }
      // The end may be the beginning of the mark.
      const sure = Math.max(0, this.#held.length - mark.length + 1);
      const before = this.#held.subarray(0, sure);
      this.#held = this.#held.subarray(sure);
      if (before.length > 0) yield before;
      await this.#more();
    }
  }

  /** Whether that comes next; takes nothing. */
  async startWith(mark: string): Promise<boolean> {
    while (this.#held.length < mark.length) await this.#more();
    return this.#held.toString('latin1', 0, mark.length) === mark;
  }

  async #more(): Promise<void> {
    const next = await this.#source.next();
    if (next.done === true) throw malformed('it ends before its last boundary');
    this.#held = Buffer.concat([this.#held, next.value]);
  }
}

/** All of it as text. */
async function collect(source: AsyncIterable<Uint8Array>, bytesMax: number, tooLong: () => ServerError): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of source) {
    bytes += chunk.byteLength;
    if (bytes > bytesMax) throw tooLong();
    chunks.push(Buffer.from(chunk));
  }
  return Buffer.concat(chunks).toString('utf8');
}

function disposition(header: string): { name: string; filename: string | undefined } {
  const lines = header.split('\r\n');
  const value = (name: string): string => {
    const line = lines.find((each) => each.toLowerCase().startsWith(`${name}:`));
    return line?.slice(name.length + 1).trim() ?? '';
  };
  const encoding = value('content-transfer-encoding').toLowerCase();
  if (!['', 'binary', '8bit', '7bit'].includes(encoding)) throw malformed('a part has a transfer encoding');
  const text = value('content-disposition');
  const name = parameter(text, 'name');
  if (!/^form-data *;/i.test(text) || name === undefined) throw malformed('a part has no name');
  return { name, filename: parameter(text, 'filename') };
}

/** Of `form-data; name="file"; filename="model.onnx"`. */
function parameter(text: string, name: string): string | undefined {
  const [, quoted, plain] = new RegExp(`;\\s*${name}=(?:"((?:\\\\.|[^"\\\\])*)"|([^;\\s]+))`, 'i').exec(text) ?? [];
  return quoted?.replaceAll(/\\(.)/g, '$1') ?? plain;
}

function malformed(reason: string): ServerError {
  return new ServerError('REQUEST_INVALID', `The multipart body cannot be read: ${reason}.`);
}
