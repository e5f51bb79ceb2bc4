// The semantic cache as a drop-in in front of a language model: the official npm client, streams and not.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI, { APIError, InternalServerError, RateLimitError } from 'openai';
import { ChatServer } from '../support/chat-server.ts';
import { startServerProcess } from '../support/server-process.ts';
import { until } from '../support/until.ts';

const question = 'What is the capital of France?';

async function proxied(t: import('node:test').TestContext, options: Record<string, string> = {}) {
  const upstream = await ChatServer.start(t);
  const server = await startServerProcess(t, { UPSTREAM_URL: upstream.url, UPSTREAM_MODEL: 'gpt-test', UPSTREAM_RETRIES: '0', ...options });
  const client = new OpenAI({ apiKey: 'sk-mine', baseURL: `${server.url}/v1`, maxRetries: 0 });
  const ask = (content: string, more: object = {}, headers: Record<string, string> = {}) => client.chat.completions
    .create({ model: 'gpt-test', messages: [{ role: 'user', content }], ...more, stream: false }, { headers }).withResponse();
  const askStream = async (content: string, more: object = {}) => {
    const { data, response } = await client.chat.completions
      .create({ model: 'gpt-test', messages: [{ role: 'user', content }], ...more, stream: true }).withResponse();
    let text = '';
    let usage: unknown;
    let chunks = 0;
    let emptyChunks = 0;
    for await (const chunk of data) {
      chunks += 1;
      if (chunk.choices.length === 0) emptyChunks += 1;
      text += chunk.choices[0]?.delta.content ?? '';
      usage = chunk.usage ?? usage;
    }
    return { text, usage, chunks, emptyChunks, response };
  };
  return { upstream, server, client, ask, askStream };
}

const textOf = (completion: OpenAI.ChatCompletion) => completion.choices[0]!.message.content;

