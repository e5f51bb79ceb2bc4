// Where the server keeps what must last.
import Type from 'typebox';
import { row, upTo, yesNo } from '../option.ts';

/** A password with a bare `/` or `%` makes a URL that has no meaning. */
function isRedisAddress(text: string): boolean {
  if (/^\/(?!\/)/.test(text)) return true;
  try {
    const { username, password } = new URL(text.startsWith('//') ? `redis:${text}` : text);
    decodeURIComponent(username + password);
    return true;
  } catch {
    return false;
  }
}

export const storageOptions = {
  redisUrl: Type.Optional(Type.String({ pattern: '^(rediss?://\\S+|/\\S+)$', ...row({
    group: 'Storage', flag: 'redis-url', env: ['REDIS_URL'], secret: true,
    help: 'Redis for what several servers share. Unset: none. Other users of the machine can read flags: ' +
      'prefer the environment or REDIS_URL_FILE.',
    isUsable: isRedisAddress,
    allowed: 'redis://…, rediss://… or the path of a socket, with %2F for / in a password and the like' }) })),
  dataDirectory: Type.String({ minLength: 1, default: './data', ...row({
    group: 'Storage', flag: 'data-dir', env: ['DATA_DIR'], help: 'Folder for what the server keeps.' }) }),
  historyEnabled: yesNo(true, {
    group: 'Storage', flag: 'history', env: ['ENABLE_HISTORY'],
    help: 'Keep a row for each inference of the tensor models and serve GET /inference/history.' }),
  mongodbUrl: Type.Optional(Type.String({ pattern: '^mongodb(\\+srv)?://\\S+$', ...row({
    group: 'Storage', flag: 'mongodb-url', env: ['MONGODB_URL'], secret: true,
    help: 'MongoDB for the inference history, database `ortserve` unless the path names one. ' +
      'Unset: a file in the data folder.',
    allowed: 'mongodb://… or mongodb+srv://…' }) })),
  historyFlushMs: Type.Integer({ minimum: 10, maximum: 60_000, default: 200, ...row({
    group: 'Storage', flag: 'history-flush-interval', env: ['HISTORY_FLUSH_INTERVAL'], unit: 'seconds',
    help: 'A row of the history is written at the latest after that; a crash loses no older one.' }) }),
  historyRowsMax: upTo(10_000_000, 100_000, {
    group: 'Storage', flag: 'history-rows', env: ['HISTORY_ROWS'],
    help: 'Rows that the history keeps; the oldest go first.' }),
  historyAgeMsMax: Type.Integer({ minimum: 1000, maximum: 3_153_600_000_000, default: 2_592_000_000, ...row({
    group: 'Storage', flag: 'history-retention', env: ['HISTORY_RETENTION'], unit: 'seconds',
    help: 'Age at which a row of the history goes.' }) }),
};
