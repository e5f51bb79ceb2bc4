import assert from 'node:assert/strict';
import { test } from 'node:test';
import Schema from 'typebox/schema';
import { ServerError } from '../../../src/errors.ts';
import { cursorOf } from '../../../src/history/row.ts';
import type { HistoryPage, HistoryQuery } from '../../../src/history/store.ts';
import { Call, perform } from '../../../src/operation.ts';
import { historyOperations } from '../../../src/surface/history/operations.ts';
import { HistoryResponse } from '../../../src/surface/history/schema.ts';
import { rowsOf } from '../../history/rows.ts';

async function get(page: (query: HistoryQuery) => Promise<HistoryPage>, query: string) {
  const [operation] = historyOperations({ page });
  const call = new Call({ requestId: 'test', operation: operation!, timeoutMs: 5000, query });
  const { reply } = await perform(operation!, Buffer.alloc(0), call, { ended: () => {} });
  return { status: reply.status, body: JSON.parse(String(reply.body)) };
}

test('the answer has the rows, the total and where to go on', async () => {
  const rows = rowsOf(2, (number) => (number === 0 ? {} : { errorCode: 'TIMEOUT', caller: undefined }));
  const asked: HistoryQuery[] = [];
  const { status, body } = await get(async (query) => {
    asked.push(query);
    return { rows, total: 9, more: true };
  }, 'limit=2&skip=3&version=1.0');
  assert.equal(status, 200);
  assert.deepEqual(body, { history: rows, total: 9, limit: 2, offset: 3, next: cursorOf(rows[1]!.id) });
  assert.deepEqual(asked, [{ limit: 2, offset: 3, version: '1.0' }]);
  assert.ok(Schema.Compile(HistoryResponse).Check(body));
});

test('the last page says so', async () => {
  const page = async (): Promise<HistoryPage> => ({ rows: [], total: 0, more: false });
  assert.deepEqual((await get(page, '')).body, { history: [], total: 0, limit: 100, offset: 0, next: null });
});

test('errors name the parameter, or say that the database is away', async () => {
  const wrong = await get(async () => assert.fail('must not be asked'), 'limit=x');
  assert.equal(wrong.status, 400);
  assert.deepEqual(wrong.body.extra, [{ key: 'limit', message: wrong.body.detail }]);
  const away = await get(async () => {
    throw new ServerError('BACKEND_FAILED', 'The inference history is not available.');
  }, '');
  assert.deepEqual([away.status, away.body.detail], [503, 'The inference history is not available.']);
});
