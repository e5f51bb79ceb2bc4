import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { ConfigError, configOf, describeConfig, readConfig } from '../src/config.ts';
import { options } from '../src/config/schema.ts';
import type { ConfigReading } from '../src/config.ts';

function folder(t: TestContext, files: Readonly<Record<string, string>> = {}): string {
  const directory = mkdtempSync(join(tmpdir(), 'ortserve-config-'));
  t.after(() => rmSync(directory, { recursive: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  return directory;
}

/** Reads from these variables only: no .env, no real environment. */
const read = (environment: Readonly<Record<string, string>>): ConfigReading => (
  readConfig({ environment, directory: join(tmpdir(), 'no-such-folder') }));

function problems(environment: Readonly<Record<string, string>>): readonly string[] {
  try {
    read(environment);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.problems;
  }
  return [];
}

describe('where a value comes from', () => {
  test('without anything every option has its default', () => {
    const { config, origins, warnings } = read({});
    assert.equal(config.host, '127.0.0.1');
    assert.equal(config.port, 8000);
    assert.equal(config.workers, 'auto');
    assert.equal(config.requestBytesMax, 10_485_760);
    assert.equal(config.requestTimeoutMs, 300_000);
    assert.deepEqual(config.corsOrigins, ['*']);
    assert.ok(!('modelPath' in config), 'an unset option is absent');
    assert.equal(origins.port, 'default');
    assert.deepEqual(warnings, []);
  });

  test('a flag wins over the environment, that over .env, and that over the default', (t) => {
    const directory = folder(t, { '.env': 'PORT=1\nHOST=from.env\nMAX_BATCH_SIZE=5\n' });
    const environment = { PORT: '2', HOST: 'from-environment' };
    const { config, origins } = readConfig({ flags: new Map([['port', '3']]), environment, directory });
    assert.deepEqual([config.port, config.host, config.batchInputsMax], [3, 'from-environment', 5]);
    assert.equal(origins.port, '--port');
    assert.equal(origins.host, 'HOST');
    assert.equal(origins.batchInputsMax, 'MAX_BATCH_SIZE in .env');
  });

  test('an alias works, and loses to the plain name', () => {
    assert.equal(read({ EMB_PROVIDER_PORT: '9000' }).config.port, 9000);
    assert.equal(read({ EMB_PROVIDER_PORT: '9000', PORT: '8080' }).config.port, 8080);
  });

  test('an alias in the environment wins over the plain name in .env', (t) => {
    const directory = folder(t, { '.env': 'PORT=1' });
    assert.equal(readConfig({ environment: { EMB_PROVIDER_PORT: '2' }, directory }).config.port, 2);
  });

  test('an empty variable is an unset one', () => {
    const { config } = read({ PORT: '', MODEL_PATH: ' ', EMB_PROVIDER_PORT: '9000' });
    assert.equal(config.port, 9000);
    assert.ok(!('modelPath' in config));
  });

  test('a secret may stand in a file', (t) => {
    const directory = folder(t, { secret: 'redis://user:hunter2@host:6379\n', empty: '\n' });
    const { config, origins } = readConfig({ environment: { REDIS_URL_FILE: join(directory, 'secret') }, directory });
    assert.equal(config.redisUrl, 'redis://user:hunter2@host:6379');
    assert.equal(origins.redisUrl, 'REDIS_URL_FILE');
    assert.match(problems({ REDIS_URL_FILE: join(directory, 'none') })[0] ?? '', /^REDIS_URL_FILE=.* cannot .*ENOENT/);
    assert.match(problems({ REDIS_URL_FILE: join(directory, 'empty') })[0] ?? '', /empty or too large/);
    const both = { REDIS_URL: 'redis://a', REDIS_URL_FILE: join(directory, 'secret') };
    assert.match(problems(both)[0] ?? '', /REDIS_URL and REDIS_URL_FILE are both set/);
  });
});

describe('what a value may be', () => {
  test('the variables of the FastEmbed service work with their own values', () => {
    const { config, warnings } = read({
      HOST: '0.0.0.0', PORT: '8000', DEBUG: 'false', LOG_LEVEL: 'INFO', THREAD_POOL_WORKERS: '4',
      MAX_TEXT_LENGTH: '8192', MAX_BATCH_SIZE: '32', REQUEST_TIMEOUT: '300',
      MODEL_CACHE_TTL: '3600', MAX_CACHED_MODELS: '5', CLEANUP_INTERVAL: '60',
      ALLOWED_MODELS: '["BAAI/bge-small-en-v1.5", "x"]', ENABLE_CORS: 'True', CORS_ORIGINS: '["*"]',
      ENABLE_RATE_LIMIT: 'False', RATE_LIMIT_REQUESTS: '60', MAX_REQUEST_SIZE: '10485760', ENABLE_METRICS: '1',
    });
    assert.equal(config.workers, 4);
    assert.deepEqual(config.allowedModels, ['BAAI/bge-small-en-v1.5', 'x']);
    assert.equal(config.requestBytesMax, 10_485_760);
    assert.deepEqual(warnings, []);
  });

  test('the variables of the OpenAI-style service work with their own values', () => {
    const { config, warnings } = read({
      EMB_PROVIDER_MODEL_PATH: '/models/x', EMB_PROVIDER_MODEL_NAME: 'all-MiniLM-L12-v2',
      EMB_PROVIDER_MAX_BATCH_SIZE: '32', EMB_PROVIDER_MAX_CONTEXT_LENGTH: '512',
      EMB_PROVIDER_DEVICE: 'cuda', EMB_PROVIDER_HOST: 'localhost',
      EMB_PROVIDER_PORT: '9000', EMB_PROVIDER_LOG_LEVEL: 'WARNING',
    });
    assert.deepEqual([config.modelPath, config.modelName], ['/models/x', 'all-MiniLM-L12-v2']);
    assert.deepEqual([config.openaiInputsMax, config.batchInputsMax, config.contextTokensMax], [32, 32, 512]);
    assert.deepEqual([config.device, config.host, config.port, config.logLevel], ['cuda', 'localhost', 9000, 'warn']);
    assert.deepEqual(warnings, []);
  });

  test('sizes take units of 1024 and durations take seconds or a unit', () => {
    assert.equal(read({ MAX_REQUEST_SIZE: '10MB' }).config.requestBytesMax, 10 * 1024 * 1024);
    assert.equal(read({ MAX_REQUEST_SIZE: '512 KiB' }).config.requestBytesMax, 512 * 1024);
    assert.equal(read({ MAX_REQUEST_SIZE: '2048' }).config.requestBytesMax, 2048);
    assert.equal(read({ REQUEST_TIMEOUT: '0.25' }).config.requestTimeoutMs, 250);
    assert.equal(read({ REQUEST_TIMEOUT: '5m' }).config.requestTimeoutMs, 300_000);
  });

  test('a choice is read in any case and spelling', () => {
    const spellings = { cls: 'cls', lasttoken: 'lastToken', last_token: 'lastToken', 'last-token': 'lastToken',
      MEAN: 'mean', mean_sqrt_len: 'meanSqrtLength', weightedmean: 'weightedMean', pooling_mode: undefined };
    for (const [text, mode] of Object.entries(spellings)) {
      if (mode === undefined) assert.equal(problems({ POOLING: text }).length, 1);
      else assert.equal(read({ POOLING: text }).config.pooling, mode);
    }
    const levels = { Warning: 'warn', CRITICAL: 'fatal', ERROR: 'error', INFO: 'info', DEBUG: 'debug', trace: 'trace' };
    for (const [text, level] of Object.entries(levels)) {
      assert.equal(read({ LOG_LEVEL: text }).config.logLevel, level);
    }
  });

  test('DEBUG means level debug unless a level is given', () => {
    const { config, origins } = read({ DEBUG: 'true' });
    assert.deepEqual([config.logLevel, origins.logLevel], ['debug', 'DEBUG']);
    assert.equal(read({ DEBUG: 'true', LOG_LEVEL: 'error' }).config.logLevel, 'error');
    assert.equal(read({ DEBUG: 'false' }).config.logLevel, 'info');
  });

  test('so is one that other programs take and this one does not; a flag and our own variables are errors', () => {
    const { config, warnings } = read({ HF_HUB_DOWNLOAD_TIMEOUT: '0', HF_HUB_ETAG_TIMEOUT: '99999999' });
    assert.deepEqual([config.hubDownloadTimeoutMs, config.hubRequestTimeoutMs], [10_000, 10_000]);
    assert.match(warnings.join(' '), /^HF_HUB_ETAG_TIMEOUT="99999999": must be .* It is ignored\. HF_HUB_DOWNLOAD_TIMEOUT="0": must be .* It is ignored\.$/);
    const flags = new Map([['hubDownloadTimeoutMs', '0']] as const);
    assert.throws(() => readConfig({ flags, environment: {}, directory: '/nonexistent' }), ConfigError);
    assert.equal(problems({ CLEANUP_INTERVAL: '0' }).length, 1);
  });

  test('a DEBUG meant for other programs is ignored with a warning', () => {
    const { config, warnings } = read({ DEBUG: 'ioredis:*' });
    assert.equal(config.logLevel, 'info');
    assert.match(warnings[0] ?? '', /^DEBUG="ioredis:\*": must be true or false\. It is ignored\.$/);
    assert.throws(() => readConfig({ flags: new Map([['debug', 'ioredis:*']]), environment: {} }), ConfigError);
  });

  test('mps is taken as cpu with a warning', () => {
    const { config, warnings } = read({ DEVICE: 'mps' });
    assert.equal(config.device, 'cpu');
    assert.match(warnings[0] ?? '', /mps/);
    assert.equal(read({ DEVICE: 'cuda:0,1' }).config.device, 'cuda:0,1');
  });
});

describe('bad values', () => {
  test('all are reported at once, one line each, with what is allowed', () => {
    const bad = { PORT: '99999', LOG_LEVEL: 'loud', THREAD_POOL_WORKERS: '0', MAX_REQUEST_SIZE: 'big' };
    assert.deepEqual([...problems(bad)].sort(), [
      'LOG_LEVEL="loud": must be one of trace, debug, info, warn, error, fatal, silent.',
      'MAX_REQUEST_SIZE="big": must be bytes from 1KB to 512MB, or like 512KB, 10MB.',
      'PORT="99999": must be a whole number from 0 to 65535.',
      'THREAD_POOL_WORKERS="0": must be auto or a whole number from 1 to 256.',
    ]);
  });

  test('each names the flag, or the variable and the .env file, that gave it', (t) => {
    const directory = folder(t, { '.env': 'PORT=x' });
    const reading = () => readConfig({ flags: new Map([['workers', '-1']]), environment: {}, directory });
    assert.throws(reading, (error: ConfigError) => {
      assert.deepEqual(error.problems.map((line) => line.split(':')[0]), ['PORT="x" in .env', '--workers="-1"']);
      return true;
    });
  });

  test('an address that no client of Redis can read is refused before one shows it in an error', () => {
    for (const password of ['hunter2/x', 'hunter2%x']) {
      const [problem] = problems({ REDIS_URL: `redis://user:${password}@host:6379` });
      assert.match(problem ?? '', /^REDIS_URL=\*\*\*: must be redis:/);
    }
    for (const url of ['redis://user:hunter2%2Fx@host:6379/1', 'rediss://[::1]:6379', '/run/redis.sock']) {
      assert.deepEqual(problems({ REDIS_URL: url }), []);
    }
  });

  test('an address of the upstream that no request can be sent to is refused, without the password in it', () => {
    for (const [url, shown] of [
      ['http://host:65536/v1', 'http://host:65536/v1'],
      ['https://user:hunter2@host/v1', 'https://***@host/v1'],
      ['https://hunter2@host', 'https://***@host'],
      ['ftp://user:hunter2@host', 'ftp://***@host'],
    ]) {
      assert.ok(problems({ UPSTREAM_URL: url! })[0]?.startsWith(`UPSTREAM_URL="${shown}": must be a base URL`), url);
    }
    for (const url of ['https://api.openai.com/v1', 'http://[::1]:65535/a@b']) assert.deepEqual(problems({ UPSTREAM_URL: url }), []);
  });

  test('a secret is never shown, neither in a problem nor in the printed config', () => {
    const [problem] = problems({ REDIS_URL: 'http://user:hunter2@host' });
    assert.match(problem ?? '', /^REDIS_URL=\*\*\*: must be redis/);
    const printed = describeConfig(read({ REDIS_URL: 'redis://user:hunter2@host' }));
    assert.ok(!printed.includes('hunter2'));
    assert.deepEqual(JSON.parse(printed).redisUrl, { value: '***', from: 'REDIS_URL' });
    // Such an address is refused only where the hub is asked.
    assert.ok(!describeConfig(read({ HF_ENDPOINT: 'https://user:hunter2@host' })).includes('hunter2'));
  });

  test('numbers are whole and in digits, timers fit a timer, and origins have no path', () => {
    const bad = {
      PORT: '8e3', MAX_BATCH_SIZE: '3.5', REQUEST_TIMEOUT: '999999999', CORS_ORIGINS: 'https://a.example/',
      TRUST_PROXY: 'maybe', DEVICE: 'cuda:', MODEL_NAME: 'a b', ALLOWED_MODELS: '[1]', MAX_REQUEST_SIZE: '2GB',
    };
    for (const [name, value] of Object.entries(bad)) {
      assert.equal(problems({ [name]: value }).length, 1, `${name}=${value}`);
    }
  });

  test("Triton's address has a host and a port, and may have a scheme", () => {
    for (const address of ['triton:8001', '127.0.0.1:8001', '[::1]:8001', 'grpc://triton:8001', 'grpcs://triton.example.com:443']) {
      assert.equal(read({ TRITON_URL: address }).config.tritonUrl, address);
    }
    for (const address of ['triton', 'http://triton:8001', 'triton:8001/path', '::1:8001', 'a b:1', ':8001', 'triton:port', 'triton:0', 'triton:65536']) {
      assert.match(problems({ TRITON_URL: address })[0] ?? '', /must be host:port/, address);
    }
    assert.deepEqual(read({ TRITON_MODEL: 'a, b' }).config.tritonModels, ['a', 'b']);
  });

  test('a long value is cut in its problem', () => {
    assert.ok((problems({ PORT: '9'.repeat(10_000) })[0] ?? '').length < 200);
  });

  test('a context that the queue could never hold is refused', () => {
    assert.match(problems({ MAX_CONTEXT_LENGTH: '512', QUEUE_TOKENS_MAX: '256' })[0] ?? '', /QUEUE_TOKENS_MAX/);
  });
});

describe('unknown variables', () => {
  test('a near miss and an unknown EMB_PROVIDER_ name get a warning with the nearest name', () => {
    const warned: Readonly<Record<string, string | undefined>> = {
      MAX_BATCHSIZE: 'MAX_BATCH_SIZE', RATE_LIMIT_REQUEST: 'RATE_LIMIT_REQUESTS', LOGLEVEL: 'LOG_LEVEL',
      log_level: 'LOG_LEVEL', REDIS_URI: 'REDIS_URL', EMB_PROVIDER_LOGLEVEL: 'EMB_PROVIDER_LOG_LEVEL',
      EMB_PROVIDER_BATCH_SIZE: 'EMB_PROVIDER_MAX_BATCH_SIZE', EMB_PROVIDER_REQUEST_TIMEOUT: 'REQUEST_TIMEOUT',
      EMB_PROVIDER_FOO: undefined,
    };
    for (const [name, meant] of Object.entries(warned)) {
      const advice = meant === undefined ? '' : ` Did you mean ${meant}?`;
      assert.deepEqual(read({ [name]: '1' }).warnings, [`${name} is not an option of this server.${advice}`]);
    }
  });

  test('the variables of other programs get none', () => {
    const names = [
      'HOME', 'PATH', 'PWD', 'OLDPWD', 'SHELL', 'SHLVL', 'TERM', 'USER', 'LOGNAME', 'MAIL', 'LANG', 'LC_ALL',
      'TZ', 'HOSTNAME', 'HOSTTYPE', 'host', 'port', 'debug', 'PORTS', 'POST', 'DISPLAY', 'EDITOR', 'PAGER',
      'LESS', 'SSH_TTY', 'SSH_AUTH_SOCK', 'XDG_DATA_DIRS', 'XDG_RUNTIME_DIR', 'DBUS_SESSION_BUS_ADDRESS',
      'NODE_ENV', 'NODE_OPTIONS', 'NODE_PATH', 'npm_config_host', 'npm_package_name', 'OMP_NUM_THREADS',
      'CUDA_VISIBLE_DEVICES', 'NVIDIA_VISIBLE_DEVICES', 'LD_LIBRARY_PATH', 'MALLOC_ARENA_MAX', 'MALLOC_MMAP_THRESHOLD_',
      'KUBERNETES_PORT', 'KUBERNETES_SERVICE_HOST', 'KUBERNETES_SERVICE_PORT', 'REDIS_PORT', 'REDIS_HOST',
      'REDIS_SERVICE_HOST', 'DATABASE_URL',
      'HF_HOME', 'HF_TOKEN', 'HTTP_PROXY',
      'HTTPS_PROXY', 'NO_PROXY', 'no_proxy', 'CI', 'GITHUB_SHA', 'SERVICE', 'VIRTUAL_ENV', 'PYTHONPATH',
      'JAVA_HOME', 'INVOCATION_ID', 'JOURNAL_STREAM', 'NOTIFY_SOCKET', 'UWS_HTTP_MAX_HEADERS_SIZE',
    ];
    assert.deepEqual(read(Object.fromEntries(names.map((name) => [name, 'x']))).warnings, []);
  });
});

describe('the config object', () => {
  test('is frozen, lists included', () => {
    const { config } = read({ ALLOWED_MODELS: 'a, b' });
    assert.deepEqual(config.allowedModels, ['a', 'b']);
    assert.ok(Object.isFrozen(config) && Object.isFrozen(config.allowedModels));
  });

  test('can be made from values, which are checked too', () => {
    const config = configOf({ port: 0, workers: 1 });
    assert.deepEqual([config.port, config.workers, config.host], [0, 1, '127.0.0.1']);
    assert.throws(() => configOf({ port: -1 }), /port="-1": must be a whole number/);
  });

  test('every option has a flag and a variable of its own', () => {
    const flags = options.map(([, { option }]) => option.flag);
    const variables = options.flatMap(([, { option }]) => option.env);
    assert.equal(new Set(flags).size, flags.length);
    assert.equal(new Set(variables).size, variables.length);
    for (const flag of flags) assert.ok(!flag.startsWith('no-'), `${flag} reads as a negation`);
  });
});
