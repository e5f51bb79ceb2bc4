// Bytes of a request as JSON.
import { isUtf8 } from 'node:buffer';
import { ServerError } from '../errors.ts';

/** Parses a request body. Throws JSON_INVALID, for broken UTF-8 too. The bytes may be reused afterwards. */
export function parseJson(bytes: Uint8Array): unknown {
  if (bytes.length === 0) throw new ServerError('JSON_INVALID', 'The body is empty; it must be a JSON object.');
  if (!isUtf8(bytes)) throw new ServerError('JSON_INVALID', 'The body is not valid UTF-8.');
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  try {
    return JSON.parse(text);
  } catch (error) {
    // A SyntaxError tells the place; a RangeError (nesting) tells of our stack.
    const reason = error instanceof SyntaxError ? `: ${error.message}` : ': it is nested too deeply';
    throw new ServerError('JSON_INVALID', `The body is not valid JSON${reason}.`);
  }
}

/** What parseJson reads at any depth is written again by recursion. Throws REQUEST_INVALID where `write` runs out of stack. */
export function refusingDeepNesting<Value>(write: () => Value): Value {
  try {
    return write();
  } catch (error) {
    if (error instanceof RangeError) throw new ServerError('REQUEST_INVALID', 'The body is nested too deeply.', { cause: error });
    throw error;
  }
}
