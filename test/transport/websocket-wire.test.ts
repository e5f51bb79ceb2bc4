// Frames as no client sends them (RFC 6455), on the transport itself. The cases follow the Autobahn suite, which
// test/conformance/ runs whole.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { serveSockets } from './socket-support.ts';
import { until } from '../support/until.ts';
import { operation, RawClient, request } from './support.ts';

const echo = operation('POST', '/echo', (body) => body, { name: 'echo', decodeBody: (body: unknown) => body });

const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

type FrameOptions = { final?: boolean; reserved?: number; masked?: boolean; opcode?: number; announced?: number };

function frame(kind: keyof typeof opcodes, payload: Uint8Array | string = '', options: FrameOptions = {}): Buffer {
  const { final = true, reserved = 0, masked = true, opcode = opcodes[kind] } = options;
  const data = Buffer.from(payload);
  const length = options.announced ?? data.length;
  const head = length < 126 ? Buffer.alloc(2) : length < 65_536 ? Buffer.alloc(4) : Buffer.alloc(10);
  head[0] = (final ? 0x80 : 0) | (reserved << 4) | opcode;
  const mark = masked ? 0x80 : 0;
  if (head.length === 2) head[1] = mark | length;
  else if (head.length === 4) head.writeUInt16BE(length, ((head[1] = mark | 126), 2));
  else head.writeBigUInt64BE(BigInt(length), ((head[1] = mark | 127), 2));
  const key = Buffer.from([1, 2, 3, 4]);
  return Buffer.concat(masked ? [head, key, data.map((byte, i) => byte ^ key[i % 4]!)] : [head, data]);
}

function closeFrame(code: number, reason: Uint8Array | string = ''): Buffer {
  return frame('close', Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason)]));
}

async function open(t: TestContext, port: number): Promise<RawClient> {
  const upgrade = ['Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='];
  const client = new RawClient(t, port).send(request('GET /v1/stream', upgrade));
  const received = await client.waitFor('"hello"');
  assert.match(received, /^HTTP\/1\.1 101 /);
  assert.match(received, /Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=/i);
  return client;
}

const ping = JSON.stringify({ id: 'grüße', op: 'ping' }).replace('grüße', 'a');
const euro = Buffer.from('{"id":"e","op":"echo","body":"κόσμε €"}');

test('messages in fragments are one message, with control frames in between', async (t) => {
  const { port } = await serveSockets(t, [echo]);
  const client = await open(t, port);
  client.send(frame('text', ping.slice(0, 5), { final: false }));
  client.send(frame('ping', 'between'));
  client.send(frame('continuation', ping.slice(5)));
  await client.waitFor('"pong","id":"a"');
  assert.ok(client.received.includes(`\x8a\x07between`), 'a ping is answered with its own payload');
  // Every byte a fragment, characters of several bytes cut in the middle.
  [...euro].forEach((byte, i) => {
    client.send(frame(i === 0 ? 'text' : 'continuation', Buffer.from([byte]), { final: i === euro.length - 1 }));
  });
  await client.waitFor('"id":"e","status":200');
  assert.ok(client.received.includes(Buffer.from('κόσμε €').toString('latin1')));
  // One byte of the wire at a time.
  for (const byte of frame('text', ping.replace('"a"', '"b"'))) client.send(Buffer.from([byte]));
  await client.waitFor('"pong","id":"b"');
  client.send(frame('pong', 'nobody asked')).send(frame('text', ping.replace('"a"', '"c"')));
  await client.waitFor('"pong","id":"c"');
});

test('a close is answered in kind, and nothing after it is read', async (t) => {
  const { port, server } = await serveSockets(t, [echo]);
  for (const code of [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]) {
    const client = await open(t, port);
    client.send(Buffer.concat([closeFrame(code, 'bye'), frame('text', ping), frame('ping', 'late')]));
    const received = await client.waitClosed();
    const hello = received.indexOf('"idle_seconds":60}');
    // uWebSockets.js answers 3000 to 3999 without a code.
    const echoed = code >= 3000 && code < 4000 ? '\x88\x00' : `\x88\x05${String.fromCharCode(code >> 8, code & 255)}bye`;
    assert.equal(received.slice(hello + '"idle_seconds":60}'.length), echoed);
    assert.doesNotMatch(received, /pong|late/);
  }
  await until(() => server.connections === 0, 'all are gone');
});

