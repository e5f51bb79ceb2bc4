// Whose request it is.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clientKey } from '../../src/transport/address.ts';

const v4 = new Uint8Array([10, 0, 0, 1]).buffer;
const v6 = (...groups: number[]): ArrayBuffer =>
  new Uint8Array(groups.flatMap((group) => [group >> 8, group & 255])).buffer;

test('The socket decides while no proxy is trusted', () => {
  assert.equal(clientKey(v4, '203.0.113.9', 0), '10.0.0.1');
});

test('An IPv4 client is the same on a socket that takes both', () => {
  assert.equal(clientKey(v6(0, 0, 0, 0, 0, 0xffff, 0x0a00, 1), '', 0), '10.0.0.1');
  assert.equal(clientKey(v4, '::ffff:203.0.113.9', 1), '203.0.113.9');
});

test('A /64 of IPv6 is one client, in whatever form it is written', () => {
  const key = clientKey(v6(0x2001, 0xdb8, 0, 1, 1, 2, 3, 4), '', 0);
  assert.equal(key, '2001:db8:0:1');
  const forms = ['2001:db8:0:1::9', '2001:0DB8:0000:0001:0:0:0:9', '[2001:db8:0:1::9]:443', '2001:db8:0:1::1.2.3.4'];
  for (const text of forms) {
    assert.equal(clientKey(v4, text, 1), key, text);
  }
  assert.notEqual(clientKey(v4, '2001:db8:0:2::9', 1), key);
  assert.equal(clientKey(v4, '::1', 1), '0:0:0:0');
});

test('Each trusted proxy is one entry from the end; what a client wrote before that does not count', () => {
  const forwarded = '1.1.1.1, 2.2.2.2, 3.3.3.3:8080';
  assert.equal(clientKey(v4, forwarded, 1), '3.3.3.3');
  assert.equal(clientKey(v4, forwarded, 2), '2.2.2.2');
  assert.equal(clientKey(v4, forwarded, 9), '1.1.1.1');
});

test('An entry that is no address leaves the socket to decide', () => {
  for (const forwarded of ['', 'unknown', '_hidden', '1.1.1.1, ', '999.1.1.1', '"[::1]"', 'x'.repeat(10_000)]) {
    assert.equal(clientKey(v4, forwarded, 1), '10.0.0.1', forwarded.slice(0, 20));
  }
});
