// Answers item by item from the real server: the same vectors as in one piece, over events, lines and WebSocket.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import WebSocket from 'ws';
import { tinyBertDirectory } from '../support/fixtures.ts';
import { socketProtocol } from '../../src/transport/websocket.ts';
import { startServerProcess } from '../support/server-process.ts';

const texts = Array.from({ length: 300 }, (_, i) => `${'word '.repeat(i % 12)}number ${i}`);

type Item = Record<string, any> & { index: number };

function events(text: string): { event: string; data: any }[] {
  return text.split('\n\n').filter((part) => part !== '' && part !== ':').map((part) => {
    const [, event, data] = /^event: (\w+)\ndata: (.*)$/s.exec(part)!;
    return { event: event!, data: JSON.parse(data!) };
  });
}

const byIndex = (items: readonly Item[]): Item[] => [...items].sort((one, other) => one.index - other.index);

test('streamed answers', async (t) => {
  const server = await startServerProcess(t, { MODEL_PATH: tinyBertDirectory, MAX_BATCH_SIZE: '300', API_KEY: 'a-key-of-16-and-more' });
  const headers = { authorization: 'Bearer a-key-of-16-and-more' };
  const post = (path: string, body: unknown, accept = '*/*') => {
    return fetch(server.url + path, { method: 'POST', headers: { ...headers, accept }, body: JSON.stringify(body) });
  };
  const whole = (await (await post('/v1/embeddings', { model: 'tiny-bert', input: texts })).json()) as any;
  const vectors = whole.data.map(({ embedding }: { embedding: number[] }) => embedding);

  await t.test('POST /v1/embeddings as server-sent events', async () => {
    const answered = await post('/v1/embeddings', { model: 'tiny-bert', input: texts, stream: true });
    assert.equal(answered.headers.get('content-type'), 'text/event-stream; charset=utf-8');
    const all = events(await answered.text());
    const items = all.slice(0, -1).map(({ data }) => data as Item);
    assert.deepEqual(byIndex(items).map(({ embedding }) => embedding), vectors);
    const { event, data } = all.at(-1)!;
    assert.equal(event, 'summary');
    assert.deepEqual([data.object, data.model, data.count, data.usage], ['list', 'tiny-bert', 300, whole.usage]);
  });

  await t.test('POST /embed/batch as lines of JSON, chosen by Accept', async () => {
    const answered = await post('/embed/batch', { model_name: 'tiny-bert', texts }, 'application/x-ndjson');
    const lines = (await answered.text()).trimEnd().split('\n').map((line) => JSON.parse(line) as Item);
    assert.deepEqual(byIndex(lines.filter(({ event }) => event === 'item')).map(({ embedding }) => embedding), vectors);
    const end = lines.at(-1)!;
    assert.deepEqual([end['event'], end['model_name'], end['dimension']], ['summary', 'tiny-bert', 16]);
  });

  await t.test('base64 and raw vectors as text', async () => {
    const format = { model: 'tiny-bert', input: texts[0], stream: true };
    const [first] = events(await (await post('/v1/embeddings', { ...format, encoding_format: 'base64' })).text());
    const [raw] = events(await (await post('/v1/embeddings', { ...format, encoding_format: 'bytes' })).text());
    assert.equal(first!.data.embedding, raw!.data.data);
    assert.deepEqual([...new Float32Array(Uint8Array.from(Buffer.from(raw!.data.data, 'base64')).buffer)].map(Math.fround), vectors[0].map(Math.fround));
  });

  await t.test('what cannot begin has its status, in the shape of its surface', async () => {
    const answered = await post('/v1/embeddings', { model: 'none', input: texts, stream: true });
    assert.equal(answered.status, 404);
    assert.equal(((await answered.json()) as any).error.code, 'model_not_found');
    assert.equal((await post('/v1/embeddings', { model: 'tiny-bert', input: 'x', stream: 'yes' })).status, 400);
  });

  await t.test('a batch of inferences, with one that fails in its place', async () => {
    const good = { lidar: [1, 2], imu: [1, 2, 3, 4, 5, 6] };
    const answered = await post('/models/1.0/inference/batch', { requests: [good, { imu: [1] }, 7, good], stream: true });
    const all = events(await answered.text());
    const items = byIndex(all.slice(0, -1).map(({ data }) => data as Item));
    assert.deepEqual(items.map(({ error }) => error?.code), [undefined, 'REQUEST_INVALID', 'REQUEST_INVALID', undefined]);
    assert.equal(items[0]!['version'], '1.0');
    const { count, succeeded, failed } = all.at(-1)!.data;
    assert.deepEqual([count, succeeded, failed], [4, 2, 2]);
  });

  await t.test('the load of a model tells that it goes on', async () => {
    assert.equal((await post('/models/1.1/unload', undefined)).status, 200);
    const all = events(await (await post('/models/1.1/load', undefined, 'text/event-stream')).text());
    assert.deepEqual(all.map(({ event, data }) => [event, data.status]), [['progress', 'loading'], ['summary', 'ready']]);
    assert.equal((await post('/models/9.9/load', undefined, 'text/event-stream')).status, 404);
  });

  await t.test('GET /v1/stream without an upgrade says what it is for', async () => {
    const answered = await fetch(`${server.url}/v1/stream`, { headers });
    assert.equal(answered.status, 426);
    assert.equal(answered.headers.get('upgrade'), 'websocket');
    assert.deepEqual(await answered.json(), {
      status_code: 426, code: 'UPGRADE_REQUIRED', detail: "This path is for WebSocket: the request lacks 'Upgrade: websocket'.",
    });
    assert.equal((await fetch(`${server.url}/v1/stream`)).status, 401);
  });

  await t.test('the upgrade is described with its headers, key, answer and errors', async () => {
    const described = ((await (await fetch(`${server.url}/openapi.json`)).json()) as any).paths['/v1/stream'].get;
    assert.deepEqual(described.parameters.map((each: any) => [each.in, each.name, each.required]), [
      ['header', 'Upgrade', true], ['header', 'Sec-WebSocket-Protocol', false], ['header', 'Origin', false],
    ]);
    assert.ok(described.parameters[1].description.includes(socketProtocol));
    assert.deepEqual(described.security, [{ bearer: ['infer'] }, { header: ['infer'] }]);
    for (const status of ['101', '401', '403', '426', '503']) assert.ok(status in described.responses, status);
    assert.ok(!('200' in described.responses));
    assert.equal(described.responses['101'].headers.Upgrade.schema.const, 'websocket');
  });

  await t.test('the same vectors over WebSocket, and the end of the server', async () => {
    const socket = new WebSocket(`${server.url.replace('http', 'ws')}/v1/stream`, { headers });
    const messages: Item[] = [];
    socket.on('message', (bytes: Buffer) => messages.push(JSON.parse(bytes.toString()) as Item));
    await new Promise((resolve) => socket.once('open', resolve));
    socket.send(JSON.stringify({ id: 'e', op: 'embed', body: { model: 'tiny-bert', input: texts } }));
    socket.send(JSON.stringify({ id: 'm', op: 'models.model', params: { version: '1.0' } }));
    socket.send(JSON.stringify({ id: 't', op: 'tei.embed', body: { inputs: texts[0] } }));
    while (!['e', 'm', 't'].every((id) => messages.some((each) => each['id'] === id && /summary|result/.test(each['type'])))) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const items = messages.filter(({ id, type }) => id === 'e' && type === 'item');
    assert.deepEqual(byIndex(items).map(({ embedding }) => embedding), vectors);
    assert.equal(messages.find(({ id }) => id === 't')!['body'][0].length, 16);
    assert.match(await (await fetch(`${server.url}/metrics`, { headers })).text(), /^ortserve_websocket_connections 1$/m);
    const closed = new Promise<number>((resolve) => socket.once('close', resolve));
    const { code } = await server.stop();
    assert.deepEqual([await closed, code], [1001, 0]);
  });
});
