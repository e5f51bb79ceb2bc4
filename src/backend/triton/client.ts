// Calls to one Triton server over a pool of gRPC channels. Stands between the backend and the network.
// Invariants: every call has a deadline; only calls that change nothing are made, so a retry is always safe.
import { Client, connectivityState, credentials, Metadata, type ClientUnaryCall, type ServiceError } from '@grpc/grpc-js';
import type { MethodDefinition, ServiceDefinition } from '@grpc/proto-loader';
import { tritonMessageBytesMax, tritonReconnectMsMax } from '../../limits.ts';
import { loadInferenceProtocol, serviceName } from '../../proto/inference.ts';
import type { InferRequest, InferResponse, ModelConfig, ModelMetadata } from './messages.ts';

type Method = 'ServerReady' | 'ModelReady' | 'ModelMetadata' | 'ModelConfig' | 'ModelInfer';

type Channel = { readonly client: Client; calls: number };

/** How the library retries, each wait a random part of the backoff. UNAVAILABLE: the server has not begun. */
const retried: readonly Method[] = ['ModelMetadata', 'ModelConfig', 'ModelInfer'];
const retryPolicy = {
  maxAttempts: 4,
  initialBackoff: '0.1s',
  maxBackoff: '0.5s',
  backoffMultiplier: 2,
  retryableStatusCodes: ['UNAVAILABLE'],
};

const channelOptions = {
  'grpc.max_receive_message_length': tritonMessageBytesMax,
  'grpc.max_send_message_length': tritonMessageBytesMax,
  'grpc.per_rpc_retry_buffer_size': tritonMessageBytesMax,
  // A server that is back is found within this, however long it was away.
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': tritonReconnectMsMax,
  'grpc.enable_retries': 1,
  'grpc.service_config': JSON.stringify({
    methodConfig: [{ name: retried.map((method) => ({ service: serviceName, method })), retryPolicy }],
  }),
  'grpc.service_config_disable_resolution': 1,
  // Channels to one address would share one connection.
  'grpc.use_local_subchannel_pool': 1,
  // The library reads http_proxy by itself, also for the loopback.
  'grpc.enable_http_proxy': 0,
};

export type TritonAddress = { readonly target: string; readonly secure: boolean };

/** Of `host:port`, `grpc://host:port` or `grpcs://host:port`. */
export function tritonAddress(url: string): TritonAddress {
  const [, scheme, target] = /^(?:(grpcs?):\/\/)?(.+)$/.exec(url)!;
  return { target: target!, secure: scheme === 'grpcs' };
}

/** Every method rejects with the library's ServiceError. */
export class TritonClient {
  readonly #service: ServiceDefinition;
  readonly #address: TritonAddress;
  readonly #calls = new Set<ClientUnaryCall>();
  #channels: readonly Channel[];

  /** Connects with the first call. */
  constructor(address: TritonAddress, connections: number) {
    const definition = loadInferenceProtocol({ longs: Number, defaults: true });
    this.#service = definition[serviceName] as ServiceDefinition;
    this.#address = address;
    this.#channels = this.#openChannels(connections);
  }

  get connections(): number {
    return this.#channels.length;
  }

  async isServerReady(timeoutMs: number): Promise<boolean> {
    return (await this.#call<{ ready: boolean }>('ServerReady', {}, timeoutMs)).ready;
  }

  async isModelReady(name: string, timeoutMs: number): Promise<boolean> {
    return (await this.#call<{ ready: boolean }>('ModelReady', { name }, timeoutMs)).ready;
  }

  metadata(name: string, timeoutMs: number): Promise<ModelMetadata> {
    return this.#call('ModelMetadata', { name }, timeoutMs);
  }

  async config(name: string, timeoutMs: number): Promise<ModelConfig> {
    return (await this.#call<{ config: ModelConfig }>('ModelConfig', { name }, timeoutMs)).config;
  }

  infer(request: InferRequest, timeoutMs: number): Promise<InferResponse> {
    return this.#call('ModelInfer', request, timeoutMs);
  }

  /** Gives up what runs and connects anew: for a server that has fallen silent, whose connections may be dead. */
  reconnect(): void {
    const old = this.#channels;
    this.#channels = this.#openChannels(old.length);
    this.#end(old);
  }

  /** Gives up what runs; nothing may be called afterwards. */
  close(): void {
    this.#end(this.#channels);
  }

  #openChannels(count: number): Channel[] {
    const { target, secure } = this.#address;
    return Array.from({ length: count }, () => {
      const client = new Client(target, secure ? credentials.createSsl() : credentials.createInsecure(), channelOptions);
      return { client, calls: 0 };
    });
  }

  #end(channels: readonly Channel[]): void {
    for (const call of this.#calls) call.cancel();
    for (const { client } of channels) client.close();
  }

  #call<Reply>(name: Method, request: object, timeoutMs: number): Promise<Reply> {
    const method = this.#service[name] as MethodDefinition<object, object>;
    const channel = this.#freest();
    channel.calls += 1;
    return new Promise<Reply>((resolve, reject) => {
      const call = channel.client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        new Metadata(),
        { deadline: Date.now() + timeoutMs },
        (error: ServiceError | null, reply) => {
          channel.calls -= 1;
          this.#calls.delete(call);
          if (error === null) resolve(reply as Reply);
          else reject(error);
        },
      );
      this.#calls.add(call);
    });
  }

  /** Of the channels that are not known to be broken, the one with the fewest calls. */
  #freest(): Channel {
    const rank = ({ client, calls }: Channel): number => {
      const isBroken = client.getChannel().getConnectivityState(false) === connectivityState.TRANSIENT_FAILURE;
      return isBroken ? Infinity : calls;
    };
    return this.#channels.reduce((best, channel) => (rank(channel) < rank(best) ? channel : best));
  }
}
