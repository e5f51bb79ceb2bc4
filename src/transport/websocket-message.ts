// The messages of the WebSocket protocol (docs/websocket.md) as bytes. Pure; knows no socket.
//
//   text frame     JSON
//   binary frame   length of the JSON, uint32 little-endian | JSON, padded with spaces | raw data
//
// Ours are padded so that the data starts at a multiple of 8, where every element type may lie.
import { errorTable, ServerError } from '../errors.ts';
import { withFirst } from '../operation/event-text.ts';
import { parseJson } from '../operation/json-text.ts';

const lengthBytes = 4;
const alignment = 8;
const idPattern = /^[\w.:-]{1,64}$/;

type Fields = Readonly<Record<string, unknown>>;

/** What a client sends. */
export type ClientMessage = {
  readonly id: string;
  readonly op: string;
  readonly fields: Fields;
  /** Of a binary frame: the raw data of each of `tensors`, in memory of its own; undefined for one that asks for no part of it. */
  readonly data: readonly (Uint8Array | undefined)[] | undefined;
};

/** A part of an answer before it has an address. */
export type Part = {
  readonly type: 'item' | 'progress' | 'chunk' | 'summary' | 'result' | 'error';
  readonly json: string | Uint8Array;
  readonly data?: readonly Uint8Array[];
};

/** `bytes` are free again when this returns. Throws JSON_INVALID or REQUEST_INVALID. */
export function readMessage(bytes: Uint8Array, isBinary: boolean): ClientMessage {
  const { json, data } = isBinary ? splitBinary(bytes) : { json: bytes, data: undefined };
  const fields = parseJson(json);
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) {
    throw new ServerError('REQUEST_INVALID', 'A message must be a JSON object.');
  }
  const { id, op } = fields as Fields;
  if (typeof id !== 'string' || !idPattern.test(id)) {
    throw new ServerError('REQUEST_INVALID', "'id' must be 1 to 64 letters, digits or _.:-", { field: 'id' });
  }
  if (typeof op !== 'string') throw new ServerError('REQUEST_INVALID', "'op' must be a string.", { field: 'op' });
  return { id, op, fields: fields as Fields, data: data && partsOf(data, (fields as Fields)['tensors']) };
}

function splitBinary(bytes: Uint8Array): { json: Uint8Array; data: Uint8Array } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = bytes.byteLength < lengthBytes ? -1 : view.getUint32(0, true);
  if (length < 0 || lengthBytes + length > bytes.byteLength) {
    throw new ServerError('REQUEST_INVALID', 'A binary message must start with the length of its JSON as uint32, and hold that much.');
  }
  const dataStart = lengthBytes + length;
  return { json: bytes.subarray(lengthBytes, dataStart), data: bytes.subarray(dataStart) };
}

/** Copied here and nowhere else: the frame's memory ends with the call, and a model takes the whole buffer of a tensor. */
function partsOf(data: Uint8Array, tensors: unknown): (Uint8Array | undefined)[] {
  // Parts that overlap could be many times what was sent.
  let room = data.byteLength;
  return (Array.isArray(tensors) ? tensors : []).map((tensor: unknown) => {
    const { offset, bytes } = (isContainer(tensor) ? tensor : {}) as Fields;
    if (!isCount(offset) || !isCount(bytes) || offset + bytes > data.byteLength || bytes > room) return undefined;
    room -= bytes;
    return data.slice(offset, offset + bytes);
  });
}

/**
 * The body with the message's raw data in it: each of `tensors` becomes `{shape, datatype, data}` in the field that it
 * names, or at the JSON pointer (RFC 6901). Throws REQUEST_INVALID.
 */
export function bodyWithData({ fields, data }: ClientMessage): unknown {
  const { body, tensors } = fields;
  if (tensors === undefined) return body;
  if (data === undefined || !Array.isArray(tensors)) throw invalid('tensors', 'must be a list, in a binary message');
  const whole = body ?? {};
  tensors.forEach((tensor: unknown, i) => {
    const field = `tensors[${i}]`;
    const { name, datatype, shape } = (isContainer(tensor) ? tensor : {}) as Fields;
    if (typeof name !== 'string' || name === '') throw invalid(`${field}.name`, 'must be a string');
    const part = data[i];
    if (part === undefined) throw invalid(field, "must have 'offset' and 'bytes' within the data after the JSON, and share none of it");
    place(whole, name, { datatype, shape, data: part }, field);
  });
  return whole;
}

function place(body: unknown, name: string, value: object, field: string): void {
  const path = name.startsWith('/') ? name.slice(1).split('/').map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~')) : [name];
  let target = body;
  for (const part of path.slice(0, -1)) target = isContainer(target) && Object.hasOwn(target, part) ? target[part] : undefined;
  const last = path.at(-1)!;
  const fits = isContainer(target) && (!Array.isArray(target) || Object.hasOwn(target, last));
  if (!fits) throw invalid(`${field}.name`, 'points to no place in the body');
  // Plain assignment would take `__proto__` for more than a name.
  Object.defineProperty(target, last, { value, enumerable: true, configurable: true, writable: true });
}

function isContainer(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !(value instanceof Uint8Array);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function invalid(field: string, reason: string): ServerError {
  return new ServerError('REQUEST_INVALID', `'${field}' ${reason}.`, { field });
}

/** A part as a frame: binary when it has data. `seq` is there for requests that can be resumed. */
export function partFrame(id: string, seq: number | undefined, part: Part): string | Uint8Array {
  const head = `"type":"${part.type}","id":"${id}"${seq === undefined ? '' : `,"seq":${seq}`}`;
  const json = withFirst(head, part.json);
  return part.data === undefined ? json : binaryFrame(json, part.data);
}

/** Whether a frame that `partFrame` made goes out as binary: text may be bytes, too. */
export function isBinaryPart(part: Part): boolean {
  return part.data !== undefined;
}

function binaryFrame(json: string | Uint8Array, data: readonly Uint8Array[]): Uint8Array {
  const header = Buffer.from(json);
  const dataStart = Math.ceil((lengthBytes + header.byteLength) / alignment) * alignment;
  const size = data.reduce((sum, { byteLength }) => sum + byteLength, dataStart);
  const frame = Buffer.allocUnsafe(size);
  frame.writeUint32LE(dataStart - lengthBytes, 0);
  frame.set(header, lengthBytes);
  frame.fill(0x20, lengthBytes + header.byteLength, dataStart);
  let at = dataStart;
  for (const part of data) {
    frame.set(part, at);
    at += part.byteLength;
  }
  return frame;
}

/** How every error is told, whatever surface it comes from. */
export function errorFields(error: ServerError): { error: object } {
  const { code, message, field, retryAfterMs } = error;
  const { http, retry } = errorTable[code];
  const wait = retryAfterMs === undefined ? {} : { retry_after_ms: Math.ceil(retryAfterMs) };
  return { error: { code, status: http, message, ...(field !== undefined && { field }), retry, ...wait } };
}

export function errorPart(error: ServerError): Part {
  return { type: 'error', json: JSON.stringify(errorFields(error)) };
}
