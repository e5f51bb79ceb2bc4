// Loaded before a server that is to tell how many bytes it copies: answers each message with the count since the last.
import { countCopies } from '../test/support/copy-counter.ts';

const counter = countCopies(512);
process.on('message', () => process.send?.(counter.take()));
// The question alone must not keep the server alive.
process.channel?.unref();
