// The requests of all connections that can be resumed, by the name that the server gave them. Bounded in number;
// each is bounded in bytes and time by itself.
import { resumableRequestsMax } from '../limits.ts';
import type { SocketRequest } from './websocket-request.ts';

export class ResumableRequests {
  readonly #requests = new Map<string, SocketRequest>();

  get hasRoom(): boolean {
    return this.#requests.size < resumableRequestsMax;
  }

  /** Those without a connection that still compute. */
  get detached(): number {
    return [...this.#requests.values()].filter(({ isDetached }) => isDetached).length;
  }

  /** One that cannot be resumed is none of these. */
  add(request: SocketRequest): void {
    if (request.job !== undefined) this.#requests.set(request.job, request);
  }

  delete({ job }: SocketRequest): void {
    if (job !== undefined) this.#requests.delete(job);
  }

  find(job: unknown): SocketRequest | undefined {
    return typeof job === 'string' ? this.#requests.get(job) : undefined;
  }

  close(): void {
    for (const request of [...this.#requests.values()]) request.cancel();
  }
}
