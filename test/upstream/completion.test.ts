import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chunksOf, completionFromText, completionOf, completionOfStream, replayed } from '../../src/upstream/completion.ts';

const bytes = (value: unknown) => Buffer.from(JSON.stringify(value));
const events = (...data: unknown[]) => Buffer.from(data.map((each) => `data: ${typeof each === 'string' ? each : JSON.stringify(each)}\r\n\r\n`).join(''));
const chunk = (choice: object) => ({ id: 'c', created: 1, model: 'm', choices: [{ index: 0, ...choice }] });

const answers: Record<string, [unknown, boolean]> = {
  'a finished text': [{ choices: [{ message: { content: 'x' }, finish_reason: 'stop' }] }, true],
  'a text cut by its length': [{ choices: [{ message: { content: 'x' }, finish_reason: 'length' }] }, true],
  'an empty list of tool calls': [{ choices: [{ message: { content: 'x', tool_calls: [] }, finish_reason: 'stop' }] }, true],
  'a tool call': [{ choices: [{ message: { content: 'x', tool_calls: [{}] }, finish_reason: 'stop' }] }, false],
  'a filtered text': [{ choices: [{ message: { content: 'x' }, finish_reason: 'content_filter' }] }, false],
  'one of two unfinished': [{ choices: [{ message: { content: 'x' }, finish_reason: 'stop' }, { message: { content: 'x' }, finish_reason: null }] }, false],
  'no content': [{ choices: [{ message: { content: null }, finish_reason: 'stop' }] }, false],
  'no choices': [{ choices: [] }, false],
  'an error': [{ error: { message: 'x' } }, false],
  'no object': ['x', false],
};
for (const [what, [answer, isKept]] of Object.entries(answers)) {
  test(`${what} is ${isKept ? '' : 'not '}kept`, () => {
    assert.equal(completionOf(bytes(answer)) !== undefined, isKept);
  });
}

const text = chunk({ delta: { role: 'assistant', content: 'a' }, finish_reason: null });
const end = chunk({ delta: {}, finish_reason: 'stop' });
const streams: Record<string, [Buffer, boolean]> = {
  'a whole stream': [events(text, end, '[DONE]'), true],
  'a stream with comments': [Buffer.concat([Buffer.from(': hello\n\n'), events(text, end, '[DONE]')]), true],
  'a stream with empty lists': [events(chunk({ delta: { content: 'a', tool_calls: [] }, matched: [], finish_reason: null }), end, '[DONE]'), true],
  'a stream without its end': [events(text, end), false],
  'a stream that never finished': [events(text, '[DONE]'), false],
  'a stream of tool calls': [events(chunk({ delta: { tool_calls: [{}] }, finish_reason: null }), end, '[DONE]'), false],
  'a stream with log probabilities': [events(chunk({ delta: { content: 'a' }, logprobs: {}, finish_reason: null }), end, '[DONE]'), false],
  'a stream of garbage': [events('{', '[DONE]'), false],
  'an empty stream': [events('[DONE]'), false],
};
for (const [what, [stream, isKept]] of Object.entries(streams)) {
  test(`${what} is ${isKept ? '' : 'not '}kept`, () => {
    assert.equal(completionOfStream(stream) !== undefined, isKept);
  });
}

test('choices keep their order and their other texts', () => {
  const second = { id: 'c', created: 1, model: 'm', choices: [{ index: 1, delta: { content: 'b', reasoning_content: 'why' }, finish_reason: 'stop' }] };
  const { choices } = completionOfStream(events(second, text, end, '[DONE]'))!;
  assert.deepEqual(choices, [
    { index: 0, message: { role: 'assistant', content: 'a' }, finish_reason: 'stop' },
    { index: 1, message: { role: 'assistant', content: 'b', reasoning_content: 'why' }, finish_reason: 'stop' },
  ]);
});

test('usage is replayed only to who asked for it', () => {
  const completion = completionFromText('x', 'm', 1000);
  assert.ok(![...replayed(completion, false)].join('').includes('usage'));
  assert.match([...replayed(completion, true)].at(-2)!, /"choices":\[\],"usage":null/);
});

test('a whole answer is replayed with all that it says beside the text', () => {
  const logprobs = { content: [{ token: 'x', logprob: -0.1, bytes: [120], top_logprobs: [] }], refusal: null };
  const annotations = [{ type: 'url_citation', url_citation: { url: 'https://example.com' } }];
  const completion = completionOf(bytes({
    id: 'c', object: 'chat.completion', created: 1, model: 'm', system_fingerprint: 'fp',
    choices: [{ index: 0, message: { role: 'assistant', content: 'x', refusal: null, tool_calls: [], annotations }, logprobs, finish_reason: 'stop' }],
  }))!;
  const chunks = [...chunksOf(completion, false)].map((json) => JSON.parse(json));
  for (const { object, system_fingerprint: fingerprint } of chunks) assert.deepEqual([object, fingerprint], ['chat.completion.chunk', 'fp']);
  const choices = chunks.map(({ choices: [choice] }) => choice);
  assert.deepEqual(choices.flatMap((choice) => choice.logprobs?.content ?? []), logprobs.content);
  assert.deepEqual(Object.assign({}, ...choices.map(({ delta }) => delta)), { role: 'assistant', annotations, content: 'x' });
});
