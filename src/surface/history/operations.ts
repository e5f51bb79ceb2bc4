// GET /inference/history: what the tensor models were asked, newest first.
import type { History } from '../../history/history.ts';
import { cursorOf } from '../../history/row.ts';
import type { HistoryPage, HistoryQuery } from '../../history/store.ts';
import type { AnyOperation, Operation } from '../../operation.ts';
import { detailError } from '../detail-errors.ts';
import { jsonReply } from '../json-reply.ts';
import { historyQueryOf } from './query.ts';
import { HistoryResponse, historyQuerySchema } from './schema.ts';

export const tensorGroup = 'Tensor models';

export function historyOperations(history: Pick<History, 'page'>): AnyOperation[] {
  const page: Operation<HistoryQuery, HistoryPage> = {
    name: 'history.page',
    method: 'GET',
    path: '/inference/history',
    summary: 'Inference requests, newest first; pages by limit and before, or by limit and offset.',
    group: tensorGroup,
    // It tells what others asked, so it is for who watches the server, not for who uses it.
    scope: 'metrics',
    querySchema: historyQuerySchema,
    responseSchema: HistoryResponse,
    decode: (_bytes, call) => historyQueryOf(call.query),
    run: (query) => history.page(query),
    encode: ({ rows, total, more }, _call, { limit, offset }) => {
      const last = rows.at(-1);
      const next = more && last !== undefined ? cursorOf(last.id) : null;
      return jsonReply(200, { history: rows, total, limit, offset, next });
    },
    encodeError: detailError,
  };
  return [page];
}
