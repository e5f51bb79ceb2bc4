import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ServerError } from '../../src/errors.ts';
import { uploadHeaderBytesMax, uploadPartsMax } from '../../src/limits.ts';
import { boundaryOf, partsOf, textOf } from '../../src/surface/multipart.ts';

async function* inChunks(bytes: Buffer, chunkBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes);
}

type Read = { name: string; filename: string | undefined; text: string };

async function readAll(body: string | Buffer, chunkBytes = 7, boundary = 'B'): Promise<Read[]> {
  const found: Read[] = [];
  for await (const part of partsOf(inChunks(Buffer.from(body), chunkBytes), boundary)) {
    found.push({ name: part.name, filename: part.filename, text: await textOf(part, 100_000) });
  }
  return found;
}

const part = (name: string, text: string, more = '') => `--B\r\nContent-Disposition: form-data; name="${name}"${more}\r\n\r\n${text}\r\n`;
const refusedAs = (reason: RegExp) => (error: unknown) => error instanceof ServerError && error.code === 'REQUEST_INVALID' && reason.test(error.message);

describe('partsOf', () => {
  // What looks like the boundary, and is not.
  const tricky = '\r\n--A\r\n-\r\n--\r\n\r--B\n--B\r\n\r\n';
  const body = `${part('version', '1.0')}${part('file', tricky, '; filename="model.onnx"')}${part('empty', '')}--B--\r\n`;
  const expected = [
    { name: 'version', filename: undefined, text: '1.0' },
    { name: 'file', filename: 'model.onnx', text: tricky },
    { name: 'empty', filename: undefined, text: '' },
  ];

  test('gives the same parts however the body is cut', async () => {
    for (let chunkBytes = 1; chunkBytes <= body.length; chunkBytes += 1) {
      assert.deepEqual(await readAll(body, chunkBytes), expected);
    }
  });

  test('takes bodies as Node writes them', async () => {
    const form = new FormData();
    form.set('file', new Blob([Buffer.from([0, 13, 10, 45, 45, 255])]), 'a "quoted" name.onnx');
    form.set('version', 'ü');
    const response = new Response(form);
    const boundary = boundaryOf(response.headers.get('content-type')!)!;
    const bytes = Buffer.from(await response.arrayBuffer());
    const parts: Buffer[][] = [];
    for await (const { body: chunks } of partsOf(inChunks(bytes, 5), boundary)) {
      const list: Buffer[] = [];
      for await (const chunk of chunks) list.push(Buffer.from(chunk));
      parts.push(list);
    }
    assert.deepEqual(parts.map((list) => [...Buffer.concat(list)]), [[0, 13, 10, 45, 45, 255], [0xc3, 0xbc]]);
  });

  test('passes over what is before the first part, after the last, and unread', async () => {
    const names: string[] = [];
    for await (const { name, body: chunks } of partsOf(inChunks(Buffer.from(`before\r\n${body}after`), 3), 'B')) {
      names.push(name);
      for await (const _chunk of chunks) break;
    }
    assert.deepEqual(names, ['version', 'file', 'empty']);
  });

  test('needs no line end after the last boundary, and takes spaces after others', async () => {
    assert.deepEqual(await readAll(`--B  \r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--B--`), [{ name: 'a', filename: undefined, text: 'x' }]);
    assert.deepEqual(await readAll('--B--'), []);
  });

  test('refuses what is malformed', async () => {
    const cases: [string, RegExp][] = [
      ['', /ends before its last boundary/],
      [part('a', 'x'), /ends before its last boundary/],
      [`${part('a', 'x')}--B`, /ends before its last boundary/],
      [`--Bx\r\n\r\n`, /a boundary goes on/],
      [`--B\r\nContent-Disposition: attachment\r\n\r\nx\r\n--B--`, /no name/],
      [`--B\r\nX: y\r\n\r\nx\r\n--B--`, /no name/],
      [`--B\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--B--`, /transfer encoding/],
      [`--B\r\nX: ${'y'.repeat(uploadHeaderBytesMax)}\r\n\r\nx\r\n--B--`, /header of a part is too long/],
      [part('a', 'x').repeat(uploadPartsMax + 1), /more than/],
    ];
    for (const [text, reason] of cases) await assert.rejects(readAll(text), refusedAs(reason), text.slice(0, 60));
  });

  test('a field is bounded and is text', async () => {
    const read = async (text: string | Buffer) => {
      const bytes = Buffer.concat([Buffer.from('--B\r\nContent-Disposition: form-data; name=a\r\n\r\n'), Buffer.from(text), Buffer.from('\r\n--B--')]);
      for await (const each of partsOf(inChunks(bytes, 4), 'B')) return textOf(each, 10);
      return undefined;
    };
    assert.equal(await read('0123456789'), '0123456789');
    await assert.rejects(read('01234567890'), refusedAs(/'a' is longer than 10 bytes/));
    await assert.rejects(read(Buffer.from([0xff, 0xfe])), refusedAs(/not UTF-8/));
  });
});

test('boundaryOf reads the content type', () => {
  assert.equal(boundaryOf('multipart/form-data; boundary=abc'), 'abc');
  assert.equal(boundaryOf('Multipart/Form-Data; charset=utf-8; boundary="a b:c"'), 'a b:c');
  assert.equal(boundaryOf('application/octet-stream'), undefined);
  assert.equal(boundaryOf('multipart/mixed; boundary=x'), undefined);
  for (const type of ['multipart/form-data', 'multipart/form-data; boundary=', `multipart/form-data; boundary=${'x'.repeat(71)}`]) {
    assert.throws(() => boundaryOf(type), refusedAs(/no boundary/));
  }
});
