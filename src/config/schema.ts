// Every option of the server, once: what it may be, how it is named outside, and what it means.
// The environment reader, the flags, the help text, the README table and the type Config all come from here.
import Type, { type Static } from 'typebox';
import { bodyBytesInFlightMax, inputTokenIdsMax, openaiInputsMax, runTokensMin } from '../limits.ts';

export const groups = ['Server', 'Model', 'Hub', 'Computation', 'Request limits', 'Access', 'Observation', 'Embedding cache', 'Storage'] as const;

/** What a schema cannot say about an option. */
export type OptionRow = {
  readonly group: (typeof groups)[number];
  /** Without the dashes. A boolean also gets `--no-…`. */
  readonly flag: string;
  /** The first is the option's name; the others are aliases and lose to it. */
  readonly env: readonly [string, ...string[]];
  /** One sentence or two for help and README. */
  readonly help: string;
  /** What the number is outside; inside it is milliseconds or bytes. */
  readonly unit?: 'seconds' | 'bytes';
  /** Masked wherever it is shown; may also stand in the file that `<NAME>_FILE` names. */
  readonly secret?: true;
  /** What is allowed, in words, where type and bounds do not say it. */
  readonly allowed?: string;
  /** Other spellings of a choice, in lower case without `-` and `_`. */
  readonly spellings?: Readonly<Record<string, string>>;
  /** A value we cannot read is ignored with a warning: other programs use the same variable. */
  readonly shared?: true;
};

// Timers take at most 2^31 - 1 ms; a longer one would fire at once.
const timerMsMax = 2_147_483_000;
const threadsMax = 256;
const charsMax = 100_000_000;
const inputsMax = 65_536;

const poolingSpellings = {
  clstoken: 'cls', meantokens: 'mean', average: 'mean', maxtokens: 'max', last: 'lastToken',
  meansqrtlen: 'meanSqrtLength', meansqrtlentokens: 'meanSqrtLength', weightedmeantokens: 'weightedMean',
};

const row = (option: OptionRow): { option: OptionRow } => ({ option });
const autoOr = (minimum: number, maximum: number, option: OptionRow) =>
  Type.Union([Type.Literal('auto'), Type.Integer({ minimum, maximum })], { default: 'auto', option });
const upTo = (maximum: number, value: number, option: OptionRow) =>
  Type.Integer({ minimum: 1, maximum, default: value, option });
const yesNo = (value: boolean, option: OptionRow) => Type.Boolean({ default: value, option });

