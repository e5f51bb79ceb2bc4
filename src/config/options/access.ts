// Who may ask, and from where.
import Type from 'typebox';
import { row, upTo, yesNo } from '../option.ts';

export const accessOptions = {
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
  allowUpload: yesNo(false, {
    group: 'Access', flag: 'allow-upload', env: ['ALLOW_UPLOAD'],
    help: 'Take models from clients that may administer the server. Each is checked in a process of its own first.' }),
  uploadBytesMax: Type.Integer({ minimum: 1024, maximum: 64 * 1024 ** 3, default: 512 * 1024 ** 2, ...row({
    group: 'Access', flag: 'max-upload-size', env: ['MAX_UPLOAD_SIZE'], unit: 'bytes', help: 'Largest model that is taken.' }) }),
  modelCheckMsMax: Type.Integer({ minimum: 100, maximum: 3_600_000, default: 30_000, ...row({
    group: 'Access', flag: 'model-check-timeout', env: ['MODEL_CHECK_TIMEOUT'], unit: 'seconds',
    help: 'How long an uploaded model may take to load and run once.' }) }),
  modelCheckBytesMax: Type.Integer({ minimum: 128 * 1024 ** 2, maximum: 1024 ** 4, default: 2 * 1024 ** 3, ...row({
    group: 'Access', flag: 'model-check-memory', env: ['MODEL_CHECK_MEMORY'], unit: 'bytes',
    help: 'How much memory it may need for that; never more than three quarters of what is free.' }) }),
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
};
