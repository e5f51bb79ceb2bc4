import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { ExitError, commands, exitCodes, helpText, readCommandLine } from '../../src/command/cli.ts';
import type { Invocation } from '../../src/command/cli.ts';
import type { Config } from '../../src/config.ts';

const world = { environment: {}, directory: join(tmpdir(), 'no-such-folder') };
const read = (...argv: readonly string[]): Invocation => readCommandLine(argv, world);

function served(...argv: readonly string[]): Config {
  const invocation = read(...argv);
  assert.equal(invocation.command, 'serve');
  assert.ok('config' in invocation);
  return invocation.config;
}

function refusal(...argv: readonly string[]): ExitError {
  try {
    read(...argv);
  } catch (error) {
    assert.ok(error instanceof ExitError);
    return error;
  }
  return assert.fail(`${argv.join(' ')} was taken`);
}

describe('commands', () => {
  test('without a command the server starts', () => {
    assert.equal(served().port, 8000);
    assert.equal(served('serve', '--port', '1').port, 1);
    assert.equal(served('--port', '1', 'serve').port, 1);
  });

  test('each command has a name, and some a flag', () => {
    for (const [name, { operands }] of Object.entries(commands)) {
      const needed = operands.filter((operand) => !operand.startsWith('['));
      assert.equal(read(name, ...needed).command, name);
    }
    assert.match(refusal('warm').message, /warm needs a FILE/);
    assert.equal(read('--help').command, 'help');
    assert.equal(read('-h').command, 'help');
    assert.equal(read('--version').command, 'version');
    assert.equal(read('-v').command, 'version');
    assert.equal(read('serve', '--print-config').command, 'print-config');
  });

  test('help is given whatever else is wrong', () => {
    assert.equal(read('--help', '--bogus', '--port=x').command, 'help');
    assert.equal(read('--version', '--help').command, 'help');
  });

  test('an unknown command is a usage error that names the nearest', () => {
    const error = refusal('sevre');
    assert.equal(error.exitCode, 2);
    assert.match(error.message, /There is no command "sevre"\. Did you mean serve\?/);
    assert.match(refusal('serve', 'twice').message, /"twice" is one word too many/);
    assert.match(refusal('constructor').message, /There is no command "constructor"/);
  });
});

describe('flags', () => {
  test('take their value after a space or an equals sign; the last one counts', () => {
    assert.equal(served('--max-request-size', '1MB').requestBytesMax, 1_048_576);
    assert.equal(served('--max-request-size=1MB').requestBytesMax, 1_048_576);
    assert.equal(served('--port=1', '--port=2').port, 2);
  });

  test('that are yes or no need no value and can be negated', () => {
    assert.equal(served('--trust-proxy').trustProxy, true);
    assert.equal(served('--no-cors').corsEnabled, false);
    assert.equal(served('--cors=false').corsEnabled, false);
    assert.equal(served('--no-cors', '--cors').corsEnabled, true);
    assert.match(refusal('--no-cors=1').message, /--no-cors takes no value/);
  });

  test('that are unknown are a usage error, all in one message', () => {
    const error = refusal('--prot', '1', '--frobnicate', '-x');
    assert.equal(error.exitCode, 2);
    assert.deepEqual(error.message.split('\n'), [
      'There is no option "--prot". Did you mean --port?', 'There is no option "--frobnicate".',
      'There is no option "-x".', 'Try --help.',
    ]);
  });

  test('without their value are a usage error, even when another flag follows', () => {
    assert.match(refusal('--port').message, /--port needs a value/);
    assert.match(refusal('--port', '--debug').message, /--port needs a value/);
    assert.match(refusal('--port', '--', '5').message, /--port needs a value/);
  });

  test('with a bad value are a configuration error, together with bad variables', () => {
    try {
      readCommandLine(['--port=abc'], { ...world, environment: { MAX_BATCH_SIZE: '0' } });
      assert.fail();
    } catch (error) {
      assert.ok(error instanceof ExitError);
      assert.equal(error.exitCode, 78);
      assert.match(error.message, /^--port="abc": must be a whole number/);
      assert.match(error.message, /\nMAX_BATCH_SIZE="0": must be a whole number/);
    }
  });
});

describe('output', () => {
  test('help shows commands, options and exit codes in 100 columns', () => {
    const help = helpText();
    for (const name of Object.keys(commands)) assert.ok(help.includes(`  ${name} `), name);
    for (const { code } of Object.values(exitCodes)) assert.ok(help.includes(`\n  ${code} `), String(code));
    assert.ok(help.includes('--workers <auto|number>'));
    for (const line of help.split('\n')) assert.ok(line.length <= 100, line);
  });

  test('print-config is JSON with each value and its origin, secrets masked', () => {
    const invocation = readCommandLine(['--print-config', '--port=1', '--redis-url=redis://u:hunter2@h'], world);
    assert.ok(invocation.command === 'print-config');
    const printed = JSON.parse(invocation.text);
    assert.deepEqual(printed.port, { value: 1, from: '--port' });
    assert.deepEqual(printed.host, { value: '127.0.0.1', from: 'default' });
    assert.deepEqual(printed.redisUrl, { value: '***', from: '--redis-url' });
    assert.ok(!invocation.text.includes('hunter2'));
  });

  test('warnings come with the invocation', () => {
    const { warnings } = readCommandLine([], { ...world, environment: { MAX_BATCHSIZE: '1' } });
    assert.deepEqual(warnings, ['MAX_BATCHSIZE is not an option of this server. Did you mean MAX_BATCH_SIZE?']);
  });

  test('the exit codes are those of sysexits.h, and differ', () => {
    const codes = Object.values(exitCodes).map(({ code }) => code);
    assert.deepEqual(codes, [0, 2, 69, 70, 78]);
    assert.equal(new ExitError('unavailable', 'x').exitCode, 69);
  });
});
