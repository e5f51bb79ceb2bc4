// Cross-origin answers, https://fetch.spec.whatwg.org/#http-cors-protocol. Invariant: credentials are never allowed,
// so a page can use the server with a key it knows but not with one that the browser keeps.
import type { HttpResponse } from 'uWebSockets.js';
import type { Call } from '../operation.ts';
import { headerValue } from './headers.ts';

export type CorsOptions = {
  readonly enabled: boolean;
  /** Origins such as `https://example.com`; `*` among them means any. */
  readonly origins: readonly string[];
};

/** Chrome's own maximum. */
const preflightSecondsMax = '7200';
export class Cors {
  readonly #enabled: boolean;
  readonly #any: boolean;
  readonly #origins: ReadonlySet<string>;

  constructor({ enabled, origins }: CorsOptions) {
    this.#enabled = enabled;
    this.#any = origins.includes('*');
    this.#origins = new Set(origins);
  }

  /** The headers of every answer. `origin` is the request's, '' when absent. */
  write(response: HttpResponse, origin: string): void {
    if (!this.#enabled) return;
    // A cache must not hand one origin's answer to another.
    if (!this.#any) response.writeHeader('vary', 'Origin');
    const allowed = this.#allowed(origin);
    if (allowed === undefined) return;
    response.writeHeader('access-control-allow-origin', allowed);
    // Without credentials `*` is every header: request id, rate limit, timings and what the surfaces add.
    if (origin !== '') response.writeHeader('access-control-expose-headers', '*');
  }

  /** The headers that only a preflight's answer has; none when it is not one, or not allowed. */
  preflightHeaders(call: Call, methods: string): Record<string, string> {
    if (!this.#enabled || this.#allowed(call.header('origin')) === undefined) return {};
    if (call.header('access-control-request-method') === '') return {};
    const requested = call.header('access-control-request-headers');
    return {
      'access-control-allow-methods': methods,
      'access-control-max-age': preflightSecondsMax,
      // Reflected, because `*` would leave out Authorization.
      ...(requested === '' ? {} : { 'access-control-allow-headers': requested }),
      vary: 'Access-Control-Request-Headers',
    };
  }

  /** Whether a page of that origin may connect where no answer can be withheld: WebSocket. `host` is our own name. */
  admits(origin: string, host: string): boolean {
    if (origin === '' || origin.replace(/^[a-z]+:\/\//, '') === host) return true;
    return this.#enabled && this.#allowed(origin) !== undefined;
  }

  #allowed(origin: string): string | undefined {
    if (this.#any) return '*';
    return this.#origins.has(origin) ? headerValue(origin) : undefined;
  }
}
