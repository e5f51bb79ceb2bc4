// The table of paths, without a socket.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Refusals, Route, routesOf } from '../../src/transport/routes.ts';
import { encodeError, operation } from './support.ts';

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
  for (const path of ['/%', '/%zz', '/%c3', '/%ff', '/%0a', '/%7f', '/\ufffd']) assert.equal(route.match(path), 'malformed', path);
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
  assert.deepEqual(routes.map(({ path, allow }) => [path, allow]), [['/a', 'GET, HEAD, POST, OPTIONS'], ['/b', 'DELETE, OPTIONS']]);
  assert.throws(() => routesOf([get, get]), /GET \/a and GET \/a both want GET \/a/);
});

test('The longest prefix gives the error shape, at whole segments', () => {
  const shape = (name: string) => () => { throw new Error(name); };
  const refusals = new Refusals([
    { prefix: '/v1', encodeError: shape('v1') }, { prefix: '/', encodeError }, { prefix: '/v1/deep/', encodeError: shape('deep') },
  ]);
  const nameAt = (url: string): string => {
    try {
      refusals.notFound(url).encodeError(undefined as never, undefined as never);
      return 'root';
    } catch (error) {
      return error instanceof TypeError ? 'root' : (error as Error).message;
    }
  };
  assert.deepEqual(['/', '/v1', '/v1/x', '/v10', '/v1/deep', '/v1/deep/x', ''].map(nameAt), ['root', 'v1', 'v1', 'root', 'deep', 'deep', 'root']);
});
