// Joins the open inference protocol to the server: one set of models for its HTTP operations and its gRPC service.
import type { Config } from '../config.ts';
import type { EmbedEngine } from '../engine/embed.ts';
import type { History } from '../history/history.ts';
import { bodyBytesInFlightMax } from '../limits.ts';
import type { AnyOperation } from '../operation.ts';
import type { Registry } from '../registry/registry.ts';
import type { TensorModels } from '../registry/tensor-models.ts';
import { Inflater } from '../surface/kserve/compression.ts';
import { KserveModels } from '../surface/kserve/models.ts';
import { kserveOperations } from '../surface/kserve/operations.ts';
import type { GrpcRules } from '../transport/grpc/call.ts';
import type { GrpcServer } from '../transport/grpc/server.ts';
import { isReady } from '../surface/system/operations.ts';

export type KserveSources = {
  readonly version: string;
  readonly registry: Registry;
  readonly tensors: TensorModels;
  readonly engine: EmbedEngine;
  readonly history: History | undefined;
  readonly accepting: () => boolean;
  /** Until the models of the start have loaded. */
  readonly starting: () => boolean;
};

export type KserveParts = {
  readonly operations: AnyOperation[];
  /** Listens where GRPC_PORT says; undefined where it says nothing. Rejects with ListenError. */
  serveGrpc(rules: GrpcRules): Promise<GrpcServer | undefined>;
};

export function kserveParts(config: Config, sources: KserveSources): KserveParts {
  const { version, registry, tensors, engine, history, accepting, starting } = sources;
  const models = new KserveModels({
    tensors,
    registry,
    engine,
    limits: { inputsMax: config.openaiInputsMax, charsMax: config.inputCharsMax },
    ...(history && { record: (entry) => history.record(entry) }),
  });
  const ready = (): boolean => isReady({ accepting, starting, registry });
  const inflater = new Inflater(config.requestBytesMax, bodyBytesInFlightMax);
  const surface = { models, version, ready, inflater };
  return {
    operations: kserveOperations(surface),
    serveGrpc: async (rules) => {
      const { grpcPort: port, host } = config;
      if (port === undefined) return undefined;
      // Loading these takes as long as the rest of the start.
      const [{ serveGrpc }, { grpcMethods }, { loadMessages }, { serviceName }] = await Promise.all([
        import('../transport/grpc/server.ts'), import('../surface/kserve/grpc/operations.ts'),
        import('../surface/kserve/grpc/messages.ts'), import('../proto/inference.ts'),
      ]);
      const messages = loadMessages();
      const service = { name: serviceName, methods: grpcMethods(surface, messages), definition: messages.definition };
      return serveGrpc(service, { ...rules, host, port, messageBytesMax: config.requestBytesMax, ready });
    },
  };
}
