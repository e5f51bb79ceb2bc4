// The open inference protocol (KServe v2) over HTTP, with Triton's extensions for binary tensors, the model
// repository, model configurations, statistics and scheduling.
import type { TSchema } from 'typebox';
import { ServerError } from '../../errors.ts';
import type { AnyOperation, Call, Reply } from '../../operation.ts';
import { bodyChecker, parseJson } from '../body.ts';
import { jsonReply } from '../json-reply.ts';
import { indexRows, modelConfig, modelMetadata, serverMetadata, statisticsAnswer } from './answers.ts';
import type { Inflater } from './compression.ts';
import { kserveError, kserveGroup } from './errors.ts';
import { inferOperation } from './infer-operation.ts';
import type { KserveModel } from './model.ts';
import type { KserveModels } from './models.ts';
import {
  ModelConfig, ModelMetadata, ModelReady, ModelStatistics, Nothing, RepositoryIndex, RepositoryIndexRequest, RepositoryRequest,
  ServerLive, ServerMetadata, ServerReady,
} from './schema.ts';
import { splitPath, targetOf, type ModelView } from './target.ts';

export type KserveSurface = {
  readonly models: KserveModels;
  readonly version: string;
  /** Whether requests are taken and a model can answer them. */
  readonly ready: () => boolean;
  readonly inflater: Inflater;
};

export function kserveOperations(surface: KserveSurface): AnyOperation[] {
  const { models } = surface;
  const views = modelViews(models);
  return [
    open('server', '/v2', 'What this server is, and the extensions that it serves.', ServerMetadata, () => jsonReply(200, serverMetadata(surface.version))),
    open('live', '/v2/health/live', 'The event loop runs.', ServerLive, () => jsonReply(200, { live: true })),
    {
      ...open('ready', '/v2/health/ready', '200 while requests are taken and a model can answer.', ServerReady, () => {
        const ready = surface.ready();
        return jsonReply(ready ? 200 : 503, { ready });
      }),
      otherAnswers: { 503: ServerReady },
    },
    ask('statistics', '/v2/models/stats', 'What all models have done.', ModelStatistics, () => jsonReply(200, statisticsAnswer(models.list()))),
    ...['/v2/models/:model', '/v2/models/:model/versions/:version'].flatMap((path) => [
      ...Object.values(views).map((view) => ({ ...view, path: view.path.replace('/v2/models/:model', path) })),
      inferOperation(models, surface.inflater, `${path}/infer`),
    ]),
    // Names of embedding models hold a slash, which clients leave as it is.
    namedView(views),
    namedInfer(models, surface.inflater),
    index(models),
    ...['/v2/repository/models/:model/load', '/v2/repository/models/:model/unload', '/v2/repository/models/*'].map((path) => order(models, path)),
  ];
}

type Views = Readonly<Record<'metadata' | 'ready' | 'config' | 'stats', AnyOperation>>;

function modelViews(models: KserveModels): Views {
  const view = (
    name: string, tail: string, summary: string, schema: TSchema, run: (model: KserveModel) => Reply | Promise<Reply>,
  ): AnyOperation => ask(name, `/v2/models/:model${tail}`, summary, schema, (call) => {
    const { model, version } = targetOf(call);
    return run(models.find(model, version));
  });
  // As Triton answers: a model that is not there is not ready, and nothing more.
  const ready = ask('model_ready', '/v2/models/:model/ready', '200 while the model is loaded; 400 when it is not.', ModelReady, (call) => {
    const { model: name, version } = targetOf(call);
    const isReady = models.isReady(name, version);
    return jsonReply(isReady ? 200 : 400, { name, ready: isReady, ...(!isReady && { error: 'The model is not ready.' }) });
  });
  return {
    metadata: view('model', '', "A model's versions, inputs and outputs; loads it if need be.", ModelMetadata, async (model) => {
      return jsonReply(200, modelMetadata(model, await model.describe()));
    }),
    ready: { ...ready, otherAnswers: { 400: ModelReady } },
    config: view('model_config', '/config', "A model's configuration in Triton's form; loads it if need be.", ModelConfig, async (model) => {
      return jsonReply(200, modelConfig(model, await model.describe()));
    }),
    stats: view('model_statistics', '/stats', 'What a model has done, in counts and nanoseconds.', ModelStatistics, (model) => {
      return jsonReply(200, statisticsAnswer([model]));
    }),
  };
}

