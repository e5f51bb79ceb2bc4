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
  /** Where a group's clients expect another status than the table's. */
  readonly errorStatuses?: Readonly<Record<string, Partial<Record<ErrorCode, number>>>>;
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
    components: { ...components.toJson(), securitySchemes },
  };
}

/** A key is sent in one of these ways; access/ reads them. */
const securitySchemes = {
  bearer: { type: 'http', scheme: 'bearer', description: 'An API key, where the server has any.' },
  header: { type: 'apiKey', in: 'header', name: 'x-api-key' },
};

/** What a key must allow, as role names; nothing for what is open to all. */
function security(same: readonly AnyOperation[]): JsonObject[] {
  const scopes = [...new Set(same.map(({ scope }) => scope))].filter((scope) => scope !== 'public');
  return scopes.length === 0 ? [] : Object.keys(securitySchemes).map((scheme) => ({ [scheme]: scopes }));
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
  const parameters: JsonObject[] = names.map((name, index) => ({
    name, in: 'path', required: true, schema: { type: 'string', minLength: 1 },
    ...(rest && index === names.length - 1 ? { description: 'May contain slashes, as they are or as %2F.' } : {}),
  }));
  parameters.push(...same.flatMap(({ querySchema, headerSchema }) => [
    ...fieldParameters('query', querySchema, components), ...fieldParameters('header', headerSchema, components),
  ]));
  const bodies = same.flatMap(({ requestSchema }) => (
    requestSchema === undefined ? [] : [components.schema(requestSchema)]));
  const otherBodies = same.flatMap(({ requestTypes = {} }) => Object.entries(requestTypes));
  return {
    tags: [...new Set(same.map(({ group }) => group))],
    summary: [...new Set(same.map(({ summary }) => summary))].join(' / '),
    security: security(same),
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(bodies.length > 0 ? { requestBody: requestBody(bodies, bodies.length === same.length) } : {}),
    ...(otherBodies.length > 0 ? { requestBody: typedBody(otherBodies, components) } : {}),
    responses: { ...goodResponse(same, components), ...otherResponses(same), ...errorResponses(same, info, components) },
  };
}

/** An object's fields, one parameter each. */
function fieldParameters(place: 'query' | 'header', schema: TSchema | undefined, components: Components): JsonObject[] {
  const { properties = {}, required = [] } = (schema ?? {}) as { properties?: Record<string, TSchema>; required?: string[] };
  return Object.entries(properties).map(([name, property]) => {
    const { description, ...written } = components.schema(property);
    return { name, in: place, required: required.includes(name), ...(description !== undefined && { description }), schema: written };
  });
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

function typedBody(bodies: readonly (readonly [string, TSchema])[], components: Components): JsonObject {
  return { required: true, content: Object.fromEntries(bodies.map(([type, schema]) => [type, { schema: components.schema(schema) }])) };
}

function otherResponses(same: readonly AnyOperation[]): JsonObject {
  const answers = same.flatMap(({ otherStatuses = {} }) => Object.entries(otherStatuses));
  return Object.fromEntries(answers.map(([status, description]) => [status, { description }]));
}

function goodResponse(same: readonly AnyOperation[], components: Components): JsonObject {
  const upgrade = same.find((operation) => operation.upgrade !== undefined)?.upgrade;
  if (upgrade === undefined) return { [same[0]?.goodStatus ?? 200]: okResponse(same, components) };
  return { 101: { description: upgrade.description, headers: { Upgrade: { schema: { const: upgrade.protocol } } } } };
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
  const responses: Record<string, JsonObject> = {};
  const others = Object.assign({}, ...same.map(({ otherAnswers }) => otherAnswers ?? {})) as Record<string, TSchema>;
  for (const [status, { groups, codes }] of errorsByStatus(same.map(({ group }) => group), info)) {
    const other = others[status];
    const make = () => {
      const schemas = [...groups].map((group) => errorSchema(group, info, components));
      return {
        description: [...codes].map((code) => `\`${code}\`: ${errorTable[code].message}`).join('\n\n'),
        ...([...codes].some((code) => errorTable[code].retry) ? { headers: retryAfter } : {}),
        content: { 'application/json': { schema: alternatives(other === undefined ? schemas : [components.schema(other), ...schemas]) } },
      };
    };
    responses[status] = other === undefined ? components.response(`${[...groups].join('-')}-${status}`, make) : make();
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

type Errors = { readonly groups: Set<string>; readonly codes: Set<ErrorCode> };

/** Which errors come with each status: the groups of one path may differ in that. */
function errorsByStatus(groups: readonly string[], info: ApiInfo): ReadonlyMap<string, Errors> {
  const byStatus = new Map<string, Errors>();
  for (const group of groups) {
    for (const code of Object.keys(errorTable) as ErrorCode[]) {
      // Whoever cancelled reads no answer.
      if (code === 'CANCELLED') continue;
      const status = String(info.errorStatuses?.[group]?.[code] ?? errorTable[code].http);
      const errors = byStatus.get(status) ?? { groups: new Set(), codes: new Set() };
      byStatus.set(status, errors);
      errors.groups.add(group);
      errors.codes.add(code);
    }
  }
  return byStatus;
}
