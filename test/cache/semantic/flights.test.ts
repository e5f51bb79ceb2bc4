import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Flights } from '../../../src/cache/semantic/flights.ts';
import { partition, vectorOf } from './support.ts';

const cosine = { mode: 'cosine' as const, threshold: 0.85 };
const inTheAir = new Promise<never>(() => {});
const passenger = (question: string, where = partition) => ({ partition: where, question, vector: vectorOf(question) });

test('the same and nearly the same questions join, others and other partitions do not', () => {
  const flights = new Flights<string>(cosine);
  flights.add(passenger('what is a neural network'), 'one', inTheAir);
  assert.deepEqual(flights.join(passenger(' what  is a neural network')), { flight: 'one', by: 'exact', similarity: 1, reason: 'the same text' });
  assert.equal(flights.join(passenger('a neural network is what'))?.by, 'semantic');
  assert.equal(flights.join(passenger('who won the cup')), undefined);
  assert.equal(flights.join(passenger('what is a neural network', { ...partition, key: 'other' })), undefined);
  assert.equal(flights.join(passenger('what is a neural network', { ...partition, namespace: 'two' })), undefined);
});

test('without a vector only the same text joins', () => {
  const flights = new Flights<string>(cosine);
  flights.add({ partition, question: 'a b c' }, 'one', inTheAir);
  assert.equal(flights.join({ partition, question: 'a b c' })?.by, 'exact');
  assert.equal(flights.join(passenger('c b a')), undefined);
  assert.equal(flights.join({ partition, question: 'c b a' }), undefined);
});

test('a near question that the verdict refuses, or that wants more similarity, flies alone', () => {
  const judge = () => ({ same: false, score: 0, reason: 'opposite' });
  const refusing = new Flights<string>({ ...cosine, mode: 'verified', judge });
  refusing.add(passenger('a b c'), 'one', inTheAir);
  assert.equal(refusing.join(passenger('c b a')), undefined);
  const flights = new Flights<string>(cosine);
  flights.add(passenger('what is a neural network'), 'one', inTheAir);
  assert.equal(flights.join({ ...passenger('what is this neural network'), thresholdMin: 0.9999 }), undefined);
});

test('nobody joins what has landed or failed', async () => {
  const flights = new Flights<string>(cosine);
  flights.add(passenger('one'), 'one', Promise.resolve());
  flights.add(passenger('two'), 'two', Promise.reject(new Error('upstream')));
  assert.equal(flights.size, 2);
  await new Promise(setImmediate);
  assert.equal(flights.size, 0);
  assert.equal(flights.join(passenger('one')), undefined);
});

test('a newer flight with the same text takes the place of the older', async () => {
  const flights = new Flights<string>(cosine);
  let land: (() => void) | undefined;
  flights.add(passenger('q'), 'older', new Promise<void>((resolve) => (land = resolve)));
  flights.add(passenger('q'), 'newer', inTheAir);
  land!();
  await new Promise(setImmediate);
  assert.equal(flights.join(passenger('q'))?.flight, 'newer');
  assert.equal(flights.size, 1);
});

test('beyond the bound nobody joins and nothing is kept', () => {
  const flights = new Flights<string>(cosine, 2);
  for (const question of ['a', 'b', 'c']) flights.add(passenger(question), question, inTheAir);
  assert.equal(flights.size, 2);
  assert.equal(flights.join(passenger('c')), undefined);
});

test('vectors of two models are not compared', () => {
  const flights = new Flights<string>(cosine);
  flights.add({ ...passenger('a b c'), model: 'words-1' }, 'one', inTheAir);
  assert.equal(flights.join({ ...passenger('c b a'), model: 'words-2' }), undefined);
  assert.equal(flights.join({ ...passenger('c b a'), model: 'words-1' })?.by, 'semantic');
  assert.equal(flights.join({ ...passenger('a b c'), model: 'words-2' })?.by, 'exact');
});
