import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import Type from 'typebox';
import { Validator } from '@seriousme/openapi-schema-validator';
import { errorTable } from '../../../src/errors.ts';
import type { AnyOperation } from '../../../src/operation.ts';
import { openapiDocument } from '../../../src/surface/docs/openapi.ts';
import type { ApiInfo } from '../../../src/surface/docs/openapi.ts';

type Media = { readonly schema?: Readonly<Record<string, unknown>> };
type Content = Readonly<Record<string, Media>>;
type Described = {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly required: boolean }[];
  readonly requestBody?: { readonly required: boolean; readonly content: Content };
  readonly responses: Readonly<Record<string, { readonly $ref?: string; readonly content?: Content }>>;
};
type Document = {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
    readonly responses: Readonly<Record<string, { readonly headers?: object; readonly content: Content }>>;
  };
};

const info: ApiInfo = {
  title: 'test', version: '1.2.3',
  errorSchemas: { One: Type.Object({ detail: Type.String() }), Two: Type.Object({ error: Type.String() }) },
};

function operationOf(change: Partial<AnyOperation>): AnyOperation {
  return {
    name: 'test.operation', method: 'POST', path: '/path', summary: 'Does it.', scope: 'public', group: 'One',
    decode: () => undefined, run: () => undefined, encode: () => assert.fail(), encodeError: () => assert.fail(),
    ...change,
  };
}

const describeAll = (...changes: readonly Partial<AnyOperation>[]): Document => (
  openapiDocument(changes.map(operationOf), info) as unknown as Document);

function onlyOperation(document: Document): Described {
  const operations = Object.values(document.paths).flatMap((item) => Object.values(item));
  assert.equal(operations.length, 1);
  return operations[0]!;
}

describe('paths', () => {
  test('a named segment and a closing wildcard become path parameters', () => {
    const written = ['/models/:version/stats', '/v1/models/*', '/files/:bucket/*'];
    const { paths } = describeAll(...written.map((path) => ({ path, method: 'GET' }) as const));
    assert.deepEqual(Object.keys(paths), ['/models/{version}/stats', '/v1/models/{model}', '/files/{bucket}/{path}']);
    for (const [path, item] of Object.entries(paths)) {
      const names = item.get?.parameters?.map(({ name }) => name) ?? [];
      assert.deepEqual(names.map((name) => `{${name}}`), path.match(/\{\w+\}/g));
      assert.ok(item.get?.parameters?.every((parameter) => parameter.in === 'path' && parameter.required));
    }
  });

  test('paths that differ only in the names of parameters are one', () => {
    const { paths } = describeAll({ path: '/models/:name', method: 'GET' }, { path: '/models/*', method: 'DELETE' });
    assert.deepEqual(Object.keys(paths), ['/models/{name}']);
    assert.equal(paths['/models/{name}']?.delete?.parameters?.[0]?.name, 'name');
  });

  test('an alias on another path gets an id of its own', () => {
    const { paths } = describeAll({ path: '/v1/embeddings' }, { path: '/embeddings' });
    const ids = Object.values(paths).map((item) => item.post?.operationId);
    assert.deepEqual(ids, ['test.operation', 'test.operation-2']);
  });
});