test('the official client, answered by the upstream once and by the cache after that', async (t) => {
  const { upstream, server, ask, askStream } = await proxied(t);

  await t.test('a miss is the upstream\'s own answer; the same again is a hit', async () => {
    const miss = await ask(question);
    assert.equal(textOf(miss.data), ChatServer.answerTo(question, 1));
    assert.equal(miss.response.headers.get('x-cache'), 'miss');
    assert.equal(miss.response.headers.get('x-upstream-request-id'), 'upstream-1');
    const hit = await ask(question);
    assert.deepEqual(hit.data, miss.data);
    assert.equal(hit.response.headers.get('x-cache'), 'hit');
    assert.equal(hit.response.headers.get('x-cache-tier'), 'exact');
    assert.equal(hit.response.headers.get('age'), '0');
    assert.match(hit.response.headers.get('x-cache-entry') ?? '', /./);
    assert.equal(upstream.calls.length, 1);
  });

  await t.test('the same with other words is a hit by meaning', async () => {
    const hit = await ask("What's the capital of France?");
    assert.equal(hit.response.headers.get('x-cache-tier'), 'semantic');
    assert.ok(Number(hit.response.headers.get('x-cache-similarity')) > 0.9);
    assert.equal(textOf(hit.data), ChatServer.answerTo(question, 1));
  });

  await t.test('a stream is answered from what came whole, and a whole from what came as a stream', async () => {
    const replayed = await askStream(question, { stream_options: { include_usage: true } });
    assert.equal(replayed.text, ChatServer.answerTo(question, 1));
    assert.deepEqual(replayed.usage, { prompt_tokens: 7, completion_tokens: 5, total_tokens: 12 });
    assert.equal(replayed.response.headers.get('x-cache'), 'hit');
    const live = await askStream('How deep is the sea?');
    assert.equal(live.text, ChatServer.answerTo('How deep is the sea?', 2));
    assert.ok(live.chunks > 5, 'piece by piece');
    assert.equal(live.response.headers.get('x-cache'), 'miss');
    await until(() => true, 'the entry is there');
    const whole = await ask('How deep is the sea?');
    assert.equal(textOf(whole.data), ChatServer.answerTo('How deep is the sea?', 2));
    assert.equal(upstream.calls.length, 2);
  });

  const others: Record<string, object> = {
    'another system prompt': { messages: [{ role: 'system', content: 'Be brief.' }, { role: 'user', content: question }] },
    'another temperature': { temperature: 0.1 },
    'an earlier turn': { messages: [{ role: 'user', content: 'Hi' }, { role: 'assistant', content: 'Hello' }, { role: 'user', content: question }] },
    'another model': { model: 'gpt-other' },
  };
  for (const [what, more] of Object.entries(others)) {
    await t.test(`${what} never shares an answer`, async () => {
      const before = upstream.calls.length;
      assert.equal((await ask(question, more)).response.headers.get('x-cache'), 'miss');
      assert.equal(upstream.calls.length, before + 1);
      assert.equal((await ask(question, more)).response.headers.get('x-cache'), 'hit');
    });
  }

  await t.test('cache-control is obeyed', async () => {
    const before = upstream.calls.length;
    assert.equal((await ask(question, {}, { 'cache-control': 'no-store' })).response.headers.get('x-cache'), 'bypass');
    const renewed = await ask(question, {}, { 'cache-control': 'no-cache' });
    assert.equal(renewed.response.headers.get('x-cache'), 'miss');
    assert.equal(upstream.calls.length, before + 2);
    assert.equal(textOf((await ask(question)).data), textOf(renewed.data));
  });

  await t.test('tool calls pass through and are not kept, streams included', async () => {
    const before = upstream.calls.length;
    const call = await ask('!tools please');
    assert.equal(call.data.choices[0]!.message.tool_calls?.[0]?.type, 'function');
    assert.equal((await ask('!tools please')).response.headers.get('x-cache'), 'miss');
    await askStream('!tools in a stream');
    await askStream('!tools in a stream');
    assert.equal(upstream.calls.length, before + 4);
  });

  await t.test('errors of the upstream are passed on and never kept', async () => {
    const before = upstream.calls.length;
    for (let i = 0; i < 2; i++) {
      const limited = await ask('!status 429').catch((error: unknown) => error);
      assert.ok(limited instanceof RateLimitError);
      assert.equal(limited.headers.get('retry-after'), '7');
      assert.match(limited.message, /no 429/);
    }
    assert.ok((await ask('!status 500').catch((error: unknown) => error)) instanceof InternalServerError);
    assert.equal(upstream.calls.length, before + 3);
  });

  await t.test('a stream that breaks off is not kept', async () => {
    await assert.rejects(askStream('!cut this off'));
    await assert.rejects(askStream('!cut this off'));
  });

  await t.test('many who ask the same at once cost one call, streams and wholes alike', async () => {
    const before = upstream.calls.length;
    const asked = 'Why is the sky blue? !delay 300';
    const [texts, streams] = await Promise.all([
      Promise.all(Array.from({ length: 10 }, () => ask(asked))),
      Promise.all(Array.from({ length: 10 }, () => askStream(asked))),
    ]);
    assert.equal(upstream.calls.length, before + 1);
    for (const { data } of texts) assert.equal(textOf(data), ChatServer.answerTo(asked, before + 1));
    for (const { text } of streams) assert.equal(text, ChatServer.answerTo(asked, before + 1));
    const said = [...texts, ...streams].map(({ response }) => response.headers.get('x-cache'));
    assert.equal(said.filter((word) => word === 'miss').length, 1, said.join());
  });

  await t.test('who joins a stream is told of the usage as it asked itself', async () => {
    for (const [i, mine] of [true, false].entries()) {
      const before = upstream.calls.length;
      const asked = `How high is the sky? ${i} !delay 300`;
      const first = askStream(asked, { stream_options: { include_usage: mine } });
      await until(() => upstream.calls.length > before, 'the upstream is asked');
      const second = await askStream(asked, { stream_options: { include_usage: !mine } });
      assert.equal(upstream.calls.length, before + 1);
      assert.equal(second.text, (await first).text);
      const usage = { prompt_tokens: 7, completion_tokens: 5, total_tokens: 12 };
      assert.deepEqual([(await first).usage, second.usage], mine ? [usage, undefined] : [undefined, undefined]);
      assert.equal(second.emptyChunks, mine ? 0 : 1);
    }
  });

  await t.test('a purge is not undone by an answer that was under way', async () => {
    const before = upstream.calls.length;
    const asked = 'What do we sell today? !delay 300';
    const old = ask(asked);
    await until(() => upstream.calls.length > before, 'the upstream is asked');
    const purged = await fetch(`${server.url}/cache/entries?all=true`, { method: 'DELETE', headers: { authorization: 'Bearer sk-mine' } });
    assert.equal(purged.status, 200);
    const fresh = await ask(asked);
    assert.equal(textOf((await old).data), ChatServer.answerTo(asked, before + 1));
    assert.equal(textOf(fresh.data), ChatServer.answerTo(asked, before + 2));
    assert.equal(textOf((await ask(asked)).data), ChatServer.answerTo(asked, before + 2));
  });

  await t.test('metrics tell what was saved', async () => {
    assert.ok(await server.metric('ortserve_semantic_saved_tokens_total') >= 12);
    assert.ok(await server.metric('ortserve_semantic_lookups_total{outcome="exact"}') >= 3);
  });
});

