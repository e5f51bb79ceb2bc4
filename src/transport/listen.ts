// Loads the uWebSockets.js binary that fits this Node, and listens with it. No other file imports it at run time.
// Invariant: the port is ours alone or the start fails; by default uWebSockets.js shares a busy port in silence.
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { AppOptions, TemplatedApp, us_listen_socket } from 'uWebSockets.js';

/** What we use of the module; its own typings lack the exclusive port. */
export type Uws = {
  App(options?: AppOptions): TemplatedApp;
  readonly LIBUS_LISTEN_EXCLUSIVE_PORT: number;
  us_listen_socket_close(socket: us_listen_socket): void;
  us_socket_local_port(socket: us_listen_socket): number;
};

/** Tracing headers, cookies and tokens of a single sign-on pass 4 KiB, which is what the binary allows by itself. */
const headerBytesMax = 16 * 1024;
/** The last Node major for which `uws-pack` has binaries. */
const packMajorMax = 22;
/** A free port on one of the addresses of localhost may be taken on the other. */
const localhostTries = 5;

/** Cannot listen. `code` is the system's: EADDRINUSE, EACCES, EADDRNOTAVAIL, ENOTFOUND. */
export class ListenError extends Error {
  override readonly name = 'ListenError';
  readonly code: string;

  constructor(code: string, host: string, port: number) {
    super(`Cannot listen on ${host} port ${port}: ${reasons[code] ?? code}.`);
    this.code = code;
  }
}

const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the port is in use',
  EACCES: 'this user may not listen on that port',
  EADDRNOTAVAIL: 'this machine does not have that address',
  ENOTFOUND: 'the name has no address',
};

/** Rejects with a text for the operator when no binary fits. */
export async function loadUws(nodeVersion: string = process.versions.node): Promise<Uws> {
  // Read once, when the binary is loaded. An operator's own value stays.
  process.env.UWS_HTTP_MAX_HEADERS_SIZE ??= String(headerBytesMax);
  const major = Number(nodeVersion.split('.')[0]);
  const name = major <= packMajorMax ? 'uWebSockets.js' : `@uwsjs/${process.platform}-${process.arch}-${major}`;
  try {
    const module = await import(name) as Uws & { default?: Uws };
    return module.default ?? module;
  } catch (cause) {
    throw new Error(
      `uWebSockets.js does not load on Node ${nodeVersion} (${process.platform} ${process.arch}, package ${name}). `
      + 'It has binaries for Node 20 and 22 on Linux with glibc, macOS and Windows, and for Node 24 and 26 on Linux '
      + 'x64 with glibc 2.38. Install without --omit=optional, or use one of those.',
      { cause },
    );
  }
}

export type Listener = {
  readonly port: number;
  /** Stops accepting. What is connected stays. Once. */
  close(): void;
};

/** `port` 0 takes a free one. Rejects with ListenError. */
export async function listen(uws: Uws, app: TemplatedApp, host: string, port: number): Promise<Listener> {
  const addresses = addressesOf(host);
  for (let tries = 1; ; tries += 1) {
    const { sockets, boundPort, failed } = bindAll(uws, app, addresses, port);
    const close = (): void => sockets.forEach((socket) => uws.us_listen_socket_close(socket));
    if (failed === undefined) return { port: boundPort, close };
    close();
    if (port !== 0 || tries >= localhostTries) throw new ListenError(await whyNot(failed, boundPort), host, boundPort);
  }
}

type Bound = { sockets: us_listen_socket[]; boundPort: number; failed: string | undefined };

/** Binds one after the other, all on the port of the first, until one fails. */
function bindAll(uws: Uws, app: TemplatedApp, addresses: readonly string[], port: number): Bound {
  const sockets: us_listen_socket[] = [];
  let boundPort = port;
  for (const address of addresses) {
    const socket = bind(uws, app, address, boundPort);
    if (socket === false) return { sockets, boundPort, failed: address };
    sockets.push(socket);
    boundPort = uws.us_socket_local_port(socket);
  }
  return { sockets, boundPort, failed: undefined };
}

/** A browser may take either address of localhost, so both are listened on. */
function addressesOf(host: string): string[] {
  if (host !== 'localhost') return [withoutBrackets(host)];
  const local = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return local.some(({ address }) => address === '::1') ? ['127.0.0.1', '::1'] : ['127.0.0.1'];
}

function bind(uws: Uws, app: TemplatedApp, address: string, port: number): us_listen_socket | false {
  let bound: us_listen_socket | false = false;
  const listenExclusively = app.listen.bind(app) as unknown as (
    host: string, port: number, options: number, done: (socket: us_listen_socket | false) => void,
  ) => void;
  // Calls back before it returns.
  listenExclusively(address, port, uws.LIBUS_LISTEN_EXCLUSIVE_PORT, (socket) => { bound = socket; });
  return bound;
}

/** Of IPv6, as in a URL. */
export function withoutBrackets(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1');
}

/** uWebSockets.js says only that it failed, and gRPC not always why; Node, asked for the same, does. */
export async function whyNot(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'unknown reason'));
    probe.listen({ host, port, exclusive: true }, () => probe.close(() => resolve('unknown reason')));
  });
}
