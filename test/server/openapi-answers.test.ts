// What the server answers is what /openapi.json says that it answers, and what may be asked for stands there, too.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Compile } from 'typebox/compile';
import { tinyBertDirectory } from '../support/fixtures.ts';
import { startServerProcess } from '../support/server-process.ts';

type Json = Record<string, any>;
/** Method, path as it is described, the path asked for where it is another one, and a body. */
type Line = readonly [method: string, described: string, path?: string | undefined, body?: object];

test('answers match their descriptions', async (t) => {
  const server = await startServerProcess(t, { MODEL_PATH: tinyBertDirectory });
  const document = (await (await fetch(`${server.url}/openapi.json`)).json()) as Json;
  const resolved = (part: any): any => {
    if (typeof part !== 'object' || part === null) return part;
    if (typeof part.$ref === 'string') return resolved(part.$ref.slice(2).split('/').reduce((at: Json, key: string) => at[key], document));
    if (Array.isArray(part)) return part.map(resolved);
    return Object.fromEntries(Object.entries(part).map(([key, value]) => [key, resolved(value)]));
  };
  const ask = async ([method, described, path = described, body]: Line): Promise<Json> => {
    const answer = await fetch(server.url + path, { method, ...(body && { body: JSON.stringify(body) }) });
    const json = (await answer.json()) as Json;
    const { content } = resolved(document.paths[described][method.toLowerCase()].responses[answer.status] ?? {}) as Json;
    const schema = content?.['application/json']?.schema;
    assert.ok(schema, `${method} ${described} does not say that it answers ${answer.status}`);
    assert.deepEqual(Compile(schema).Errors(json), [], `${method} ${path}: ${JSON.stringify(json)}`);
    return json;
  };
  const question = { query: 'What is a tensor?', response: 'An array.', tags: ['faq'] };
  const inference = { imu: [1, 2, 3, 4, 5, 6] };
  const lines: readonly Line[] = [
    ['GET', '/'], ['GET', '/health'], ['GET', '/livez'], ['GET', '/readyz'], ['GET', '/stats'], ['GET', '/v1/models'], ['GET', '/models'], ['GET', '/models/{version}', '/models/tiny-bert'],
    ['GET', '/models/{version}', '/models/1.0'], ['POST', '/models/{version}/load', '/models/tiny-bert/load'],
    ['POST', '/v1/embeddings', undefined, { model: 'tiny-bert', input: ['one', 'word '.repeat(600)] }],
    ['POST', '/embed', undefined, { inputs: 'one' }], ['POST', '/embed', undefined, { model_name: 'tiny-bert', text: 'one' }],
    ['POST', '/models/{version}/inference', '/models/1.0/inference', inference],
    ['POST', '/models/{version}/inference/batch', '/models/1.0/inference/batch', { requests: [inference, 1] }],
    ['POST', '/models/compare', undefined, { versions: ['1.0', '1.1'], test_data: inference, runs: 1 }],
    ['GET', '/models/{version}/stats', '/models/1.0/stats'], ['GET', '/inference/history'],
    ['GET', '/v2/models/{model}', '/v2/models/tiny-bert'], ['GET', '/v2/models/{model}/config', '/v2/models/tiny-bert/config'],
    ['GET', '/v2/models/{model}/stats', '/v2/models/compressor/stats'], ['POST', '/v2/repository/index'],
    ['POST', '/query', undefined, { query: question.query }], ['GET', '/cache/stats'], ['GET', '/embeddings/health'],
    ['GET', '/embeddings/cache/stats'], ['POST', '/embeddings/compute', undefined, { sequences: ['MKT'] }],
  ];
  for (const line of lines) await ask(line);
  const { id } = await ask(['POST', '/cache/entries', undefined, question]);
  for (const line of [
    ['GET', '/cache/entries'], ['GET', '/cache/entries/{id}', `/cache/entries/${id}`],
    ['POST', '/cache/entries/{id}/feedback', `/cache/entries/${id}/feedback`, { wrong: true }], ['DELETE', '/cache/entries/{id}', `/cache/entries/${id}`],
    ['DELETE', '/cache/entries', '/cache/entries?all=true'],
  ] as const) await ask(line);

  await t.test('what may stand in a query is described', () => {
    for (const [method, path, names] of [
      ['get', '/cache/entries', ['namespace', 'tag', 'limit', 'offset']], ['delete', '/cache/entries', ['namespace', 'tag', 'older_than', 'all']],
      ['get', '/cache/dump', ['namespace']], ['post', '/cache/load', ['namespace']], ['get', '/cache/stats', ['namespace']],
      ['post', '/models/upload', ['version', 'name', 'manifest', 'sha256']], ['put', '/models/{version}', ['name', 'manifest', 'sha256']],
    ] as const) {
      const parameters = (document.paths[path][method].parameters ?? []) as Json[];
      assert.deepEqual(parameters.filter((each) => each.in === 'query').map(({ name }) => name), names, `${method} ${path}`);
    }
  });
});
