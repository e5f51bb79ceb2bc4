// All that is read of a request before its body. uWebSockets.js frees the request when the handler returns, so
// everything is copied here in one pass. Invariant: no other file touches an HttpRequest.
import type { HttpRequest } from 'uWebSockets.js';
import type { ServerError } from '../errors.ts';
import { framingFault } from './framing.ts';
import { requestIdOf } from './headers.ts';

const none: readonly string[] = [];

export class RequestHead {
  /** The path, undecoded. */
  readonly url: string;
  readonly query: string;
  readonly requestId: string;
  /** In bytes; -1 when the body is chunked or absent. */
  readonly contentLength: number;
  readonly hasBody: boolean;
  /** When set, where this request ends is in doubt, and with it where the next one starts. */
  readonly framingFault: ServerError | undefined;
  /** Names and values in turn: there are few, so a scan beats a map, which would have to be built. */
  readonly #fields: string[] = [];

  constructor(request: HttpRequest) {
    this.url = request.getUrl();
    this.query = request.getQuery();
    let lengths = none;
    let transferEncodings = none;
    let hostCount = 0;
    let requestId = '';
    request.forEach((name, value) => {
      this.#fields.push(name, value);
      if (name === 'content-length') lengths = [...lengths, value];
      else if (name === 'transfer-encoding') transferEncodings = [...transferEncodings, value];
      else if (name === 'host') hostCount += 1;
      else if (name === 'x-request-id') requestId = value;
    });
    this.requestId = requestIdOf(requestId);
    this.framingFault = framingFault({ lengths, transferEncodings, hostCount });
    const length = this.framingFault === undefined && lengths.length === 1 ? Number(lengths[0]) : -1;
    this.contentLength = length;
    this.hasBody = length > 0 || transferEncodings.length > 0;
  }

  /** The value of a header, several of one name joined as in a list; '' when absent. `name` in lower case. */
  header(name: string): string {
    let joined: string | undefined;
    for (let index = 0; index < this.#fields.length; index += 2) {
      if (this.#fields[index] !== name) continue;
      const value = this.#fields[index + 1]!;
      joined = joined === undefined ? value : `${joined}, ${value}`;
    }
    return joined ?? '';
  }
}
