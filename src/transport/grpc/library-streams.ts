// The streams of services that libraries bring, health and reflection: those never end them, so draining does.
import { status, type Server, type ServerDuplexStream, type ServerWritableStream, type UntypedHandleCall, type UntypedServiceImplementation } from '@grpc/grpc-js';

type LibraryStream = ServerWritableStream<unknown, unknown> | ServerDuplexStream<unknown, unknown>;

/** Takes services in a server's place and hands them on. */
export class LibraryStreams {
  readonly #server: Pick<Server, 'addService'>;
  readonly #open = new Set<LibraryStream>();

  constructor(server: Pick<Server, 'addService'>) {
    this.#server = server;
  }

  addService(...[definition, implementation]: Parameters<Server['addService']>): void {
    const watched = Object.entries(implementation).map(([name, handle]) => [name, this.#watched(handle)] as const);
    this.#server.addService(definition, Object.fromEntries(watched) as UntypedServiceImplementation);
  }

  end(): void {
    for (const stream of this.#open) stream.emit('error', { code: status.UNAVAILABLE, details: 'The server is shutting down.' });
  }

  #watched(handle: UntypedHandleCall): UntypedHandleCall {
    return (call: LibraryStream, ...answer: unknown[]): void => {
      // Only calls with one answer come with a way to give it.
      if (answer.length === 0) {
        this.#open.add(call);
        call.once('close', () => this.#open.delete(call));
      }
      (handle as (...all: unknown[]) => void)(call, ...answer);
    };
  }
}