function namedView(views: Views): AnyOperation {
  return {
    ...views.metadata,
    name: 'kserve.named_model',
    path: '/v2/models/*',
    summary: 'The same for a name with slashes, and below it its versions, ready, config and stats.',
    decode: (bytes: Uint8Array, call: Call) => {
      const chosen = viewOf(views, splitPath(call.parameters['*'] ?? '').view);
      call.operation = chosen;
      return chosen.decode(bytes, call) as undefined;
    },
  };
}

function viewOf(views: Views, view: ModelView): AnyOperation {
  if (Object.hasOwn(views, view)) return views[view as keyof Views];
  throw new ServerError('METHOD_NOT_ALLOWED');
}

function namedInfer(models: KserveModels, inflater: Inflater): AnyOperation {
  const operation = inferOperation(models, inflater, '/v2/models/*');
  return {
    ...operation,
    summary: 'The same for a name with slashes.',
    decode: (bytes, call) => {
      const { view } = splitPath(call.parameters['*'] ?? '');
      if (view !== 'infer') throw new ServerError(view === 'metadata' ? 'ROUTE_NOT_FOUND' : 'METHOD_NOT_ALLOWED');
      return operation.decode(bytes, call) as unknown;
    },
  };
}

const checkIndex = bodyChecker(RepositoryIndexRequest);

function index(models: KserveModels): AnyOperation {
  return {
    ...ask('repository_index', '/v2/repository/index', 'All models and their states.', RepositoryIndex, () => jsonReply(200, {})),
    method: 'POST',
    requestSchema: RepositoryIndexRequest,
    decode: (bytes) => bytes.byteLength > 0 && checkIndex(parseJson(bytes)).ready === true,
    run: (readyOnly: boolean) => jsonReply(200, indexRows(models.list(), readyOnly)),
  };
}

const checkOrder = bodyChecker(RepositoryRequest);

/** Changes what the server holds in memory: not for every client. */
function order(models: KserveModels, path: string): AnyOperation {
  return {
    ...ask('repository', path, 'Load a model now, or unload it once nothing runs on it.', Nothing, () => jsonReply(200, {})),
    name: path.endsWith('/*') ? 'kserve.repository' : `kserve.repository_${path.split('/').at(-1)!}`,
    method: 'POST',
    scope: 'admin',
    requestSchema: RepositoryRequest,
    decode: (bytes) => {
      if (bytes.byteLength > 0) refuseOverrides(checkOrder(parseJson(bytes)).parameters ?? {});
    },
    run: async (_input: undefined, call: Call) => {
      const action = path.endsWith('/*') ? splitPath(call.parameters['*'] ?? '').view : path.split('/').at(-1);
      const { model } = targetOf(call);
      if (action === 'load') await models.load(model);
      else if (action === 'unload') models.unload(model);
      else throw new ServerError('ROUTE_NOT_FOUND');
      return jsonReply(200, {});
    },
  };
}

/** A client must not decide what a model is: configurations and files come from the server's own folders. Throws REQUEST_INVALID. */
export function refuseOverrides(parameters: Readonly<Record<string, unknown>>): void {
  const name = Object.keys(parameters).find((each) => each === 'config' || each.startsWith('file:'));
  if (name === undefined) return;
  const field = `parameters.${name.slice(0, 80)}`;
  throw new ServerError('REQUEST_INVALID', `'${field}' is not supported: models are loaded as their folders say.`, { field });
}

/** A GET without a body. */
function ask(
  name: string, path: string, summary: string, responseSchema: TSchema, run: (call: Call) => Reply | Promise<Reply>,
): AnyOperation {
  return {
    name: `kserve.${name}`,
    method: 'GET',
    path,
    summary,
    group: kserveGroup,
    scope: 'infer',
    responseSchema,
    decode: () => undefined,
    run: (_input: undefined, call: Call) => run(call),
    encode: (reply: Reply) => reply,
    encodeError: kserveError,
  };
}

/** A probe: for everybody, outside the rate limit. */
function open(name: string, path: string, summary: string, responseSchema: TSchema, run: () => Reply): AnyOperation {
  return { ...ask(name, path, summary, responseSchema, run), scope: 'public', unlimited: true };
}