test('clients with different keys never share answers on a server without keys', async (t) => {
  const { upstream, server, ask } = await proxied(t);
  await ask(question);
  const other = new OpenAI({ apiKey: 'sk-other', baseURL: `${server.url}/v1`, maxRetries: 0 });
  const { response } = await other.chat.completions.create({ model: 'gpt-test', messages: [{ role: 'user', content: question }] }).withResponse();
  assert.equal(response.headers.get('x-cache'), 'miss');
  assert.deepEqual(upstream.calls.map(({ authorization }) => authorization), ['Bearer sk-mine', 'Bearer sk-other']);
});

test('a client that leaves stops the upstream, unless others wait for the same', async (t) => {
  const { upstream, ask, client } = await proxied(t);
  const abort = new AbortController();
  const asked = 'Who was here first? !delay 500';
  const left = client.chat.completions.create({ model: 'gpt-test', messages: [{ role: 'user', content: asked }] }, { signal: abort.signal });
  left.catch(() => {});
  await until(() => upstream.calls.length === 1, 'the upstream was asked');
  const stays = ask(asked);
  await new Promise((resolve) => setTimeout(resolve, 100));
  abort.abort();
  assert.equal(textOf((await stays).data), ChatServer.answerTo(asked, 1));
  assert.equal(upstream.abandoned, 0);
  const alone = new AbortController();
  const gone = client.chat.completions.create({ model: 'gpt-test', messages: [{ role: 'user', content: 'Anyone? !delay 5000' }] }, { signal: alone.signal });
  gone.catch(() => {});
  await until(() => upstream.calls.length === 2, 'the upstream was asked');
  alone.abort();
  await until(() => upstream.abandoned === 1, 'the upstream was told');
});

test('without an upstream a chat is answered by the cache or refused, in OpenAI\'s shape', async (t) => {
  const server = await startServerProcess(t, { UPSTREAM_MODEL: 'gpt-test' });
  const client = new OpenAI({ apiKey: 'sk-mine', baseURL: `${server.url}/v1`, maxRetries: 0 });
  const create = () => client.chat.completions.create({ model: 'gpt-test', messages: [{ role: 'user', content: question }] });
  const refused = await create().catch((error: unknown) => error as APIError);
  assert.ok(refused instanceof APIError && refused.status === 501);
  assert.match(refused.message, /UPSTREAM_URL/);
  const put = await fetch(`${server.url}/cache/entries`, {
    method: 'POST', headers: { authorization: 'Bearer sk-mine' }, body: JSON.stringify({ query: question, response: 'Paris.' }),
  });
  assert.equal(put.status, 201);
  assert.equal(textOf(await create()), 'Paris.');
});

test('UPSTREAM_TIMEOUT bounds the silence of the upstream, not its whole answer', async (t) => {
  const { ask } = await proxied(t, { UPSTREAM_TIMEOUT: '1.5' });
  assert.match(textOf((await ask('Who takes longer and says so? !alive')).data)!, /Who takes longer/);
  await assert.rejects(ask('Who says nothing? !delay 20000'), { status: 504, code: 'upstream_timeout' });
});