describe('bodies', () => {
  const vector = Type.Array(Type.Number());
  const one = {
    name: 'a', requestSchema: Type.Object({ text: Type.String() }), responseSchema: Type.Object({ vector }),
  };
  const two = {
    name: 'b', group: 'Two', requestSchema: Type.Object({ inputs: Type.String() }), responseSchema: vector,
  };
  const schemaIn = (content: Content | undefined) => content?.['application/json']?.schema;
  const plain = (schema: object): unknown => JSON.parse(JSON.stringify(schema));

  test('a body and an answer are the schemas of the operation', () => {
    const { requestBody, responses } = onlyOperation(describeAll(one));
    assert.equal(requestBody?.required, true);
    assert.deepEqual(schemaIn(requestBody.content), plain(one.requestSchema));
    assert.deepEqual(schemaIn(responses['200']?.content), plain(one.responseSchema));
  });

  test('two operations on one method and path are alternatives', () => {
    const merged = onlyOperation(describeAll(one, two));
    assert.deepEqual(merged.tags, ['One', 'Two']);
    const bodies = [plain(one.requestSchema), plain(two.requestSchema)];
    assert.deepEqual(schemaIn(merged.requestBody?.content), { anyOf: bodies });
    const answers = [plain(one.responseSchema), plain(two.responseSchema)];
    assert.deepEqual(schemaIn(merged.responses['200']?.content), { anyOf: answers });
  });

  test('an operation that chooses is described by those it chooses among', () => {
    const choosing = operationOf({ name: 'choice', alternatives: [operationOf(one), operationOf(two)] });
    assert.deepEqual(describeAll(choosing), describeAll(one, two));
  });

  test('alternatives with the same schema need no anyOf', () => {
    const { requestBody } = onlyOperation(describeAll(one, { ...one, name: 'c' }));
    assert.deepEqual(schemaIn(requestBody?.content), plain(one.requestSchema));
  });

  test('bodies of other types, and answers without JSON, are told by type and status', () => {
    const requestTypes = { 'multipart/form-data': Type.Object({ file: Type.String() }), 'application/octet-stream': Type.String() };
    const { requestBody, responses } = onlyOperation(describeAll({ requestTypes, otherStatuses: { 206: 'A part of it.' } }));
    assert.deepEqual(Object.keys(requestBody?.content ?? {}), Object.keys(requestTypes));
    assert.deepEqual(requestBody?.content['multipart/form-data']?.schema, plain(requestTypes['multipart/form-data']));
    assert.deepEqual(responses['206'], { description: 'A part of it.' });
  });

  test('other media types stand beside JSON', () => {
    const described = onlyOperation(describeAll({ ...one, binaryTypes: ['application/octet-stream', 'text/html'] }));
    const content = described.responses['200']?.content;
    assert.deepEqual(Object.keys(content ?? {}), ['application/json', 'application/octet-stream', 'text/html']);
    assert.deepEqual(content?.['application/octet-stream'], {});
    assert.deepEqual(content?.['text/html'], { schema: { type: 'string' } });
  });
});

test('an operation names the scope that a key needs', () => {
  const securityOf = (scope: AnyOperation['scope']) => (onlyOperation(describeAll({ scope })) as { security?: unknown }).security;
  assert.deepEqual(securityOf('public'), []);
  assert.deepEqual(securityOf('admin'), [{ bearer: ['admin'] }, { header: ['admin'] }]);
});

test('query parameters are the fields of their schema', () => {
  const querySchema = Type.Object({ limit: Type.Optional(Type.Integer({ minimum: 1, description: 'Rows.' })), of: Type.String() });
  const { parameters } = onlyOperation(describeAll({ path: '/rows/:id', method: 'GET', querySchema }));
  assert.deepEqual(JSON.parse(JSON.stringify(parameters)), [
    { name: 'id', in: 'path', required: true, schema: { type: 'string', minLength: 1 } },
    { name: 'limit', in: 'query', required: false, description: 'Rows.', schema: { type: 'integer', minimum: 1 } },
    { name: 'of', in: 'query', required: true, schema: { type: 'string' } },
  ]);
});

