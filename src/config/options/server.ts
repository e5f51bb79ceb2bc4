// Where it listens and how it ends.
import Type from 'typebox';
import { row, timerMsMax } from '../option.ts';

export const serverOptions = {
  host: Type.String({ minLength: 1, maxLength: 255, default: '127.0.0.1', ...row({
    group: 'Server', flag: 'host', env: ['HOST', 'EMB_PROVIDER_HOST'],
    help: 'Address to listen on; 0.0.0.0 listens on all.' }) }),
  port: Type.Integer({ minimum: 0, maximum: 65_535, default: 8000, ...row({
    group: 'Server', flag: 'port', env: ['PORT', 'EMB_PROVIDER_PORT'],
    help: 'Port to listen on; 0 takes a free one.' }) }),
  grpcPort: Type.Optional(Type.Integer({ minimum: 0, maximum: 65_535, ...row({
    group: 'Server', flag: 'grpc-port', env: ['GRPC_PORT'],
    help: 'Port for gRPC (KServe v2: inference.GRPCInferenceService); 0 takes a free one. Unset: no gRPC.' }) })),
  drainDelayMs: Type.Integer({ minimum: 0, maximum: timerMsMax, default: 0, ...row({
    group: 'Server', flag: 'drain-delay', env: ['DRAIN_DELAY'], unit: 'seconds',
    help: 'After SIGTERM, how long to answer on as before while /readyz says no, so that load balancers notice.' }) }),
  shutdownTimeoutMs: Type.Integer({ minimum: 0, maximum: timerMsMax, default: 30_000, ...row({
    group: 'Server', flag: 'shutdown-timeout', env: ['SHUTDOWN_TIMEOUT'], unit: 'seconds',
    help: 'How long running requests may take to finish after that.' }) }),
  stuckMsMax: Type.Integer({ minimum: 0, maximum: timerMsMax, default: 300_000, ...row({
    group: 'Server', flag: 'stuck-timeout', env: ['STUCK_TIMEOUT'], unit: 'seconds',
    help: 'A model that does not come back from a run or a load for this long is stuck: it answers 503, the others ' +
      'finish what runs, and the process is replaced. 0: never.' }) }),
  onStuck: Type.Enum(['replace', 'exit'], { default: 'replace', ...row({
    group: 'Server', flag: 'on-stuck', env: ['ON_STUCK'],
    help: 'How it is replaced: by a fresh one of its own, or by ending, for a supervisor that starts it again.' }) }),
};
