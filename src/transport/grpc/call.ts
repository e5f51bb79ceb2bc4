// One gRPC request as an operation's call: who asks, how long they wait, and how it ends.
import { status, type Metadata, type ServerDuplexStream, type ServerErrorResponse, type ServerUnaryCall } from '@grpc/grpc-js';
import { Metadata as GrpcMetadata } from '@grpc/grpc-js';
import { errorTable, ServerError } from '../../errors.ts';
import { Call, perform, refuse, type AnyOperation, type Authorize, type CallObserver, type Outcome } from '../../operation.ts';
import { clientKey } from '../address.ts';
import { ByteBudget } from '../../byte-budget.ts';
import { overloaded } from '../body.ts';
import { requestIdOf } from '../headers.ts';
import type { RateLimiter } from '../rate-limit.ts';

/** gRPC tells the peer as text, which is read as a proxy's would be. */
const noAddress = new ArrayBuffer(0);
/** Without brackets around IPv6, where it would be read as a part of the address. */
const peerPort = /:\d+$/;

export type GrpcCall = ServerUnaryCall<Buffer, Uint8Array> | ServerDuplexStream<Buffer, Uint8Array>;

export type GrpcRules = {
  readonly requestTimeoutMs: number;
  readonly authorize?: Authorize | undefined;
  readonly rateLimiter?: RateLimiter | undefined;
  readonly observer: CallObserver;
};

/** Runs operations for gRPC calls. Bytes of all running messages stay within the budget. */
export class GrpcPerformer {
  readonly #rules: GrpcRules;
  readonly #budget: ByteBudget;
  inFlight = 0;

  constructor(rules: GrpcRules, bytesInFlightMax: number) {
    this.#rules = rules;
    this.#budget = new ByteBudget(bytesInFlightMax);
  }

  /** Whether the caller may begin a stream. Throws ServerError. */
  admit(operation: AnyOperation, { metadata }: GrpcCall): void {
    this.#rules.authorize?.(operation, (name) => headerOf(metadata, name));
  }

  /** One message's whole life. Never rejects; cancelled when the client leaves or its deadline passes. */
  async perform(operation: AnyOperation, message: Uint8Array, grpcCall: GrpcCall): Promise<Outcome> {
    const { observer } = this.#rules;
    const call = this.#call(operation, grpcCall);
    const cancel = (): void => call.cancel();
    let taken = 0;
    this.inFlight += 1;
    grpcCall.on('cancelled', cancel);
    try {
      call.caller = this.#rules.authorize?.(operation, (name) => call.header(name)) ?? call.caller;
      await this.#checkRate(operation, grpcCall);
      if (!this.#budget.take(message.byteLength)) throw overloaded();
      taken = message.byteLength;
      return await perform(operation, message, call, observer);
    } catch (error) {
      return refuse(call, error, observer);
    } finally {
      this.#budget.give(taken);
      grpcCall.off('cancelled', cancel);
      this.inFlight -= 1;
    }
  }

  #call(operation: AnyOperation, grpcCall: GrpcCall): Call {
    const { metadata } = grpcCall;
    const leftMs = Number(grpcCall.getDeadline()) - Date.now();
    return new Call({
      requestId: requestIdOf(headerOf(metadata, 'x-request-id')),
      operation,
      timeoutMs: Math.max(1, Math.min(this.#rules.requestTimeoutMs, leftMs)),
      header: (name) => headerOf(metadata, name),
    });
  }

  async #checkRate(operation: AnyOperation, grpcCall: GrpcCall): Promise<void> {
    if (operation.unlimited === true) return;
    const { rateLimiter } = this.#rules;
    const verdict = await rateLimiter?.check(clientOf(grpcCall, rateLimiter.trustedProxies));
    if (verdict?.allowed === false) throw new ServerError('RATE_LIMITED', undefined, { retryAfterMs: verdict.resetMs });
  }
}

/** What a client sees of an error: the code of the table, its text, and when to come back. */
export function grpcError(error: ServerError): Partial<ServerErrorResponse> {
  const metadata = new GrpcMetadata();
  if (error.retryAfterMs !== undefined) metadata.set('retry-after-ms', String(Math.ceil(error.retryAfterMs)));
  return { code: errorTable[error.code].grpc as status, details: error.message, metadata };
}

/** Who asks, for the rate limit. */
function clientOf(grpcCall: GrpcCall, trustedProxies: number): string {
  const forwarded = clientKey(noAddress, headerOf(grpcCall.metadata, 'x-forwarded-for'), trustedProxies);
  return forwarded || clientKey(noAddress, grpcCall.getPeer().replace(peerPort, ''), 1);
}

function headerOf(metadata: Metadata, name: string): string {
  return metadata.get(name).map(String).join(', ');
}