export const configSchema = Type.Object({
  host: Type.String({ minLength: 1, maxLength: 255, default: '127.0.0.1', ...row({
    group: 'Server', flag: 'host', env: ['HOST', 'EMB_PROVIDER_HOST'],
    help: 'Address to listen on; 0.0.0.0 listens on all.' }) }),
  port: Type.Integer({ minimum: 0, maximum: 65_535, default: 8000, ...row({
    group: 'Server', flag: 'port', env: ['PORT', 'EMB_PROVIDER_PORT'],
    help: 'Port to listen on; 0 takes a free one.' }) }),
  drainDelayMs: Type.Integer({ minimum: 0, maximum: timerMsMax, default: 0, ...row({
    group: 'Server', flag: 'drain-delay', env: ['DRAIN_DELAY'], unit: 'seconds',
    help: 'After SIGTERM, how long to answer on as before while /readyz says no, so that load balancers notice.' }) }),
  shutdownTimeoutMs: Type.Integer({ minimum: 0, maximum: timerMsMax, default: 30_000, ...row({
    group: 'Server', flag: 'shutdown-timeout', env: ['SHUTDOWN_TIMEOUT'], unit: 'seconds',
    help: 'How long running requests may take to finish after that.' }) }),

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
    help: 'Folder of tensor models, name/version/model.onnx each. Unset: the two demo versions that come with the server.' }) })),
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
    help: 'Models that stay loaded, besides the first one.' }) }),
  allowDimensions: yesNo(false, {
    group: 'Model', flag: 'allow-dimensions', env: ['ALLOW_DIMENSIONS'],
    help: 'Cut vectors to any `dimensions` a client asks for, though the model was not trained for it.' }),

  // Other programs use these too; what is wrong with them matters only where a hub is asked: hub/settings.ts.
  hubEndpoint: Type.String({ minLength: 1, default: 'https://huggingface.co', ...row({
    group: 'Hub', flag: 'hub-endpoint', env: ['HF_ENDPOINT'], allowed: 'a URL such as https://hub.example.com',
    help: 'The Hugging Face hub, or a mirror of it, that models are pulled from.' }) }),
  hubToken: Type.Optional(Type.String({ minLength: 1, ...row({
    group: 'Hub', flag: 'hub-token', env: ['HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN'], secret: true,
    help: 'Token for private and gated repositories. Unset: what `hf auth login` has left.' }) })),
  hubTokenPath: Type.Optional(Type.String({ minLength: 1, ...row({
    group: 'Hub', flag: 'hub-token-path', env: ['HF_TOKEN_PATH'], help: 'That file. Unset: token in HF_HOME.' }) })),
  hubOffline: yesNo(false, {
    group: 'Hub', flag: 'hub-offline', env: ['HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE'], shared: true,
    help: 'Use what the cache has and ask the hub for nothing.' }),
  hubHome: Type.Optional(Type.String({ minLength: 1, ...row({
    group: 'Hub', flag: 'hub-home', env: ['HF_HOME'],
    help: 'Folder that Hugging Face programs share. Unset: huggingface in XDG_CACHE_HOME.' }) })),
  hubCache: Type.Optional(Type.String({ minLength: 1, ...row({
    group: 'Hub', flag: 'hub-cache', env: ['HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE'],
    help: 'Folder for pulled models, laid out as Python\'s huggingface_hub does. Unset: hub in HF_HOME.' }) })),
  cacheHome: Type.Optional(Type.String({ minLength: 1, ...row({
    group: 'Hub', flag: 'cache-home', env: ['XDG_CACHE_HOME'],
    help: 'Folder for the caches of all programs. Unset: .cache in the home folder.' }) })),
  hubRequestTimeoutMs: Type.Integer({ minimum: 1, maximum: timerMsMax, default: 10_000, ...row({
    group: 'Hub', flag: 'hub-timeout', env: ['HF_HUB_ETAG_TIMEOUT'], unit: 'seconds', shared: true,
    help: 'How long the hub may take to say what a repository has.' }) }),
  hubDownloadTimeoutMs: Type.Integer({ minimum: 1, maximum: timerMsMax, default: 10_000, ...row({
    group: 'Hub', flag: 'hub-download-timeout', env: ['HF_HUB_DOWNLOAD_TIMEOUT'], unit: 'seconds', shared: true,
    help: 'How long a download may stand still before it is resumed.' }) }),
  modelBytesMax: Type.Integer({ minimum: 1024, maximum: 1024 ** 4, default: 32 * 1024 ** 3, ...row({
    group: 'Hub', flag: 'max-model-size', env: ['MAX_MODEL_SIZE'], unit: 'bytes',
    help: 'Largest model that is pulled, all its files together.' }) }),
  quiet: yesNo(false, {
    group: 'Hub', flag: 'quiet', env: ['HF_HUB_DISABLE_PROGRESS_BARS'], shared: true,
    help: 'Show no progress while pulling; without a terminal there is none anyway.' }),

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
    help: 'Most inputs in one request on the OpenAI paths.' }),
  requestTimeoutMs: Type.Integer({ minimum: 1, maximum: timerMsMax, default: 300_000, ...row({
    group: 'Request limits', flag: 'request-timeout', env: ['REQUEST_TIMEOUT'], unit: 'seconds',
    help: 'A request not finished by then is answered with 504.' }) }),
  requestBytesMax: Type.Integer({ minimum: 1024, maximum: bodyBytesInFlightMax, default: 10 * 1024 * 1024, ...row({
    group: 'Request limits', flag: 'max-request-size', env: ['MAX_REQUEST_SIZE'], unit: 'bytes',
    help: 'Largest request body; a larger one is answered with 413.' }) }),

  apiKey: Type.Optional(Type.String({ minLength: 16, maxLength: 1000, ...row({
    group: 'Access', flag: 'api-key', env: ['API_KEY'], secret: true,
    allowed: 'at least 16 characters',
    help: 'One key that may do everything. Without any key, whoever reaches the server may use it.' }) })),
  apiKeysFile: Type.Optional(Type.String({ minLength: 1, ...row({
    group: 'Access', flag: 'api-keys-file', env: ['API_KEYS_FILE'],
    help: 'JSON list of keys: name, key or sha256, scopes (infer, admin, metrics), expires. Read again when it changes.' }) })),
  allowAdminWithoutKeys: yesNo(false, {
    group: 'Access', flag: 'allow-admin-without-keys', env: ['ALLOW_ADMIN_WITHOUT_KEYS'],
    help: 'Let everybody administer a server without keys that other machines reach.' }),
  allowedModels: Type.Array(Type.String({ minLength: 1 }), { maxItems: 1000, default: [], ...row({
    group: 'Access', flag: 'allowed-models', env: ['ALLOWED_MODELS'],
    allowed: 'a comma list or a JSON list of model names',
    help: 'Models that clients may ask for; others are answered with 403. Empty: all.' }) }),
  corsEnabled: yesNo(true, {
    group: 'Access', flag: 'cors', env: ['ENABLE_CORS'], help: 'Let web pages of other origins call the server.' }),
  corsOrigins: Type.Array(Type.String({ pattern: '^(\\*|[a-z][a-z0-9+.-]*://[^/\\s*]+)$' }), {
    maxItems: 1000, default: ['*'], ...row({
      group: 'Access', flag: 'cors-origins', env: ['CORS_ORIGINS'], help: 'Those origins; * is any.',
      allowed: 'a comma list or a JSON list of * or origins such as https://example.com, without a path' }) }),
  rateLimitEnabled: yesNo(false, {
    group: 'Access', flag: 'rate-limit', env: ['ENABLE_RATE_LIMIT'],
    help: 'Limit the requests of each client address.' }),
  rateLimitRequestsPerMinute: upTo(1_000_000_000, 60, {
    group: 'Access', flag: 'rate-limit-requests', env: ['RATE_LIMIT_REQUESTS'],
    help: 'Requests a minute for each client address; above it they are refused with 429.' }),
  trustProxy: yesNo(false, {
    group: 'Access', flag: 'trust-proxy', env: ['TRUST_PROXY'],
    help: 'Take the client address from X-Forwarded-For. Only behind a proxy that sets it.' }),

  debug: yesNo(false, {
    group: 'Observation', flag: 'debug', env: ['DEBUG'], shared: true,
    help: 'Log level debug, unless a level is given.' }),
  logLevel: Type.Enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], { default: 'info', ...row({
    group: 'Observation', flag: 'log-level', env: ['LOG_LEVEL', 'EMB_PROVIDER_LOG_LEVEL'],
    help: 'Least severe level that is logged. debug logs each request. WARNING and CRITICAL work too.',
    spellings: { warning: 'warn', critical: 'fatal' } }) }),
  metricsEnabled: yesNo(true, {
    group: 'Observation', flag: 'metrics', env: ['ENABLE_METRICS'], help: 'Serve GET /metrics.' }),

  embeddingCacheEnabled: yesNo(true, {
    group: 'Embedding cache', flag: 'embedding-cache', env: ['ENABLE_EMBEDDING_CACHE'],
    help: 'Answer equal inputs with the vector that is known, here or in Redis, and compute equal ones at the same time once.' }),
  embeddingCacheBytesMax: Type.Integer({ minimum: 0, maximum: 1024 ** 4, default: 32 * 1024 * 1024, ...row({
    group: 'Embedding cache', flag: 'embedding-cache-size', env: ['EMBEDDING_CACHE_SIZE', 'EMBEDDING_CACHE_BYTES'], unit: 'bytes',
    help: 'Memory for vectors in this process; 0 keeps none here.' }) }),
  embeddingCacheTtlMs: Type.Integer({ minimum: 1000, maximum: 3_153_600_000_000, default: 604_800_000, ...row({
    group: 'Embedding cache', flag: 'embedding-cache-ttl', env: ['EMBEDDING_CACHE_TTL'], unit: 'seconds',
    help: 'How long a vector is kept that nobody asks for.' }) }),
  embeddingCacheSliding: yesNo(true, {
    group: 'Embedding cache', flag: 'embedding-cache-sliding', env: ['EMBEDDING_CACHE_SLIDING'],
    help: 'Use prolongs a vector\'s time; else it ends that long after it was computed.' }),
  embeddingCachePrecision: Type.Enum(['lossless', 'fp16', 'int8'], { default: 'lossless', ...row({
    group: 'Embedding cache', flag: 'embedding-cache-precision', env: ['EMBEDDING_CACHE_PRECISION'],
    help: 'How vectors are stored in Redis. lossless gives the same bits; fp16 an error of at most 1/2048 of a value; ' +
      'int8 one of at most 1/254 of the vector\'s largest value.' }) }),

  redisUrl: Type.Optional(Type.String({ pattern: '^(rediss?://\\S+|/\\S+)$', ...row({
    group: 'Storage', flag: 'redis-url', env: ['REDIS_URL'], secret: true,
    help: 'Redis for what several servers share. Unset: none. Other users of the machine can read flags: ' +
      'prefer the environment or REDIS_URL_FILE.',
    allowed: 'redis://…, rediss://… or the path of a socket' }) })),
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
});

type Values = Static<typeof configSchema>;

/** All options, checked and frozen. Durations are in milliseconds, sizes in bytes. `device` is never `mps`. */
export type Config = {
  readonly [Name in keyof Values]: Values[Name] extends (infer Item)[] ? readonly Item[] : Values[Name];
};

export type OptionName = keyof Config;

/** The part of JSON Schema that options use. */
export type OptionSchema = {
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly anyOf?: readonly { readonly const?: string; readonly minimum?: number; readonly maximum?: number }[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly default?: unknown;
  readonly option: OptionRow;
};

/** Every option in the order of the schema. */
export const options = Object.entries(configSchema.properties) as unknown as OptionEntries;

type OptionEntries = readonly (readonly [OptionName, OptionSchema])[];
