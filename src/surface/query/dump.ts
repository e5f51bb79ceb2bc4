// The semantic cache as JSON Lines, out and in: for a copy kept elsewhere, and to start warm.
import Type from 'typebox';
import { administeredNamespace } from '../../access/namespace.ts';
import type { AnswerEngine } from '../../engine/answer.ts';
import type { LoadReport } from '../../cache/semantic/json-lines.ts';
import type { AnyOperation, Call, Operation } from '../../operation.ts';
import { detailError } from '../detail-errors.ts';
import { jsonReply } from '../json-reply.ts';
import { DumpQuery, LoadResponse } from './schema.ts';

const jsonLines = 'application/x-ndjson';
const common = { group: 'Semantic cache', scope: 'cache', encodeError: detailError } as const;

export function dumpOperation(engine: AnswerEngine): Operation<string | undefined, AsyncIterable<string>> {
  return {
    ...common,
    name: 'cache.dump',
    method: 'GET',
    path: '/cache/dump',
    summary: 'All entries of a namespace with their vectors, one JSON object a line.',
    querySchema: DumpQuery,
    binaryTypes: [jsonLines],
    decode: (_bytes, call) => wantedNamespace(call),
    run: (namespace) => engine.dump(namespace),
    encode: (chunks) => ({ status: 200, contentType: jsonLines, body: { chunks } }),
  };
}

export function loadOperation(engine: AnswerEngine, bytesMax: number): AnyOperation {
  const load: Operation<string | undefined, LoadReport> = {
    ...common,
    name: 'cache.load',
    method: 'POST',
    path: '/cache/load',
    summary: 'Put the lines of a dump into a namespace; with namespace=* each into its own.',
    querySchema: DumpQuery,
    requestTypes: { [jsonLines]: Type.String() },
    responseSchema: LoadResponse,
    body: { kind: 'stream', bytesMax: () => bytesMax },
    timeoutMs: 3_600_000,
    decode: (_bytes, call) => wantedNamespace(call),
    run: (namespace, call) => engine.load(call.body, namespace, call),
    encode: ({ loaded, passedOver, refused, problems }) => jsonReply(200, { loaded, passed_over: passedOver, refused, problems }),
  };
  return load;
}

/** Undefined for all of them. */
function wantedNamespace(call: Call): string | undefined {
  const isAll = call.query.get('namespace') === '*' && call.caller.scopes.has('admin');
  return isAll ? undefined : administeredNamespace(call);
}
