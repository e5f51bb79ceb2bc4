// The path of the WebSocket transport, as HTTP sees it: where it is described, and what a request without an upgrade
// gets.
import Type from 'typebox';
import { ServerError } from '../../errors.ts';
import type { Operation } from '../../operation.ts';
import { detailError } from '../detail-errors.ts';

const socketPath = '/v1/stream';

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
    responseSchema: Type.Object({}),
    decode: () => {
      throw new ServerError('UPGRADE_REQUIRED');
    },
    run: () => undefined,
    encode: () => {
      throw new ServerError('UPGRADE_REQUIRED');
    },
    encodeError: (error) => {
      const reply = detailError(error);
      return error.code === 'UPGRADE_REQUIRED' ? { ...reply, headers: { upgrade: 'websocket' } } : reply;
    },
  };
}
