// What it tells of itself.
import Type from 'typebox';
import { row, yesNo } from '../option.ts';

export const observationOptions = {
  debug: yesNo(false, {
    group: 'Observation', flag: 'debug', env: ['DEBUG'], shared: true,
    help: 'Log level debug, unless a level is given.' }),
  logLevel: Type.Enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], { default: 'info', ...row({
    group: 'Observation', flag: 'log-level', env: ['LOG_LEVEL', 'EMB_PROVIDER_LOG_LEVEL'],
    help: 'Least severe level that is logged. debug logs each request. WARNING and CRITICAL work too.',
    spellings: { warning: 'warn', critical: 'fatal' } }) }),
  metricsEnabled: yesNo(true, {
    group: 'Observation', flag: 'metrics', env: ['ENABLE_METRICS'], help: 'Serve GET /metrics.' }),
};
