// Which models there are and how long they stay.
import Type from 'typebox';
import { inputTokenIdsMax } from '../../limits.ts';
import { row, timerMsMax, upTo, yesNo } from '../option.ts';

const poolingSpellings = {
  clstoken: 'cls', meantokens: 'mean', average: 'mean', maxtokens: 'max', last: 'lastToken',
  meansqrtlen: 'meanSqrtLength', meansqrtlentokens: 'meanSqrtLength', weightedmeantokens: 'weightedMean',
};

export const modelOptions = {
  modelPath: Type.Optional(Type.String({ minLength: 1, ...row({
    group: 'Model', flag: 'model-path', env: ['MODEL_PATH', 'EMB_PROVIDER_MODEL_PATH'],
    help: 'Folder of a Hugging Face model with ONNX files. Unset: the embedded all-MiniLM-L6-v2.' }) })),
  models: Type.Array(Type.String({ pattern: '^[\\w.-]+/[\\w.-]+(@[\\w./+-]+)?$' }), {
    maxItems: 1000, default: [], ...row({
      group: 'Model', flag: 'models', env: ['MODELS'],
      allowed: 'a comma list or a JSON list of org/name or org/name@revision',
      help: 'Repositories of the hub to load at start, pulled if they are not in its cache.' }) }),
  modelDirectory: Type.Optional(Type.String({ minLength: 1, ...row({
    group: 'Model', flag: 'model-dir', env: ['MODEL_DIR'],
    help: 'Folder of tensor models, name/version/model.onnx each. Unset: models in DATA_DIR, and the two demo versions that come with the server.' }) })),
  modelName: Type.Optional(Type.String({ pattern: '^[!-~]{1,200}$', ...row({
    group: 'Model', flag: 'model-name', env: ['MODEL_NAME', 'EMB_PROVIDER_MODEL_NAME'],
    help: 'Name that clients ask for. Unset: what the model folder says.',
    allowed: '1 to 200 printable ASCII characters without spaces' }) })),
  precision: Type.Enum(['auto', 'fp32', 'fp16', 'int8'], { default: 'auto', ...row({
    group: 'Model', flag: 'precision', env: ['PRECISION'],
    help: 'Which of the model folder\'s ONNX files to take. int8 is faster and less exact.',
    spellings: { float32: 'fp32', float16: 'fp16', half: 'fp16', qint8: 'int8' } }) }),
  pooling: Type.Optional(Type.Enum(['cls', 'mean', 'max', 'meanSqrtLength', 'weightedMean', 'lastToken'], row({
    group: 'Model', flag: 'pooling', env: ['POOLING'], spellings: poolingSpellings,
    help: 'How token vectors become one vector. Unset: what the model folder says.' }))),
  contextTokensMax: Type.Optional(Type.Integer({ minimum: 8, maximum: inputTokenIdsMax, ...row({
    group: 'Model', flag: 'max-context-length', env: ['MAX_CONTEXT_LENGTH', 'EMB_PROVIDER_MAX_CONTEXT_LENGTH'],
    help: 'Longest input in tokens. Unset: what the model folder says.' }) })),
  modelsMax: upTo(10_000, 5, {
    group: 'Model', flag: 'max-cached-models', env: ['MAX_CACHED_MODELS'],
    help: 'Models loaded at once; the least recently used idle one makes room for another.' }),
  modelIdleMsMax: Type.Integer({ minimum: 0, maximum: timerMsMax, default: 3_600_000, ...row({
    group: 'Model', flag: 'model-cache-ttl', env: ['MODEL_CACHE_TTL'], unit: 'seconds',
    help: 'A model that nobody used for this long is unloaded, and loaded again on demand; 0 keeps it.' }) }),
  cleanupIntervalMs: Type.Integer({ minimum: 100, maximum: timerMsMax, default: 60_000, ...row({
    group: 'Model', flag: 'cleanup-interval', env: ['CLEANUP_INTERVAL'], unit: 'seconds',
    help: 'How often idle models are looked for.' }) }),
  pinnedModels: Type.Array(Type.String({ minLength: 1 }), { maxItems: 1000, default: [], ...row({
    group: 'Model', flag: 'pinned-models', env: ['PINNED_MODELS'],
    allowed: 'a comma list or a JSON list of model names',
    help: 'Models that stay once they are loaded, besides the first one; tensor models by name or name:version.' }) }),
  allowDimensions: yesNo(false, {
    group: 'Model', flag: 'allow-dimensions', env: ['ALLOW_DIMENSIONS'],
    help: 'Cut vectors to any `dimensions` a client asks for, though the model was not trained for it.' }),
};
