// Tensors in binary messages: uint32 length of the JSON | JSON | raw little-endian data (docs/websocket.md).

export type TypedArray =
  | Float32Array | Float64Array | Int8Array | Int16Array | Int32Array | BigInt64Array
  | Uint8Array | Uint16Array | Uint32Array | BigUint64Array;

/** float16 as its bits in a Uint16Array, bool as 0 and 1 in a Uint8Array, strings as a list. */
export type Tensor = { readonly datatype: string; readonly shape: readonly number[]; readonly data: TypedArray | readonly string[] };

type Described = { name: string; datatype: string; shape: number[]; offset: number; bytes: number; values?: string[] };
type Fields = Readonly<Record<string, unknown>>;

const arrays: Readonly<Record<string, new (buffer: ArrayBufferLike, offset: number, length: number) => TypedArray>> = {
  float32: Float32Array, float64: Float64Array, float16: Uint16Array,
  int8: Int8Array, int16: Int16Array, int32: Int32Array, int64: BigInt64Array,
  uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, uint64: BigUint64Array, bool: Uint8Array,
};

const lengthBytes = 4;
const alignment = 8;

/** A request with tensors, which are copied once. */
export function packMessage(fields: Fields, tensors: Readonly<Record<string, Tensor>>): Uint8Array {
  const described: Described[] = [];
  const parts: Uint8Array[] = [];
  let offset = 0;
  for (const [name, { datatype, shape, data }] of Object.entries(tensors)) {
    if (!ArrayBuffer.isView(data)) throw new TypeError(`'${name}' must be a typed array; strings go into the body.`);
    described.push({ name, datatype, shape: [...shape], offset, bytes: data.byteLength });
    parts.push(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    offset += data.byteLength;
  }
  const json = new TextEncoder().encode(JSON.stringify({ ...fields, tensors: described }));
  const message = new Uint8Array(lengthBytes + json.byteLength + offset);
  new DataView(message.buffer).setUint32(0, json.byteLength, true);
  message.set(json, lengthBytes);
  let at = lengthBytes + json.byteLength;
  for (const part of parts) {
    message.set(part, at);
    at += part.byteLength;
  }
  return message;
}

/** The JSON of a binary message, and its tensors as views of `buffer`. */
export function unpackMessage(buffer: ArrayBuffer): { fields: Fields; tensors: Record<string, Tensor> } {
  const jsonBytes = new DataView(buffer).getUint32(0, true);
  const fields = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, lengthBytes, jsonBytes))) as Fields;
  return { fields, tensors: readTensors(fields['tensors'], buffer, lengthBytes + jsonBytes) };
}

function readTensors(described: unknown, buffer: ArrayBuffer, start: number): Record<string, Tensor> {
  const tensors: Record<string, Tensor> = {};
  for (const { name, datatype, shape, offset, bytes, values } of (described ?? []) as Described[]) {
    const array = arrays[datatype];
    if (values !== undefined) tensors[name] = { datatype, shape, data: values };
    else if (array !== undefined) tensors[name] = { datatype, shape, data: viewOf(array, buffer, start + offset, bytes) };
  }
  return tensors;
}

/** Copied only where it does not lie as its type must. */
function viewOf(array: (typeof arrays)[string], buffer: ArrayBuffer, from: number, bytes: number): TypedArray {
  const size = (array as unknown as { BYTES_PER_ELEMENT: number }).BYTES_PER_ELEMENT;
  if (from % alignment === 0 || from % size === 0) return new array(buffer, from, bytes / size);
  return new array(buffer.slice(from, from + bytes), 0, bytes / size);
}
