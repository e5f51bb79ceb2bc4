// Reads protobuf in a file by its lengths, skipping what nobody asks for: weights of any size cost nothing.
import { readSync } from 'node:fs';

/** A length-delimited field: its bytes are [start, end) of the file. */
export type Field = { readonly number: number; readonly start: number; readonly end: number };

/** The bytes are no protobuf message, or end before it does. */
export class NotProtobuf extends Error {}

/** The length-delimited fields of the message in [start, end); numbers are passed over. */
export function* fields(reader: ProtobufFile, start: number, end: number): Generator<Field> {
  reader.at = start;
  while (reader.at < end) {
    const tag = reader.varint();
    const wireType = tag % 8;
    let next: number;
    if (wireType === 2) {
      const length = reader.varint();
      next = reader.at + length;
      if (next > end) throw new NotProtobuf();
      yield { number: Math.floor(tag / 8), start: next - length, end: next };
    } else {
      if (wireType === 0) reader.varint();
      else if (wireType === 1) reader.at += 8;
      else if (wireType === 5) reader.at += 4;
      else throw new NotProtobuf();
      next = reader.at;
    }
    // A consumer of the yielded field moved the position.
    reader.at = next;
  }
  if (reader.at !== end) throw new NotProtobuf();
}

/** Reads a file at any position through one window, so that neighbouring fields share a read. */
export class ProtobufFile {
  at = 0;
  readonly #descriptor: number;
  readonly #window = Buffer.allocUnsafe(64 * 1024);
  #windowStart = 0;
  #windowLength = 0;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  varint(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 10; i++) {
      const byte = this.#byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
    throw new NotProtobuf();
  }

  text(field: Field): string {
    // Names are short; a longer one is no operator or output that matters here.
    const bytes = Buffer.allocUnsafe(Math.min(field.end - field.start, 256));
    for (let i = 0; i < bytes.length; i++) bytes[i] = this.#byteAt(field.start + i);
    return bytes.toString('utf8');
  }

  #byte(): number {
    const byte = this.#byteAt(this.at);
    this.at += 1;
    return byte;
  }

  #byteAt(position: number): number {
    const offset = position - this.#windowStart;
    if (offset >= 0 && offset < this.#windowLength) return this.#window[offset]!;
    this.#windowStart = position;
    this.#windowLength = readSync(this.#descriptor, this.#window, 0, this.#window.length, position);
    if (this.#windowLength === 0) throw new NotProtobuf();
    return this.#window[0]!;
  }
}
