// Inference over HTTP: JSON, binary tensors and raw bodies, compressed or not.
import type { AnyOperation, Call, Operation } from '../../operation.ts';
import { bytesContentType } from '../vectors.ts';
import { contentEncodings, deflated, encodingOf, type ContentEncoding, type Inflater } from './compression.ts';
import { kserveError, kserveGroup } from './errors.ts';
import { inferParts, inferReply, type InferParts } from './infer-answer.ts';
import { bodyOffsetBytes, InferenceRequest, readInferBody, type InferBody } from './infer-body.ts';
import type { KserveModels } from './models.ts';
import { InferenceResponse } from './schema.ts';
import { targetOf } from './target.ts';

type Packed = { readonly parts: InferParts; readonly encoding: ContentEncoding | undefined };

export function inferOperation(models: KserveModels, inflater: Inflater, path: string): AnyOperation {
  const operation: Operation<InferBody | Promise<InferBody>, Packed> = {
    name: 'kserve.infer',
    method: 'POST',
    path,
    summary: 'Run a model on tensors.',
    group: kserveGroup,
    scope: 'infer',
    requestSchema: InferenceRequest,
    responseSchema: InferenceResponse,
    binaryTypes: [bytesContentType],
    contentEncodings,
    body: { kind: 'owned', offsetBytes: bodyOffsetBytes },
    decode: (bytes, call) => {
      const encoding = encodingOf(call.header('content-encoding'));
      return encoding === undefined ? readInferBody(ownedBody(bytes, call), call) : inflatedBody(inflater, bytes, encoding, call);
    },
    async run(input, call) {
      const body = await input;
      const { model, version } = targetOf(call);
      const answer = await models.find(model, version).infer(body, call);
      return packed(inferParts(answer, body.isBinary), call);
    },
    encode({ parts, encoding }) {
      const reply = inferReply(parts);
      return encoding === undefined ? reply : { ...reply, headers: { ...reply.headers, 'content-encoding': encoding } };
    },
    encodeError: kserveError,
  };
  return operation;
}

async function inflatedBody(inflater: Inflater, bytes: Uint8Array, encoding: ContentEncoding, call: Call): Promise<InferBody> {
  return readInferBody(copyOf(await inflater.inflate(bytes, encoding), call), call);
}

/** The whole buffer goes to a worker, so nobody else may have a part of it. */
function ownedBody(bytes: Uint8Array, call: Call): Uint8Array {
  const isWhole = bytes.byteOffset === bodyOffsetBytes((name) => call.header(name)) && bytes.byteOffset + bytes.byteLength === bytes.buffer.byteLength;
  return isWhole ? bytes : copyOf(bytes, call);
}

function copyOf(bytes: Uint8Array, call: Call): Uint8Array {
  const offset = bodyOffsetBytes((name) => call.header(name));
  const copy = new Uint8Array(offset + bytes.byteLength).subarray(offset);
  copy.set(bytes);
  return copy;
}

/**
 * Compresses for clients that name one encoding and nothing else. Those that list all they can read, as browsers do,
 * would pay more for the compression than the network costs them.
 */
async function packed(parts: InferParts, call: Call): Promise<Packed> {
  const encoding = encodingOf(call.header('accept-encoding'));
  if (encoding === undefined) return { parts, encoding };
  return { parts: { ...parts, parts: [await deflated(parts.parts, encoding)] }, encoding };
}
