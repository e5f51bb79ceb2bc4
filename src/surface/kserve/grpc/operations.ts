// inference.GRPCInferenceService: the same models as over HTTP, with messages instead of JSON.
import { errorTable, type ServerError } from '../../../errors.ts';
import type { AnyOperation, Call, Reply } from '../../../operation.ts';
import { indexRows, modelConfig, modelMetadata, serverMetadata, statisticsAnswer } from '../answers.ts';
import { kserveGroup } from '../errors.ts';
import type { InferAnswer } from '../model.ts';
import { refuseOverrides, type KserveSurface } from '../operations.ts';
import { inferMessage, readInferMessage, type InferMessage } from './infer-message.ts';
import { serviceName } from '../../../proto/inference.ts';
import type { Message, Messages } from './messages.ts';

export type GrpcMethod = {
  readonly name: string;
  readonly operation: AnyOperation;
  /** Many requests and answers in one call; then errors are answers too. */
  readonly isStream: boolean;
};

type Named = { readonly name: string; readonly version: string };
type Surface = Pick<KserveSurface, 'models' | 'version' | 'ready'>;

export function grpcMethods({ models, version, ready }: Surface, messages: Messages): GrpcMethod[] {
  const find = (message: Message) => {
    const { name, version: wanted } = message as Named;
    return models.find(name, wanted);
  };
  const unary = (name: string, scope: AnyOperation['scope'], run: (message: Message, call: Call) => object | Promise<object>): GrpcMethod => {
    return { name, isStream: false, operation: operationOf(name, scope, messages, run) };
  };
  const infer = async (message: Message, call: Call): Promise<InferAnswer> => {
    const request = message as InferMessage;
    return models.find(request.model_name, request.model_version).infer(readInferMessage(request), call);
  };
  return [
    unary('ServerLive', 'public', () => ({ live: true })),
    unary('ServerReady', 'public', () => ({ ready: ready() })),
    unary('ServerMetadata', 'public', () => serverMetadata(version)),
    unary('ModelReady', 'infer', (message) => ({ ready: models.isReady((message as Named).name, (message as Named).version) })),
    unary('ModelMetadata', 'infer', async (message) => {
      const model = find(message);
      return modelMetadata(model, await model.describe());
    }),
    unary('ModelConfig', 'infer', async (message) => {
      const model = find(message);
      return { config: modelConfig(model, await model.describe()) };
    }),
    unary('ModelStatistics', 'infer', (message) => {
      return statisticsAnswer((message as Named).name === '' ? models.list() : [find(message)]);
    }),
    unary('ModelInfer', 'infer', async (message, call) => inferMessage(await infer(message, call))),
    { name: 'ModelStreamInfer', isStream: true, operation: streamedInfer(messages, infer) },
    unary('RepositoryIndex', 'infer', (message) => ({ models: indexRows(models.list(), message['ready'] === true) })),
    unary('RepositoryModelLoad', 'admin', async (message) => {
      refuseOverrides(message['parameters'] as Message);
      await models.load(message['model_name'] as string);
      return {};
    }),
    unary('RepositoryModelUnload', 'admin', (message) => {
      models.unload(message['model_name'] as string);
      return {};
    }),
  ];
}

/** One request of a stream, where an error is an answer, too. */
function streamedInfer(messages: Messages, infer: (message: Message, call: Call) => Promise<InferAnswer>): AnyOperation {
  // Of requests that were read: an error repeats it, so that a client can tell which one failed.
  const ids = new WeakMap<Call, string>();
  const operation = operationOf('ModelStreamInfer', 'infer', messages, async (message, call) => {
    ids.set(call, (message as InferMessage).id);
    const response = inferMessage(await infer(message, call));
    return { infer_response: { ...response, parameters: { triton_final_response: { bool_param: true } } } };
  });
  const { encode } = messages.method('ModelStreamInfer');
  return {
    ...operation,
    encodeError: (error, call) => {
      return reply(errorTable[error.code].http, encode({ error_message: error.message, infer_response: { id: ids.get(call) ?? '' } }));
    },
  };
}

function operationOf(
  name: string, scope: AnyOperation['scope'], messages: Messages, run: (message: Message, call: Call) => object | Promise<object>,
): AnyOperation {
  const { decode, encode } = messages.method(name);
  return {
    name: `kserve.grpc.${name}`,
    method: 'POST',
    path: `/${serviceName}/${name}`,
    summary: `gRPC ${name}.`,
    group: kserveGroup,
    scope,
    unlimited: scope === 'public',
    decode: (bytes) => decode(bytes),
    run,
    encode: (message: object) => reply(200, encode(message)),
    // The transport has a status of its own for errors.
    encodeError: (error: ServerError) => reply(errorTable[error.code].http, new Uint8Array(0)),
  };
}

function reply(status: number, body: Uint8Array): Reply {
  return { status, contentType: 'application/grpc', body };
}
