// The API description: OpenAPI 3.1 straight from the operations and their schemas. Pure.
// Invariant: every status that the error table knows is documented for every operation, with its group's shape.
import assert from 'node:assert/strict';
import type { TSchema } from 'typebox';
import { errorTable } from '../../errors.ts';
import type { ErrorCode } from '../../errors.ts';
import type { AnyOperation } from '../../operation.ts';
import { Components, alternatives } from './components.ts';
import type { JsonObject } from './components.ts';

export type ApiInfo = {
  readonly title: string;
  readonly version: string;
  /** Markdown. */
  readonly description?: string;
  /** How each group of operations writes an error; every group needs one. */
  readonly errorSchemas: Readonly<Record<string, TSchema>>;
};

/** The description as plain JSON. Operations on one method and path become one, with alternative bodies. */
export function openapiDocument(operations: readonly AnyOperation[], info: ApiInfo): JsonObject {
  const components = new Components();
  const paths: Record<string, JsonObject> = {};
  const ids = new Set<string>();
  const groups = new Set<string>();
  for (const { template, method, same } of byPathAndMethod(operations)) {
    const item = paths[template] ??= {};
    item[method] = { operationId: operationId(same, ids), ...operationObject(template, same, info, components) };
    for (const { group } of same) groups.add(group);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: info.title,
      version: info.version,
      ...(info.description === undefined ? {} : { description: info.description }),
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    tags: [...groups].map((name) => ({ name })),
    paths,
    components: components.toJson(),
  };
}

type Entry = { readonly template: string; readonly method: string; readonly same: AnyOperation[] };

function byPathAndMethod(operations: readonly AnyOperation[]): Iterable<Entry> {
  const templates = new Map<string, string>();
  const entries = new Map<string, Entry>();
  for (const operation of operations) {
    const written = templateOf(operation.path);
    // Templates that differ only in the names of their parameters are one path in OpenAPI.
    const shape = written.replace(/\{[^}]*\}/g, '{}');
    const template = templates.get(shape) ?? written;
    templates.set(shape, template);
    const method = operation.method.toLowerCase();
    const entry = entries.get(`${method} ${shape}`) ?? { template, method, same: [] };
    entry.same.push(...(operation.alternatives ?? [operation]));
    entries.set(`${method} ${shape}`, entry);
  }
  return entries.values();
}

/** `/models/:name/*` as `/models/{name}/{path}`; a closing `*` is called after the plural before it. */
function templateOf(path: string): string {
  const segments = path.split('/');
  const written = segments.map((segment, index) => {
    if (segment.startsWith(':')) return `{${segment.slice(1)}}`;
    if (segment !== '*') return segment;
    const before = segments[index - 1] ?? '';
    return /^[a-z]+s$/.test(before) ? `{${before.slice(0, -1)}}` : '{path}';
  });
  return written.join('/');
}

function operationObject(
  template: string, same: readonly AnyOperation[], info: ApiInfo, components: Components,
): JsonObject {
  const rest = same.some(({ path }) => path.endsWith('/*'));
  const names = [...template.matchAll(/\{([^}]*)\}/g)].map(([, name]) => name ?? '');
  const parameters = names.map((name, index) => ({
    name, in: 'path', required: true, schema: { type: 'string', minLength: 1 },
    ...(rest && index === names.length - 1 ? { description: 'May contain slashes, as they are or as %2F.' } : {}),
  }));
  const bodies = same.flatMap(({ requestSchema }) => (
    requestSchema === undefined ? [] : [components.schema(requestSchema)]));
  return {
    tags: [...new Set(same.map(({ group }) => group))],
    summary: [...new Set(same.map(({ summary }) => summary))].join(' / '),
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(bodies.length > 0 ? { requestBody: requestBody(bodies, bodies.length === same.length) } : {}),
    responses: { 200: okResponse(same, components), ...errorResponses(same, info, components) },
  };
}

/** The operation's name; an alias on another path gets a number, because ids are unique. */
function operationId([first]: readonly AnyOperation[], taken: Set<string>): string {
  assert(first !== undefined);
  let id = first.name;
  for (let count = 2; taken.has(id); count += 1) id = `${first.name}-${count}`;
  taken.add(id);
  return id;
}

function requestBody(bodies: readonly JsonObject[], required: boolean): JsonObject {
  return { required, content: { 'application/json': { schema: alternatives(bodies) } } };
}

function okResponse(same: readonly AnyOperation[], components: Components): JsonObject {
  const schemas = same.flatMap(({ responseSchema }) => (
    responseSchema === undefined ? [] : [components.schema(responseSchema)]));
  const content: Record<string, JsonObject> = {};
  if (schemas.length > 0) content['application/json'] = { schema: alternatives(schemas) };
  for (const type of same.flatMap(({ binaryTypes }) => binaryTypes ?? [])) {
    // OpenAPI 3.1 describes raw bytes by a media type without a schema.
    content[type] ??= type.startsWith('text/') ? { schema: { type: 'string' } } : {};
  }
  return { description: 'The answer.', ...(Object.keys(content).length > 0 ? { content } : {}) };
}

function errorResponses(same: readonly AnyOperation[], info: ApiInfo, components: Components): JsonObject {
  const groups = [...new Set(same.map(({ group }) => group))];
  const responses: Record<string, JsonObject> = {};
  for (const [status, codes] of codesByStatus()) {
    responses[status] = components.response(`${groups.join('-')}-${status}`, () => {
      const schema = alternatives(groups.map((group) => errorSchema(group, info, components)));
      return {
        description: codes.map((code) => `\`${code}\`: ${errorTable[code].message}`).join('\n\n'),
        ...(codes.some((code) => errorTable[code].retry) ? { headers: retryAfter } : {}),
        content: { 'application/json': { schema } },
      };
    });
  }
  return responses;
}

const retryAfter = {
  'Retry-After': {
    description: 'Seconds after which the same request may succeed.', schema: { type: 'integer', minimum: 0 },
  },
};

function errorSchema(group: string, info: ApiInfo, components: Components): JsonObject {
  const schema = Object.hasOwn(info.errorSchemas, group) ? info.errorSchemas[group] : undefined;
  assert(schema !== undefined, `The group ${group} has no error schema.`);
  return components.schema(schema, `${group}-error`);
}

function codesByStatus(): ReadonlyMap<string, readonly ErrorCode[]> {
  const byStatus = new Map<string, ErrorCode[]>();
  const codes = Object.keys(errorTable) as ErrorCode[];
  for (const code of codes.sort((left, right) => errorTable[left].http - errorTable[right].http)) {
    // Whoever cancelled reads no answer.
    if (code === 'CANCELLED') continue;
    const status = String(errorTable[code].http);
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return byStatus;
}
