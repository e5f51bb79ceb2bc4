// What models run on, and how much waits for them.
import Type from 'typebox';
import { runTokensMin } from '../../limits.ts';
import { autoOr, row, upTo, yesNo } from '../option.ts';

const threadsMax = 256;

export const computationOptions = {
  workers: autoOr(1, threadsMax, {
    group: 'Computation', flag: 'workers', env: ['THREAD_POOL_WORKERS'],
    help: 'Worker threads, each with its own session of the model. auto: the cores this process may use.' }),
  intraOpThreads: autoOr(1, threadsMax, {
    group: 'Computation', flag: 'intra-op-threads', env: ['INTRA_OP_THREADS'],
    help: 'Threads of each session. auto: the cores divided among the workers, which gives the most texts a second; ' +
      'as many as there are cores makes a lone request up to twice as fast.' }),
  intraOpSpinning: yesNo(false, {
    group: 'Computation', flag: 'intra-op-spinning', env: ['INTRA_OP_SPINNING'],
    help: 'Let idle session threads spin: a little less latency for one request, much less throughput for many.' }),
  cpuArena: yesNo(true, {
    group: 'Computation', flag: 'cpu-arena', env: ['CPU_ARENA'],
    help: 'Keep the memory of finished runs for the next; without it the server is smaller and slower.' }),
  device: Type.String({ pattern: '^(auto|cpu|mps|cuda(:\\d{1,3}(,\\d{1,3})*)?)$', default: 'auto', ...row({
    group: 'Computation', flag: 'device', env: ['DEVICE', 'EMB_PROVIDER_DEVICE'],
    allowed: 'auto, cpu, cuda or cuda:0,1',
    help: 'Where the model runs: auto (CUDA where it works, else the CPU), cpu, cuda or cuda:0,1. mps means cpu.' }) }),
  runTokensMax: autoOr(runTokensMin, 1_048_576, {
    group: 'Computation', flag: 'run-tokens-max', env: ['RUN_TOKENS_MAX'],
    help: 'Padded tokens in one run of the model. auto: the fastest, found at start.' }),
  queueTokensMax: upTo(1_073_741_824, 1_048_576, {
    group: 'Computation', flag: 'queue-tokens-max', env: ['QUEUE_TOKENS_MAX'],
    help: 'Tokens waiting to be computed; above it requests are refused with 429.' }),
};
