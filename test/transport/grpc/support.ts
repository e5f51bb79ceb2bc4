// A gRPC server with toy operations on bytes, and a client that sends any bytes to any method.
import { Client, credentials, Metadata, type ClientDuplexStream, type ServiceError } from '@grpc/grpc-js';
import type { TestContext } from 'node:test';
import type { AnyOperation } from '../../../src/operation.ts';
import { loadMessages } from '../../../src/surface/kserve/grpc/messages.ts';
import { serveGrpc, type GrpcOptions, type GrpcServer } from '../../../src/transport/grpc/server.ts';

export const serviceName = 'inference.GRPCInferenceService';

const asIs = (bytes: Uint8Array): Buffer => Buffer.from(bytes);

/** Answers with what `run` makes of the message's text. */
export function bytesOperation(name: string, run: AnyOperation['run'], more: Partial<AnyOperation> = {}): AnyOperation {
  return {
    name, method: 'POST', path: `/${serviceName}/${name}`, summary: '', group: 'Test', scope: 'infer',
    decode: (bytes) => Buffer.from(bytes).toString(),
    run,
    encode: (text: string) => ({ status: 200, contentType: '', body: Buffer.from(text) }),
    encodeError: (error) => ({ status: 400, contentType: '', body: Buffer.from(`error ${error.code}`) }),
    ...more,
  };
}

export async function serve(
  t: TestContext, operations: readonly AnyOperation[], options: Partial<GrpcOptions> = {}, streams: readonly string[] = [],
): Promise<GrpcServer> {
  const methods = operations.map((operation) => ({ name: operation.name, operation, isStream: streams.includes(operation.name) }));
  const server = await serveGrpc({ name: serviceName, methods, definition: loadMessages().definition }, {
    host: '127.0.0.1', port: 0, requestTimeoutMs: 5000, messageBytesMax: 1024 * 1024, ready: () => true, observer: { ended: () => {} }, ...options,
  });
  t.after(() => server.close());
  return server;
}

export function connect(t: TestContext, port: number, host = '127.0.0.1'): RawGrpc {
  const client = new Client(`${host}:${port}`, credentials.createInsecure(), { 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 });
  t.after(() => client.close());
  return new RawGrpc(client);
}

export class RawGrpc {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  call(method: string, message: Uint8Array | string, headers: Record<string, string> = {}, deadlineMs = 10_000, onCall?: (call: { cancel(): void }) => void): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const done = (error: ServiceError | null, answer?: Buffer): void => (error === null ? resolve(answer!) : reject(error));
      const path = method.startsWith('/') ? method : `/${serviceName}/${method}`;
      const running = this.#client.makeUnaryRequest(path, asIs, asIs, Buffer.from(message), metadataOf(headers), { deadline: Date.now() + deadlineMs }, done);
      onCall?.(running);
    });
  }

  stream(method: string, headers: Record<string, string> = {}): ClientDuplexStream<Uint8Array, Buffer> {
    const path = method.startsWith('/') ? method : `/${serviceName}/${method}`;
    return this.#client.makeBidiStreamRequest(path, asIs, asIs, metadataOf(headers), { deadline: Date.now() + 10_000 });
  }
}

function metadataOf(headers: Record<string, string>): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  return metadata;
}
