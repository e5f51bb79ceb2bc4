// Decides whether the headers agree on where the body ends. uWebSockets.js takes the first Content-Length and any
// Transfer-Encoding, and two readers that disagree let one request hide in another's body (RFC 9112, 11.2).
import { ServerError } from '../errors.ts';

/** The framing headers as they came. */
export type Framing = {
  readonly lengths: readonly string[];
  readonly transferEncodings: readonly string[];
  readonly hostCount: number;
};

/** Why the connection cannot be trusted any further; undefined when it can. */
export function framingFault({ lengths, transferEncodings, hostCount }: Framing): ServerError | undefined {
  if (lengths.length > 1) return invalid('more than one Content-Length');
  if (lengths.length === 1 && !/^\d{1,15}$/.test(lengths[0]!)) return invalid('a Content-Length that is no length');
  if (hostCount > 1) return invalid('more than one Host');
  if (transferEncodings.length === 0) return undefined;
  if (lengths.length > 0) return invalid('both Content-Length and Transfer-Encoding');
  if (transferEncodings.length === 1 && transferEncodings[0]!.toLowerCase() === 'chunked') return undefined;
  return new ServerError('TRANSFER_UNSUPPORTED', 'The only transfer encoding is chunked.');
}

function invalid(what: string): ServerError {
  return new ServerError('FRAMING_INVALID', `The request has ${what}.`);
}
