// The messages of inference.GRPCInferenceService as bytes and as plain objects. Loaded only where gRPC is served.
import type { PackageDefinition, ServiceDefinition } from '@grpc/proto-loader';
import { ServerError } from '../../../errors.ts';
import { loadInferenceProtocol, serviceName } from '../../../proto/inference.ts';

export type Message = Readonly<Record<string, unknown>>;

export type Codec = {
  /** Byte fields are views of `bytes`. Throws REQUEST_INVALID. */
  decode(bytes: Uint8Array): Message;
  encode(message: object): Uint8Array;
};

export type Messages = {
  /** For reflection. */
  readonly definition: PackageDefinition;
  method(name: string): Codec;
};

export function loadMessages(): Messages {
  const definition = loadInferenceProtocol({
    // A double would round 64-bit integers.
    longs: String,
    defaults: true,
    arrays: true,
    objects: true,
  });
  const service = definition[serviceName] as ServiceDefinition;
  return {
    definition,
    method: (name) => {
      const method = service[name]!;
      return { decode: (bytes) => decoded(method.requestDeserialize, bytes), encode: (message) => method.responseSerialize(message) };
    },
  };
}

function decoded(deserialize: (bytes: Buffer) => object, bytes: Uint8Array): Message {
  try {
    return deserialize(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)) as Message;
  } catch (cause) {
    throw new ServerError('REQUEST_INVALID', 'The message is not of the type that the method takes.', { cause });
  }
}

