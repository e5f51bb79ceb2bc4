// Models of every kind: listed, told about, loaded, unloaded and loaded anew. `:version` is a version, a name, or
// `name:version` of a tensor model, or the name of another model, its slash raw or encoded.
import type { TSchema } from 'typebox';
import { ServerError, toServerError } from '../../errors.ts';
import type { AnyOperation, Call } from '../../operation.ts';
import { acceptsEvents, ndjsonContentType, sseContentType } from '../../operation/event-text.ts';
import type { LeasedModel, TensorEntry } from '../../registry/tensor-models.ts';
import { detailError } from '../detail-errors.ts';
import { tensorGroup } from '../history/operations.ts';
import { jsonReply } from '../json-reply.ts';
import { modelBody, modelRow, statsBody } from './answers.ts';
import { progressEvents } from './events.ts';
import { ModelListResponse, ModelResponse, StatsResponse } from './schema.ts';

/** What the operations need of the registry; `TensorModels` is one. */
export type TensorRegistry = {
  list(): readonly TensorEntry[];
  /** Throws ServerError naming `field`. */
  find(wanted: string, field: string): TensorEntry;
  use<Result>(entry: TensorEntry, work: (model: LeasedModel) => Promise<Result>): Promise<Result>;
  useAll<Result>(
    entries: readonly TensorEntry[],
    work: (models: readonly LeasedModel[]) => Promise<Result>,
  ): Promise<Result>;
  load(wanted: string, field: string): Promise<TensorEntry>;
  unload(wanted: string, field: string): Promise<{ readonly entry: TensorEntry; readonly unloaded: boolean }>;
  /** Rejects and changes nothing when the new one cannot be had. */
  reload(wanted: string, field: string): Promise<TensorEntry>;
};

/** A model of another kind. */
export type OtherModel = {
  /** Has version, name, status and loaded; looking at it loads nothing. */
  row(): { readonly loaded: boolean };
  load(): Promise<void>;
  /** Whether there was something to unload. */
  unload(): Promise<boolean>;
  /** Rejects and changes nothing when the new one cannot be had. */
  reload(): Promise<void>;
};

export type OtherModels = {
  list(): readonly OtherModel[];
  find(name: string): OtherModel | undefined;
};

export const noOtherModels: OtherModels = { list: () => [], find: () => undefined };

export function lifecycleOperations(models: TensorRegistry, others: OtherModels): AnyOperation[] {
  return [
    ask('models.list', '/models', 'List all models, loaded or not.', ModelListResponse, () => {
      const rows = [...models.list().map(modelRow), ...others.list().map((other) => other.row())];
      return { models: rows, count: rows.length, loaded: rows.filter(({ loaded }) => loaded === true).length };
    }),
    // Names of embedding models hold a slash.
    ...['/models/:version', '/models/*'].map((path) => {
      return ask('models.model', path, 'What a model is: its state, inputs and outputs.', ModelResponse, (call) => {
        const other = otherModel(models, others, wanted(call));
        return other === undefined ? modelBody(models.find(wanted(call), 'version')) : other.row();
      });
    }),
    ask('tensors.stats', '/models/:version/stats', 'What a tensor model has done.', StatsResponse, (call) => {
      return statsBody(models.find(wanted(call), 'version'));
    }),
    ...['/models/:version', '/models/:organization/:name'].flatMap((path) => orders(path, models, others)),
  ];
}

function orders(path: string, models: TensorRegistry, others: OtherModels): AnyOperation[] {
  return [
    order('models.load', `${path}/load`, 'Load a model now.', async (call) => {
      const other = otherModel(models, others, wanted(call));
      if (other === undefined) return modelBody(await models.load(wanted(call), 'version'));
      await other.load();
      return other.row();
    }),
    order('models.unload', `${path}/unload`, 'Unload a model once nothing runs on it.', async (call) => {
      const other = otherModel(models, others, wanted(call));
      if (other !== undefined) {
        const unloaded = await other.unload();
        return { ...other.row(), unloaded };
      }
      const { entry, unloaded } = await models.unload(wanted(call), 'version');
      return { ...modelRow(entry), unloaded };
    }),
    order('models.reload', `${path}/reload`, reloadSummary, async (call) => {
      const other = otherModel(models, others, wanted(call));
      if (other === undefined) {
        const before = models.find(wanted(call), 'version').state;
        return modelBody(await orKeptServing(before === 'ready', () => models.reload(wanted(call), 'version')));
      }
      await orKeptServing(other.row().loaded, () => other.reload());
      return other.row();
    }),
  ];
}

const reloadSummary = 'Load a model anew; the loaded one serves until the new one answers, and goes on when that fails.';

async function orKeptServing<Value>(wasLoaded: boolean, reload: () => Promise<Value>): Promise<Value> {
  try {
    return await reload();
  } catch (thrown) {
    const error = toServerError(thrown);
    if (!wasLoaded) throw error;
    throw new ServerError(error.code, `${error.message} The loaded model goes on serving.`, { cause: thrown });
  }
}

/** Undefined for a tensor model, and for a name that nothing has: the registry of tensor models then says so. */
function otherModel(models: TensorRegistry, others: OtherModels, name: string): OtherModel | undefined {
  try {
    models.find(name, 'version');
    return undefined;
  } catch (error) {
    if (error instanceof ServerError && error.code === 'MODEL_NOT_FOUND') return others.find(name);
    throw error;
  }
}

/** A GET: nothing to read but the path. */
function ask(
  name: string,
  path: string,
  summary: string,
  responseSchema: TSchema,
  run: (call: Call) => object,
): AnyOperation {
  return {
    name,
    method: 'GET',
    path,
    summary,
    group: tensorGroup,
    scope: 'infer',
    responseSchema,
    decode: () => undefined,
    run: (_input: undefined, call: Call) => run(call),
    encode: (body: object) => jsonReply(200, body),
    encodeError: detailError,
  };
}

/**
 * Changes what the server holds in memory: not for every client. Takes no body; one that comes is ignored. A client
 * that accepts events hears that it goes on.
 */
function order(name: string, path: string, summary: string, run: (call: Call) => Promise<object>): AnyOperation {
  return {
    ...ask(name, path, summary, ModelResponse, run),
    method: 'POST',
    scope: 'admin',
    binaryTypes: [sseContentType, ndjsonContentType],
    streams: {
      wanted: (_input, call) => acceptsEvents(call),
      // loading, unloading, reloading
      events: (_input, call) => progressEvents(() => run(call), `${name.split('.').at(-1)}ing`),
    },
  };
}

/** The model that the path names. */
export function wanted({ parameters }: Call): string {
  const { organization, name } = parameters;
  if (organization !== undefined) return `${organization}/${name}`;
  return parameters['version'] ?? parameters['*'] ?? '';
}
