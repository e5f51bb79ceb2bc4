// A relay in front of the server that breaks connections when the test says so.
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import type { TestContext } from 'node:test';

export class SocketRelay {
  port = 0;
  readonly #sockets = new Set<Socket>();

  static async open(t: TestContext, target: number): Promise<SocketRelay> {
    const relay = new SocketRelay();
    const server = createServer((near) => {
      const far = connect(target, '127.0.0.1');
      for (const socket of [near, far]) {
        relay.#sockets.add(socket);
        socket.on('error', () => {});
        socket.on('close', () => {
          relay.#sockets.delete(socket);
          near.destroy();
          far.destroy();
        });
      }
      near.pipe(far).pipe(near);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    relay.port = (server.address() as AddressInfo).port;
    t.after(() => {
      relay.breakAll();
      server.close();
    });
    return relay;
  }

  breakAll(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }
}
