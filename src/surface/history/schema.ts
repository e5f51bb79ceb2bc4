// The answer of GET /inference/history, and what its query may say.
import Type, { type TSchema } from 'typebox';
import { historyPageRowsMax } from '../../limits.ts';

const nullable = (schema: TSchema) => Type.Union([schema, Type.Null()]);

const HistoryRowSchema = Type.Object({
  id: Type.String({ description: 'Unique; sorts by time.' }),
  version: Type.String(),
  model: Type.String(),
  timestamp: Type.String({ description: 'ISO 8601 in UTC.' }),
  timestamp_ms: Type.Integer(),
  status: Type.Union([Type.Literal('success'), Type.Literal('error')]),
  error_code: nullable(Type.String()),
  inference_time_ms: nullable(Type.Number()),
  compression_ratio: nullable(Type.Number()),
  predicted_quality: nullable(Type.Number()),
  metrics: nullable(Type.Record(Type.String(), Type.Number())),
  inputs: Type.Array(Type.Object({
    name: Type.String(), shape: Type.Array(Type.Integer()), datatype: nullable(Type.String()),
  })),
  request_id: Type.String(),
  caller: nullable(Type.String()),
});

export const HistoryResponse = Type.Object({
  history: Type.Array(HistoryRowSchema, { description: 'Newest first.' }),
  total: Type.Integer({ description: 'All rows that match the filters, on this page or not.' }),
  limit: Type.Integer(),
  offset: Type.Integer(),
  next: nullable(Type.String({ description: 'As `before` it gives the next page; null when this is the last.' })),
});

/** The query parameters, for the API description; query.ts checks them. */
export const historyQuerySchema = Type.Object({
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: historyPageRowsMax, default: 100 })),
  offset: Type.Optional(Type.Integer({ minimum: 0, default: 0, description: 'Rows to pass over. Also `skip`.' })),
  before: Type.Optional(Type.String({ description: '`next` of an earlier page.' })),
  version: Type.Optional(Type.String()),
  model: Type.Optional(Type.String()),
  status: Type.Optional(Type.String({ description: '`success`, `error`, or a code of the error table.' })),
  from: Type.Optional(Type.String({ description: 'ISO 8601, UTC by default, or milliseconds since 1970; inclusive.' })),
  to: Type.Optional(Type.String({ description: 'As `from`; exclusive.' })),
  min_inference_time: Type.Optional(Type.Number({ minimum: 0, description: 'Milliseconds, inclusive.' })),
  max_inference_time: Type.Optional(Type.Number({ minimum: 0, description: 'Milliseconds, inclusive.' })),
});
