// POST /embed serves two APIs: a body with `inputs` is text-embeddings-inference's, any other FastEmbed's.
import type { AnyOperation, Call } from '../operation.ts';
import { parseJson, type JsonOperation } from './body.ts';

// eslint-disable-next-line @typescript-eslint/no-explicit-any
type AnyJsonOperation = JsonOperation<any, any>;

/**
 * One route, two operations. The chosen one becomes the call's operation, so that the answer, its errors
 * and its metrics are its own; until the body is read, errors have the shape of `otherwise`.
 */
export function chooseByField(field: string, whenPresent: AnyJsonOperation, otherwise: AnyJsonOperation): AnyOperation {
  return {
    ...otherwise,
    alternatives: [otherwise, whenPresent],
    decode(bytes: Uint8Array, call: Call) {
      call.operation = otherwise;
      const body = parseJson(bytes);
      const chosen = typeof body === 'object' && body !== null && Object.hasOwn(body, field) ? whenPresent : otherwise;
      call.operation = chosen;
      return chosen.decodeBody(body, call);
    },
  };
}
