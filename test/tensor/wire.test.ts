import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dataTypes } from '../../src/tensor/dtypes.ts';
import { alignedCopies, bytesOfTensor, dataTypeOf, tensorOfBytes, wireType } from '../../src/tensor/wire.ts';

test('every type has a name of its own on the wire', () => {
  const names = dataTypes.map(wireType);
  assert.equal(new Set(names).size, names.length);
  for (const type of dataTypes) assert.equal(dataTypeOf(wireType(type), 'datatype'), type);
  for (const name of ['BF16', 'fp32', '', undefined, '__proto__']) assert.throws(() => dataTypeOf(name, 'datatype'), { field: 'datatype' });
});

test('aligned bytes are read where they lie, others are copied', () => {
  const buffer = new ArrayBuffer(64);
  for (let offset = 0; offset < 9; offset++) {
    const tensor = tensorOfBytes(new Uint8Array(buffer, offset, 16), [2], 'float64', 'x');
    assert.equal((tensor.data as Float64Array).buffer === buffer, offset % 8 === 0, String(offset));
  }
});

test('the bytes may be a Buffer, whose slices are views', () => {
  for (let offset = 0; offset < 9; offset++) {
    const buffer = Buffer.alloc(32);
    buffer.writeDoubleLE(1.5, offset);
    assert.deepEqual(tensorOfBytes(buffer.subarray(offset, offset + 8), [1], 'float64', 'x').data, Float64Array.of(1.5), String(offset));
  }
});

test('bytes come back as they went', () => {
  for (const type of dataTypes.filter((each) => each !== 'string')) {
    const bytes = Uint8Array.from({ length: 8 }, (_, i) => i % 2);
    const count = { float32: 2, int32: 2, uint32: 2, float64: 1, int64: 1, uint64: 1, float16: 4, int16: 4, uint16: 4, int8: 8, uint8: 8, bool: 8 }[type];
    assert.deepEqual(bytesOfTensor(tensorOfBytes(bytes, [count], type, 'x')), bytes, type);
  }
  const texts = { datatype: 'string', shape: [3], data: ['', 'ü', '日本 🎉'] } as const;
  assert.deepEqual(tensorOfBytes(bytesOfTensor({ ...texts, data: [...texts.data] }), [3], 'string', 'x'), texts);
});

test('copies are aligned, whatever their lengths', () => {
  const parts = [Uint8Array.of(1, 2, 3), new Uint8Array(0), Uint8Array.of(4), Uint8Array.from({ length: 17 }, (_, i) => i)];
  const copies = alignedCopies(parts);
  assert.deepEqual(copies, parts);
  for (const { byteOffset } of copies) assert.equal(byteOffset % 8, 0);
  assert.equal(new Set(copies.map(({ buffer }) => buffer)).size, 1);
});