describe('errors', () => {
  test('a group may have other statuses, on a path that it shares, too', () => {
    const errorStatuses = { Two: { REQUEST_INVALID: 422, INPUT_TOO_LONG: 413 } } as const;
    const operations = [{ name: 'a' }, { name: 'b', group: 'Two' }].map(operationOf);
    const document = openapiDocument(operations, { ...info, errorStatuses }) as unknown as Document;
    const schemaOf = (status: string) => {
      const key = onlyOperation(document).responses[status]?.$ref?.split('/').at(-1);
      return JSON.stringify(document.components.responses[key ?? '']?.content);
    };
    assert.ok(schemaOf('422').includes('Two-error') && !schemaOf('422').includes('One-error'));
    for (const status of ['400', '413']) assert.ok(schemaOf(status).includes('One-error') && schemaOf(status).includes('Two-error'));
  });

  test('an answer that is no error stands beside those of its status', () => {
    const described = onlyOperation(describeAll({ otherAnswers: { 503: Type.Object({ status: Type.String() }) } }));
    const schema = described.responses['503']?.content?.['application/json']?.schema as { anyOf: { properties?: object }[] };
    assert.deepEqual(schema.anyOf.map(({ properties }) => Object.keys(properties ?? {})), [['status'], []]);
  });

  test('every operation documents every status a client can get, with the shape of its group', () => {
    const document = describeAll({ path: '/one' }, { path: '/two', group: 'Two', name: 'two' });
    const reachable = Object.entries(errorTable).filter(([code]) => code !== 'CANCELLED');
    const statuses = new Set(reachable.map(([, { http }]) => String(http)));
    for (const [path, item] of Object.entries(document.paths)) {
      const group = path === '/one' ? 'One' : 'Two';
      assert.deepEqual(new Set(Object.keys(item.post?.responses ?? {})), new Set(['200', ...statuses]));
      for (const status of statuses) {
        const reference = item.post?.responses[status]?.$ref ?? '';
        const response = document.components.responses[reference.split('/').at(-1) ?? ''];
        const schema = response?.content['application/json']?.schema;
        assert.deepEqual(schema, { $ref: `#/components/schemas/${group}-error` });
      }
    }
    assert.ok('detail' in (document.components.schemas['One-error']?.properties as object));
  });

  test('only statuses that may pass on a retry have Retry-After', () => {
    const { responses } = describeAll({}).components;
    assert.deepEqual(Object.keys(responses['One-429']?.headers ?? {}), ['Retry-After']);
    assert.equal(responses['One-400']?.headers, undefined);
  });

  test('a group without an error schema is a mistake of ours', () => {
    assert.throws(() => describeAll({ group: 'constructor' }), /group constructor has no error schema/);
  });
});

describe('schemas', () => {
  const responseOf = (responseSchema: Type.TSchema): unknown => (
    onlyOperation(describeAll({ responseSchema })).responses['200']?.content?.['application/json']?.schema);

  test('a schema with an $id stands once in the document', () => {
    const vector = Type.Array(Type.Number(), { $id: 'Vector' });
    const first = { path: '/a', responseSchema: vector };
    const document = describeAll(first, { path: '/b', responseSchema: Type.Object({ vector }) });
    assert.deepEqual(document.components.schemas.Vector, { type: 'array', items: { type: 'number' } });
    assert.equal(JSON.stringify(document).split('#/components/schemas/Vector').length, 3);
    const other = Type.String({ $id: 'Vector' });
    assert.throws(() => describeAll(first, { path: '/b', responseSchema: other }), /called Vector/);
  });

  test('tuples are written as JSON Schema 2020-12 has them', () => {
    const schema = Type.Object({ pair: Type.Tuple([Type.String(), Type.Number()]) });
    assert.deepEqual((responseOf(schema) as { properties: object }).properties, {
      pair: { type: 'array', prefixItems: [{ type: 'string' }, { type: 'number' }], items: false, minItems: 2 },
    });
  });

  test('fields that are called like keywords and values that look like schemas stay as they are', () => {
    const schema = Type.Object({ items: Type.String(), default: Type.Integer() }, { default: { items: ['x'] } });
    assert.deepEqual(responseOf(schema), JSON.parse(JSON.stringify(schema)));
  });
});

test('the document is valid OpenAPI 3.1', async () => {
  const document = openapiDocument([
    { name: 'a', path: '/embed', requestSchema: Type.Object({ text: Type.String({ minLength: 1 }) }) },
    { name: 'b', path: '/embed', group: 'Two', requestSchema: Type.Object({ inputs: Type.Tuple([Type.Null()]) }) },
    { name: 'c', path: '/map/:name/*', method: 'GET' as const, responseSchema: Type.Record(Type.String(), Type.Any()) },
    { name: 'e', path: '/rows', method: 'GET' as const, querySchema: Type.Object({ limit: Type.Optional(Type.Integer()) }), otherAnswers: { 503: Type.Null() } },
    { name: 'd', path: '/bytes', responseSchema: Type.Number({ $id: 'N' }), binaryTypes: ['application/octet-stream'] },
  ].map(operationOf), { ...info, description: 'All of it.' });
  assert.deepEqual(await new Validator().validate(document), { valid: true });
});