const bad: Readonly<Record<string, readonly Buffer[]>> = {
  'an unmasked frame': [frame('text', ping, { masked: false })],
  'reserved bit 1': [frame('text', ping, { reserved: 4 })],
  'reserved bits on a ping': [frame('ping', '', { reserved: 7 })],
  'reserved opcode 3': [frame('text', ping, { opcode: 3 })],
  'reserved opcode 11': [frame('text', '', { opcode: 11 })],
  'a continuation of nothing': [frame('continuation', ping)],
  'a new message within one': [frame('text', ping, { final: false }), frame('text', ping)],
  'a ping in fragments': [frame('ping', 'x', { final: false })],
  'a ping of 126 bytes': [frame('ping', 'x'.repeat(126))],
  'a close of 126 bytes': [closeFrame(1000, 'x'.repeat(124))],
  'a close of one byte': [frame('close', 'x')],
  'a close code of none': [closeFrame(999)],
  'a close code kept for no use': [closeFrame(1005)],
  'a close code beyond all': [closeFrame(5000)],
  'a close reason that is no UTF-8': [closeFrame(1000, Buffer.from([0xce, 0xba, 0xed, 0xa0, 0x80]))],
  'a frame of 2^62 bytes': [frame('binary', 'x', { announced: 2 ** 62 })],
  'a frame of 4 GB': [frame('text', 'x', { announced: 2 ** 32 })],
  'a text that is too large': [frame('text', Buffer.alloc(2 * 1024 * 1024, 0x20))],
  'fragments that are too large together': [
    frame('text', Buffer.alloc(900_000, 0x20), { final: false }),
    frame('continuation', Buffer.alloc(900_000, 0x20)),
  ],
};

/** What is no UTF-8 (Autobahn, section 6): overlong, surrogates, too large, cut off, stray. */
const notUtf8 = [
  [0xce, 0xba, 0xe1, 0xbd, 0xb9, 0xcf, 0x83, 0xce, 0xbc, 0xce, 0xb5, 0xed, 0xa0, 0x80, 0x65, 0x64],
  [0xf4, 0x90, 0x80, 0x80], [0xed, 0xa0, 0x80], [0xed, 0xbf, 0xbf], [0xc0, 0xaf], [0xe0, 0x80, 0xaf], [0xf0, 0x80, 0x80, 0xaf],
  [0xf8, 0x88, 0x80, 0x80, 0x80], [0xfe], [0xff], [0x80], [0xbf], [0xc2], [0xe1, 0xbd], [0xf0, 0x90, 0x80], [0xc1, 0xbf],
];

test('what is no WebSocket costs its own connection and nothing else', async (t) => {
  const { port, server, connect } = await serveSockets(t, [echo], { idleSeconds: 8 });
  const bystander = await connect();
  const cases: [string, readonly Buffer[]][] = [
    ...Object.entries(bad),
    ...notUtf8.map((bytes): [string, Buffer[]] => [`the bytes ${bytes}`, [frame('text', Buffer.from(bytes))]]),
  ];
  for (const [n, [what, frames]] of cases.entries()) {
    const client = await open(t, port);
    for (const each of frames) client.send(each);
    client.send(frame('text', ping));
    await client.waitClosed().catch(() => assert.fail(`${what} was borne`));
    assert.doesNotMatch(client.received, /pong/, what);
    bystander.send({ id: String(n), op: 'echo', body: what });
    await until(() => bystander.messages.at(-1)?.['body'] === what, `the other one is answered after ${what}`);
  }
  await until(() => server.connections === 1, 'only the other one is left');
});

test('an upgrade that is none is answered as HTTP', async (t) => {
  const { port } = await serveSockets(t, [echo]);
  const wrong = [
    ['Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: short'],
    ['Upgrade: websocket', 'Connection: Upgrade'],
  ];
  for (const headers of wrong) {
    const client = new RawClient(t, port).send(request('GET /v1/stream', headers));
    assert.doesNotMatch(await client.waitFor('\r\n\r\n'), /^HTTP\/1\.1 101/);
  }
});
