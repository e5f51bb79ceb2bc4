import assert from 'node:assert/strict';
import { test } from 'node:test';
import { measureRunCost } from '../../src/backend/probe.ts';

/** A machine whose runs cost a start and a price a token that rises beyond the cache. */
function machine(startMs: number, cacheTokens: number) {
  const probes: [number, number][] = [];
  const probe = (count: number, tokens: number) => {
    probes.push([count, tokens]);
    const all = count * tokens;
    const runMs = startMs + Math.min(all, cacheTokens) * 0.2 + Math.max(0, all - cacheTokens) * 0.3;
    return Promise.resolve([{ ok: true as const, runMs }, { ok: true as const, runMs: runMs * 1.1 }]);
  };
  return { probe, probes };
}

test('the run grows while tokens get cheaper and stops where they do not', async () => {
  const { probe } = machine(2, 128);
  const cost = await measureRunCost({ fixedTokensMax: 'auto', inputTokensMax: 256, probe });
  assert.equal(cost.tokensMax, 128);
});

test('a device that is never full gets the largest run', async () => {
  const probe = (_count: number, _tokens: number) => Promise.resolve([{ ok: true as const, runMs: 5 }]);
  const cost = await measureRunCost({ fixedTokensMax: 'auto', inputTokensMax: 256, probe });
  assert.equal(cost.tokensMax, 16_384);
});

test('a run that takes long is not taken for a few percent, however slow the machine', async () => {
  const sizeOf = async (slowness: number) => {
    const probe = (count: number, tokens: number) => {
      const runMs = slowness * (4 + count * tokens * 0.2);
      return Promise.resolve([{ ok: true as const, runMs }]);
    };
    return (await measureRunCost({ fixedTokensMax: 'auto', inputTokensMax: 256, probe })).tokensMax;
  };
  // 512 tokens would take 106 ms, 128 on the slowest machine 1.5 s.
  assert.deepEqual(await Promise.all([0.1, 1, 50].map(sizeOf)), [512, 256, 128]);
});

test('the start of a run is learnt in tokens', async () => {
  const { probe } = machine(4, 100_000);
  const { overheadTokens } = await measureRunCost({ fixedTokensMax: 1024, inputTokensMax: 256, probe });
  assert.ok(overheadTokens >= 15 && overheadTokens <= 20, String(overheadTokens));
});

test('where other work disturbs all but the shortest runs, starting one still costs something', async () => {
  const { probe } = machine(2, 100_000);
  const disturbed = async (count: number, tokens: number) => {
    return (await probe(count, tokens)).map(({ ok, runMs }) => ({ ok, runMs: count > 1 ? runMs * 2 : runMs }));
  };
  const { overheadTokens } = await measureRunCost({ fixedTokensMax: 1024, inputTokensMax: 256, probe: disturbed });
  assert.equal(overheadTokens, 6);
});

test('a configured size is taken as it is', async () => {
  const { probe, probes } = machine(2, 128);
  assert.equal((await measureRunCost({ fixedTokensMax: 200, inputTokensMax: 256, probe })).tokensMax, 200);
  assert.ok(probes.every(([count, tokens]) => count * tokens <= 208));
});

test('a model shorter than the probe is probed at its own length', async () => {
  const { probe, probes } = machine(2, 128);
  await measureRunCost({ fixedTokensMax: 'auto', inputTokensMax: 8, probe });
  assert.ok(probes.every(([, tokens]) => tokens <= 8));
});
