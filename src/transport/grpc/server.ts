// gRPC: services of operations on a port of their own, with health and reflection. Loaded only where it is asked for.
// Invariant: messages stay bytes here; what is in them, only operations know.
import { setTimeout as sleep } from 'node:timers/promises';
import {
  logVerbosity, Server, ServerCredentials, setLogVerbosity, type sendUnaryData, type ServerDuplexStream, type ServerOptions, type ServerUnaryCall, type ServiceDefinition, type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation } from 'grpc-health-check';
import { bodyBytesInFlightMax, grpcAnswerBytesMax, grpcDrainMsMax, grpcHeaderBytesMax, grpcStreamsMax } from '../../limits.ts';
import type { AnyOperation } from '../../operation.ts';
import { ListenError, whyNot, withoutBrackets } from '../listen.ts';
import { grpcError, GrpcPerformer, type GrpcRules } from './call.ts';
import { LibraryStreams } from './library-streams.ts';
import { answerStream } from './stream.ts';

// Its errors come back as errors; the lines it writes besides are not for a server's standard error.
setLogVerbosity(logVerbosity.NONE);

export type GrpcService = {
  /** `inference.GRPCInferenceService`; rpcs that are not listed are UNIMPLEMENTED. */
  readonly name: string;
  readonly methods: readonly { readonly name: string; readonly operation: AnyOperation; readonly isStream: boolean }[];
  /** What proto-loader made of its files, for reflection. */
  readonly definition: ConstructorParameters<typeof ReflectionService>[0];
};

export type GrpcOptions = GrpcRules & {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly messageBytesMax: number;
  /** How long draining waits for clients once nothing runs; limits.ts has the default. */
  readonly drainMsMax?: number;
  /** What grpc.health.v1 answers. */
  readonly ready: () => boolean;
};

const healthPollMs = 1000;
const drainPollMs = 10;
/** A client that is gone without a word is noticed after both. */
const keepaliveMs = 60_000;
const keepaliveTimeoutMs = 20_000;

/** Rejects with ListenError. */
export async function serveGrpc(service: GrpcService, options: GrpcOptions): Promise<GrpcServer> {
  const server = new GrpcServer(service, options);
  await server.listen(options);
  return server;
}

export class GrpcServer {
  readonly #server: Server;
  readonly #performer: GrpcPerformer;
  readonly #health: HealthImplementation;
  readonly #libraryStreams: LibraryStreams;
  readonly #serviceName: string;
  readonly #ready: () => boolean;
  readonly #drainMsMax: number;
  readonly #poll: NodeJS.Timeout;
  readonly #draining = new AbortController();
  #port = 0;
  #toldHealth: string | undefined;

  constructor({ name, methods, definition }: GrpcService, options: GrpcOptions) {
    this.#performer = new GrpcPerformer(options, bodyBytesInFlightMax);
    this.#server = new Server(serverOptions(options.messageBytesMax));
    this.#serviceName = name;
    this.#ready = options.ready;
    this.#drainMsMax = options.drainMsMax ?? grpcDrainMsMax;
    const handlers = methods.map((method) => [method.name, method.isStream ? this.#stream(method.operation) : this.#unary(method.operation)] as const);
    this.#server.addService(bytesService(methods), Object.fromEntries(handlers) as UntypedServiceImplementation);
    this.#health = new HealthImplementation({ '': 'NOT_SERVING', [name]: 'NOT_SERVING' });
    this.#libraryStreams = new LibraryStreams(this.#server);
    this.#health.addToServer(this.#libraryStreams);
    new ReflectionService(definition, { services: [name] }).addToServer(this.#libraryStreams);
    this.#poll = setInterval(() => this.#tellHealth(), healthPollMs);
    this.#poll.unref();
  }

  get port(): number {
    return this.#port;
  }

  get inFlight(): number {
    return this.#performer.inFlight;
  }

  async listen({ host, port }: { host: string; port: number }): Promise<void> {
    const bare = withoutBrackets(host);
    const address = bare.includes(':') ? `[${bare}]:${port}` : `${bare}:${port}`;
    this.#port = await bind(this.#server, address).catch(async ({ message }: Error) => {
      throw new ListenError(/\bE[A-Z]+\b/.exec(message)?.[0] ?? await whyNot(bare, port), host, port);
    });
    this.#tellHealth();
  }

  /**
   * Takes no new calls, lets those that run finish, and asks streams to end once nothing of theirs runs. Clients that
   * then neither take their answers nor send the rest of their requests do not hold it up.
   */
  async drain(): Promise<void> {
    this.#draining.abort();
    this.#tellHealth();
    this.#libraryStreams.end();
    let isOver = false;
    this.#server.tryShutdown(() => (isOver = true));
    let busyMs = performance.now();
    while (!isOver && performance.now() - busyMs < this.#drainMsMax) {
      await sleep(drainPollMs);
      if (this.inFlight > 0) busyMs = performance.now();
    }
    if (!isOver) this.#server.forceShutdown();
  }

  /** Ends every connection. */
  close(): void {
    clearInterval(this.#poll);
    this.#server.forceShutdown();
  }

  #tellHealth(): void {
    const status = this.#ready() && !this.#draining.signal.aborted ? 'SERVING' : 'NOT_SERVING';
    // Watchers are told whatever is set, whether it is new or not.
    if (status === this.#toldHealth) return;
    this.#toldHealth = status;
    for (const name of ['', this.#serviceName]) this.#health.setStatus(name, status);
  }

  #unary(operation: AnyOperation) {
    return (call: ServerUnaryCall<Buffer, Uint8Array>, answer: sendUnaryData<Uint8Array>): void => {
      void this.#performer.perform(operation, call.request, call).then(({ reply, error }) => {
        if (error === undefined) answer(null, reply.body as Uint8Array);
        else answer(grpcError(error), null);
      });
    };
  }

  #stream(operation: AnyOperation) {
    return (call: ServerDuplexStream<Buffer, Uint8Array>): void => {
      void answerStream(call, operation, this.#performer, this.#draining.signal);
    };
  }
}

function bind(server: Server, address: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) => (error === null ? resolve(port) : reject(error)));
  });
}

function serverOptions(messageBytesMax: number): ServerOptions {
  return {
    // Beside the tensors there are names and shapes.
    'grpc.max_receive_message_length': messageBytesMax + grpcHeaderBytesMax,
    'grpc.max_send_message_length': grpcAnswerBytesMax,
    'grpc.max_concurrent_streams': grpcStreamsMax,
    'grpc.keepalive_time_ms': keepaliveMs,
    'grpc.keepalive_timeout_ms': keepaliveTimeoutMs,
  };
}

/** A service whose messages are not looked into. */
function bytesService(methods: GrpcService['methods']): ServiceDefinition {
  const asIs = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Object.fromEntries(methods.map(({ name, operation: { path }, isStream }) => [name, {
    path,
    requestStream: isStream,
    responseStream: isStream,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  }]));
}
