// The table of paths, without a socket.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorTable, ServerError } from '../../src/errors.ts';
import { Call } from '../../src/operation.ts';
import type { ErrorShape } from '../../src/transport/routes.ts';
import { Refusals, Route, routesOf } from '../../src/transport/routes.ts';
import { json, operation } from './support.ts';

test('A segment is one parameter and a closing star takes the rest', () => {
  const route = new Route('/models/:version/files/*');
  assert.deepEqual(route.match('/models/v1/files/a/b%20c'), { version: 'v1', '*': 'a/b c' });
  assert.equal(route.match('/models/v1/files/'), 'missing');
  assert.equal(route.match('/models/%00/files/a'), 'malformed');
  assert.deepEqual(new Route('/plain').match('/plain'), {});
});

test('A parameter is decoded once', () => {
  const route = new Route('/:name');
  assert.deepEqual(route.match('/a%252Fb'), { name: 'a%2Fb' });
  assert.deepEqual(route.match('/a%2Fb'), { name: 'a/b' });
  const malformed = ['/%', '/%zz', '/%c3', '/%ff', '/%0a', '/%7f', '/\ufffd'];
  for (const path of malformed) assert.equal(route.match(path), 'malformed', path);
});

test('Names that objects have of their own are only names', () => {
  const route = new Route('/:name');
  for (const name of ['__proto__', 'constructor', 'hasOwnProperty']) {
    assert.deepEqual(route.match(`/${name}`), { name });
  }
});

test('A star elsewhere than at the end is no pattern', () => {
  assert.throws(() => new Route('/a/*/b'), /no path pattern/);
  assert.throws(() => new Route('a'), /no path pattern/);
});

test('Operations on one path are one route, and two that want the same are a mistake', () => {
  const get = operation('GET', '/a', () => 1);
  const post = operation('POST', '/a', () => 1);
  const routes = routesOf([get, post, operation('DELETE', '/b', () => 1)]);
  const table = routes.map(({ path, allow }) => [path, allow]);
  assert.deepEqual(table, [['/a', 'GET, HEAD, POST, OPTIONS'], ['/b', 'DELETE, OPTIONS']]);
  assert.throws(() => routesOf([get, get]), /GET \/a and GET \/a both want GET \/a/);
});

test('The longest prefix gives the error shape, at whole segments', () => {
  const shape = (prefix: string): ErrorShape => ({
    prefix, encodeError: (error) => json(prefix, errorTable[error.code].http),
  });
  const refusals = new Refusals([shape('/v1'), shape('/'), shape('/v1/deep/')]);
  const prefixAt = (url: string): unknown => {
    const refusal = refusals.notFound(url);
    const call = new Call({ requestId: 'r', operation: refusal, timeoutMs: 1 });
    return JSON.parse(String(refusal.encodeError(new ServerError('ROUTE_NOT_FOUND'), call).body));
  };
  const urls = ['/', '/v1', '/v1/x', '/v10', '/v1/deep', '/v1/deep/x', ''];
  assert.deepEqual(urls.map(prefixAt), ['/', '/v1', '/v1', '/', '/v1/deep/', '/v1/deep/', '/']);
});
