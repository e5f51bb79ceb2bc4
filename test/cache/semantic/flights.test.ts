import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Flights } from '../../../src/cache/semantic/flights.ts';
import { partition, vectorOf } from './support.ts';

const cosine = { mode: 'cosine' as const, threshold: 0.85 };

function tower() {
  const calls: { question: string; signal: AbortSignal; land: (answer: string) => void; fail: (error: Error) => void }[] = [];
  const make = (question: string) => (signal: AbortSignal) => new Promise<string>((land, fail) => void calls.push({ question, signal, land, fail }));
  return { calls, make };
}

test('the same and nearly the same questions of one moment are asked once, others and other partitions are not joined', async () => {
  const flights = new Flights<string>(cosine);
  const { calls, make } = tower();
  const ask = (question: string, where = partition) => flights.fly({ partition: where, question, vector: vectorOf(question) }, make(question));
  const all = [
    ask('what is a neural network'), ask(' what  is a neural network'), ask('a neural network is what'), ask('who won the cup'),
    ask('what is a neural network', { ...partition, key: 'other' }), ask('what is a neural network', { ...partition, namespace: 'two' }),
  ];
  assert.deepEqual(calls.map(({ question }) => question), [
    'what is a neural network', 'who won the cup', 'what is a neural network', 'what is a neural network']);
  calls.forEach(({ land }, i) => land(`answer ${i}`));
  const landed = await Promise.all(all);
  assert.deepEqual(landed.map(({ result, joined }) => [result, joined]), [
    ['answer 0', 'own'], ['answer 0', 'exact'], ['answer 0', 'semantic'], ['answer 1', 'own'], ['answer 2', 'own'], ['answer 3', 'own']]);
  assert.equal(flights.size, 0);
});

test('a near question that the verdict refuses flies alone', async () => {
  const judge = () => ({ same: false, score: 0, reason: 'opposite' });
  const flights = new Flights<string>({ ...cosine, mode: 'verified', judge });
  const { calls, make } = tower();
  const one = flights.fly({ partition, question: 'a b c', vector: vectorOf('a b c') }, make('a b c'));
  const two = flights.fly({ partition, question: 'c b a', vector: vectorOf('c b a') }, make('c b a'));
  assert.equal(calls.length, 2);
  calls.forEach(({ question, land }) => land(question));
  assert.deepEqual([(await one).result, (await two).result], ['a b c', 'c b a']);
});

test('a failure goes to all who wait, and the next one asks again', async () => {
  const flights = new Flights<string>(cosine);
  const { calls, make } = tower();
  const both = [1, 2].map(() => flights.fly({ partition, question: 'q' }, make('q')));
  calls[0]!.fail(new Error('upstream'));
  for (const each of both) await assert.rejects(each, /upstream/);
  const again = flights.fly({ partition, question: 'q' }, make('q'));
  calls[1]!.land('yes');
  assert.equal((await again).result, 'yes');
});

test('who leaves is let go at once; the flight is given up only when all have left', async () => {
  const flights = new Flights<string>(cosine);
  const { calls, make } = tower();
  const [first, second, third] = [new AbortController(), new AbortController(), new AbortController()];
  const fly = ({ signal }: AbortController) => flights.fly({ partition, question: 'q', signal }, make('q'));
  const [one, two] = [fly(first), fly(second)];
  first.abort();
  await assert.rejects(one, { code: 'CANCELLED' });
  assert.equal(calls[0]!.signal.aborted, false);
  calls[0]!.land('for the second');
  assert.equal((await two).result, 'for the second');
  const alone = fly(third);
  third.abort();
  await assert.rejects(alone, { code: 'CANCELLED' });
  assert.equal(calls[1]!.signal.aborted, true);
  await assert.rejects(fly(third), { code: 'CANCELLED' });
});

test('beyond the bound nobody joins and nothing is kept', async () => {
  const flights = new Flights<string>(cosine, 2);
  const { calls, make } = tower();
  const all = ['a', 'b', 'c', 'c'].map((question) => flights.fly({ partition, question }, make(question)));
  assert.deepEqual([flights.size, calls.length], [2, 4]);
  calls.forEach(({ question, land }) => land(question));
  assert.deepEqual((await Promise.all(all)).map(({ result }) => result), ['a', 'b', 'c', 'c']);
});
