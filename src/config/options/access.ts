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
