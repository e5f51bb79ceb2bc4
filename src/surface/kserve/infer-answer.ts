// The answer to an HTTP inference request: a JSON header, and after it the outputs that were asked for as binary.
import { ServerError } from '../../errors.ts';
import type { NamedTensor } from '../../engine/infer-tensors.ts';
import type { Reply, ReplyStream } from '../../operation.ts';
import { writeNested } from '../../tensor/nested.ts';
import { bytesOfTensor, wireType } from '../../tensor/wire.ts';
import { jsonContentType } from '../json-reply.ts';
import { bytesContentType } from '../vectors.ts';
import { headerLengthName } from './infer-body.ts';
import type { InferAnswer } from './model.ts';

export type InferParts = {
  /** JSON first, then each binary output: views of the outputs' own memory. */
  readonly parts: readonly Uint8Array[];
  /** Bytes of the JSON, when binary outputs follow; undefined when there are none. */
  readonly headerBytes: number | undefined;
};

/** Below this, one buffer of everything is cheaper than several writes. */
const joinedBytesMax = 16 * 1024;

/** Throws REQUEST_INVALID for FP16 as JSON, which has no form for it. */
export function inferParts({ model, version, id, outputs }: InferAnswer, isBinary: (output: string) => boolean): InferParts {
  const head = { model_name: model, model_version: version, ...(id !== '' && { id }) };
  const json: Uint8Array[] = [Buffer.from(`${JSON.stringify(head).slice(0, -1)},"outputs":[`)];
  const binary: Uint8Array[] = [];
  outputs.forEach((output, i) => {
    if (i > 0) json.push(Buffer.from(','));
    if (isBinary(output.name)) {
      const bytes = bytesOfTensor(output.tensor);
      binary.push(bytes);
      json.push(Buffer.from(JSON.stringify({ ...about(output), parameters: { binary_data_size: bytes.byteLength } })));
    } else {
      json.push(...jsonOutput(output));
    }
  });
  json.push(Buffer.from(']}'));
  const header = Buffer.concat(json);
  if (binary.length === 0) return { parts: [header], headerBytes: undefined };
  return { parts: [header, ...binary.filter(({ byteLength }) => byteLength > 0)], headerBytes: header.byteLength };
}

export function inferReply({ parts, headerBytes }: InferParts): Reply {
  const body = joinedOrStream(parts);
  if (headerBytes === undefined) return { status: 200, contentType: jsonContentType, body };
  return { status: 200, contentType: bytesContentType, headers: { [headerLengthName]: String(headerBytes) }, body };
}

function joinedOrStream(parts: readonly Uint8Array[]): Uint8Array | ReplyStream {
  const lengthBytes = parts.reduce((sum, part) => sum + part.byteLength, 0);
  if (parts.length === 1) return parts[0]!;
  if (lengthBytes <= joinedBytesMax) return Buffer.concat(parts);
  // The socket takes each part from where it lies.
  return { chunks: chunksOf(parts), lengthBytes };
}

async function* chunksOf(parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* parts;
}

function about({ name, tensor }: NamedTensor): { name: string; datatype: string; shape: readonly number[] } {
  return { name, datatype: wireType(tensor.datatype), shape: tensor.shape };
}

function jsonOutput(output: NamedTensor): Uint8Array[] {
  const { name, tensor } = output;
  if (tensor.datatype === 'float16') {
    throw new ServerError('REQUEST_INVALID', `'${name}' is FP16, which is sent as binary only: ask for it with binary_data.`, { field: name });
  }
  const start = JSON.stringify(about(output)).slice(0, -1);
  return [Buffer.from(`${start},"data":`), writeNested({ ...tensor, shape: [tensor.data.length] }), Buffer.from('}')];
}
