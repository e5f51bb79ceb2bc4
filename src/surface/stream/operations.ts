// The path of the WebSocket transport, as HTTP sees it: where it is described, and what a request without an upgrade
// gets.
import Type from 'typebox';
import { ServerError } from '../../errors.ts';
import type { Operation } from '../../operation.ts';
import { detailError } from '../detail-errors.ts';

const socketPath = '/v1/stream';

const SocketHeaders = Type.Object({
  Upgrade: Type.Literal('websocket'),
  'Sec-WebSocket-Protocol': Type.Optional(Type.String({
    description: "`ortserve.v1`, or nothing. A browser, which cannot send a key's header, offers `bearer.<key>` beside it, the key percent-encoded.",
  })),
  Origin: Type.Optional(Type.String({
    description: "Of the page that connects: the server's own, or one that CORS_ORIGINS allows; else 403.",
  })),
});

/** `group` is where the description lists it; its errors must have the shape of `detailError`. */
export function socketOperation(group: string): Operation<undefined, undefined> {
  return {
    name: 'websocket.connect',
    method: 'GET',
    path: socketPath,
    summary: 'WebSocket: all operations over one connection, answered item by item (docs/websocket.md).',
    group,
    scope: 'infer',
    unlimited: true,
    headerSchema: SocketHeaders,
    upgrade: { protocol: 'websocket', description: 'The connection is a WebSocket; the server says `hello` first.' },
    decode: () => {
      throw upgradeRequired();
    },
    run: () => undefined,
    encode: () => {
      throw upgradeRequired();
    },
    encodeError: (error) => {
      const reply = detailError(error);
      return error.code === 'UPGRADE_REQUIRED' ? { ...reply, headers: { upgrade: 'websocket', connection: 'upgrade' } } : reply;
    },
  };
}

function upgradeRequired(): ServerError {
  return new ServerError('UPGRADE_REQUIRED', "This path is for WebSocket: the request lacks 'Upgrade: websocket'.");
}
