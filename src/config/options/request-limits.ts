// What one request may be.
import Type from 'typebox';
import { bodyBytesInFlightMax, inputTokenIdsMax, openaiInputsMax } from '../../limits.ts';
import { row, timerMsMax, upTo } from '../option.ts';

const charsMax = 100_000_000;
const inputsMax = 65_536;

export const requestLimitsOptions = {
  textCharsMax: upTo(charsMax, 8192, {
    group: 'Request limits', flag: 'max-text-length', env: ['MAX_TEXT_LENGTH'],
    help: 'Longest text in characters on the FastEmbed paths.' }),
  inputCharsMax: upTo(charsMax, 131_072, {
    group: 'Request limits', flag: 'max-input-length', env: ['MAX_INPUT_LENGTH'],
    help: 'Longest input in characters on the OpenAI and TEI paths.' }),
  batchInputsMax: upTo(inputsMax, 32, {
    group: 'Request limits', flag: 'max-batch-size', env: ['MAX_BATCH_SIZE'],
    help: 'Most texts in one request on the FastEmbed and TEI paths.' }),
  openaiInputsMax: upTo(inputsMax, openaiInputsMax, {
    group: 'Request limits', flag: 'openai-max-batch-size',
    env: ['OPENAI_MAX_BATCH_SIZE', 'EMB_PROVIDER_MAX_BATCH_SIZE'],
    help: 'Most inputs in one request on the OpenAI paths and /embeddings/compute.' }),
  sequenceResiduesMax: upTo(inputTokenIdsMax - 1, 10_000, {
    group: 'Request limits', flag: 'max-sequence-length', env: ['MAX_SEQUENCE_LENGTH'],
    help: 'Longest protein sequence in residues on /embeddings/compute.' }),
  requestTimeoutMs: Type.Integer({ minimum: 1, maximum: timerMsMax, default: 300_000, ...row({
    group: 'Request limits', flag: 'request-timeout', env: ['REQUEST_TIMEOUT'], unit: 'seconds',
    help: 'A request not finished by then is answered with 504.' }) }),
  requestBytesMax: Type.Integer({ minimum: 1024, maximum: bodyBytesInFlightMax, default: 10 * 1024 * 1024, ...row({
    group: 'Request limits', flag: 'max-request-size', env: ['MAX_REQUEST_SIZE'], unit: 'bytes',
    help: 'Largest request body; a larger one is answered with 413.' }) }),
  socketIdleMs: Type.Integer({ minimum: 8000, maximum: 960_000, default: 120_000, ...row({
    group: 'Request limits', flag: 'websocket-idle-timeout', env: ['WEBSOCKET_IDLE_TIMEOUT'], unit: 'seconds',
    help: 'A WebSocket whose client has sent nothing for this long, not even the answer to a ping, is closed.' }) }),
};
