import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ServerError } from '../src/errors.ts';
import { createLog, cut, describeError, requestLog } from '../src/log.ts';
import type { Log } from '../src/log.ts';
import { Call } from '../src/operation.ts';
import type { AnyOperation, Reply } from '../src/operation.ts';

type LoggedError = { readonly message?: string; readonly cause?: LoggedError };
type Line = Record<string, unknown> & { readonly err?: LoggedError };

function memoryLog(logLevel: 'debug' | 'info' | 'error'): { log: Log; lines: Line[] } {
  const lines: Line[] = [];
  return { log: createLog({ logLevel }, { write: (line) => void lines.push(JSON.parse(line)) }), lines };
}

const reply = (status: number): Reply => ({ status, contentType: 'application/json', body: '' });
const operation: AnyOperation = {
  name: 'test.echo', method: 'POST', path: '/echo', summary: '', scope: 'infer', group: 'test',
  decode: () => undefined, run: () => undefined, encode: () => reply(200), encodeError: () => reply(500),
};
const callOf = (change: Partial<AnyOperation> = {}): Call => (
  new Call({ requestId: 'id-1', operation: { ...operation, ...change }, timeoutMs: 1000 }));

describe('a line', () => {
  test('is JSON with the level as a word and the time as ISO 8601', () => {
    const { log, lines } = memoryLog('info');
    log.warn({ port: 1 }, 'listening');
    assert.deepEqual({ ...lines[0], time: undefined }, { level: 'warn', time: undefined, port: 1, msg: 'listening' });
    assert.match(String(lines[0]?.time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });

  test('masks credentials wherever they stand', () => {
    const { log, lines } = memoryLog('info');
    const headers = { authorization: 's' };
    log.info({ authorization: 's', headers, request: { headers: { cookie: 's' } }, config: { redisUrl: 's' } });
    assert.deepEqual(lines[0]?.authorization, '***');
    assert.deepEqual(lines[0]?.headers, { authorization: '***' });
    assert.deepEqual(lines[0]?.request, { headers: { cookie: '***' } });
    assert.deepEqual(lines[0]?.config, { redisUrl: '***' });
  });

  test('cuts long strings and stays one line', () => {
    const { log, lines } = memoryLog('info');
    log.info({ model: 'x'.repeat(100_000), other: 'a\nb' });
    assert.equal(String(lines[0]?.model).length, 257);
    assert.equal(lines[0]?.other, 'a\nb');
  });

  test('shows an error with its causes, bounded', () => {
    const { log, lines } = memoryLog('info');
    log.error({ err: new Error('outer', { cause: new TypeError('inner') }) });
    assert.equal(lines[0]?.err?.message, 'outer');
    assert.equal(lines[0]?.err?.cause?.message, 'inner');
    const loop = new Error('x'.repeat(10_000));
    loop.cause = loop;
    assert.ok(JSON.stringify(describeError(loop)).length < 30_000);
    assert.deepEqual(describeError('text'), { message: 'text' });
    assert.deepEqual(describeError(undefined), { message: 'undefined' });
  });
});

describe('the request log', () => {
  test('writes good requests at debug, with the stages they went through', () => {
    const { log, lines } = memoryLog('debug');
    const call = callOf();
    Object.assign(call.timings, { queueMs: 1.234, tokenizeMs: 0.5, inferenceMs: 9 });
    requestLog(log, () => call.startedMs + 12.345).ended(call, reply(200), undefined);
    assert.deepEqual({ ...lines[0], time: undefined }, {
      level: 'debug', time: undefined, req_id: 'id-1', op: 'test.echo', status: 200, dur_ms: 12.35,
      queue_ms: 1.23, tokenize_ms: 0.5, inference_ms: 9, msg: 'request',
    });
  });

  test('writes nothing at info for what went well, or what the client got wrong', () => {
    const { log, lines } = memoryLog('info');
    requestLog(log).ended(callOf(), reply(200), undefined);
    requestLog(log).ended(callOf(), reply(400), new ServerError('INPUT_EMPTY'));
    assert.deepEqual(lines, []);
  });

  test('writes slow requests at info', () => {
    const { log, lines } = memoryLog('info');
    const call = callOf();
    requestLog(log, () => call.startedMs + 1500).ended(call, reply(200), undefined);
    assert.equal(lines[0]?.level, 'info');
    assert.equal(lines[0]?.dur_ms, 1500);
  });

  test("writes the server's failures at error with the cause that the client does not see", () => {
    const { log, lines } = memoryLog('error');
    const bug = new TypeError('x is not a function');
    requestLog(log).ended(callOf(), reply(500), new ServerError('INTERNAL', undefined, { cause: bug }));
    assert.equal(lines[0]?.level, 'error');
    assert.equal(lines[0]?.code, 'INTERNAL');
    assert.equal(lines[0]?.err?.message, 'x is not a function');
  });

  test('writes a failure that comes after a good status, in the middle of a stream, at error, too', () => {
    const { log, lines } = memoryLog('info');
    const observer = requestLog(log);
    observer.ended(callOf(), reply(200), new ServerError('INTERNAL', undefined, { cause: new TypeError('x is not a function') }));
    observer.ended(callOf(), reply(200), new ServerError('CANCELLED'));
    assert.deepEqual(lines.map(({ level, code, err }) => [level, code, err?.message]), [['error', 'INTERNAL', 'x is not a function']]);
  });

  test('says which field a client got wrong', () => {
    const { log, lines } = memoryLog('debug');
    const error = new ServerError('INPUT_EMPTY', 'texts[3] is empty.', { field: 'texts[3]' });
    requestLog(log).ended(callOf(), reply(400), error);
    const { code, field, msg, err } = lines[0] ?? {};
    assert.deepEqual([code, field, msg, err], ['INPUT_EMPTY', 'texts[3]', 'texts[3] is empty.', undefined]);
  });

  test('does not call a probe that says "not ready" a failure', () => {
    const { log, lines } = memoryLog('info');
    requestLog(log).ended(callOf({ unlimited: true }), reply(503), new ServerError('MODEL_NOT_READY'));
    requestLog(log).ended(callOf({ unlimited: true }), reply(500), new ServerError('INTERNAL'));
    assert.deepEqual(lines.map(({ code }) => code), ['INTERNAL']);
  });

  test('writes at most ten lines of a kind in a second, and says how many it left out', () => {
    const { log, lines } = memoryLog('error');
    const call = callOf();
    let now = Math.ceil(call.startedMs / 1000) * 1000;
    const observer = requestLog(log, () => now);
    for (let i = 0; i < 25; i += 1) observer.ended(call, reply(503), new ServerError('OVERLOADED'));
    observer.ended(call, reply(500), new ServerError('INTERNAL'));
    assert.equal(lines.length, 11, 'another kind has its own budget');
    now += 1000;
    observer.ended(call, reply(503), new ServerError('OVERLOADED'));
    assert.equal(lines.at(-1)?.suppressed, 15);
    observer.ended(call, reply(503), new ServerError('OVERLOADED'));
    assert.equal(lines.at(-1)?.suppressed, undefined);
  });
});

test('cutting never leaves half a surrogate pair', () => {
  assert.equal(cut('abc', 3), 'abc');
  assert.equal(cut('abcd', 3), 'abc…');
  assert.equal(cut('ab😀d', 3), 'ab…');
  assert.ok(!/[\uD800-\uDBFF]…/.test(cut('x' + '😀'.repeat(100))));
});
