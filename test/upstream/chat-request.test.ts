import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chatQuestion, type ChatBody } from '../../src/upstream/chat-request.ts';

const user = (content: unknown) => ({ role: 'user', content });
const base: ChatBody = { messages: [{ role: 'system', content: 's' }, user('a'), { role: 'assistant', content: 'b' }, user('Why?')], temperature: 0.5 };
const keyOf = (body: ChatBody, model = 'm', parts: string[] = []) => chatQuestion(body, model, parts)!.key;

test('the question is the last user turn', () => {
  assert.equal(chatQuestion(base, 'm', [])!.text, 'Why?');
  assert.equal(chatQuestion({ messages: [user([{ type: 'text', text: 'a' }, { type: 'text', text: 'b' }])] }, 'm', [])!.text, 'a\nb');
});

const none: Record<string, unknown> = {
  'the assistant has the last word': { role: 'assistant', content: 'x' },
  'a tool has the last word': { role: 'tool', content: 'x', tool_call_id: '1' },
  'there is an image': user([{ type: 'text', text: 'a' }, { type: 'image_url', image_url: { url: 'x' } }]),
  'it is blank': user(' \n'),
  'it is null': user(null),
  'a part is null': user([null]),
};
for (const [why, message] of Object.entries(none)) {
  test(`there is no question when ${why}`, () => {
    assert.equal(chatQuestion({ messages: [message] }, 'm', []), undefined);
  });
}

const same: Record<string, ChatBody> = {
  'another question': { ...base, messages: [...base.messages.slice(0, -1), user('How?')] },
  'a stream': { ...base, stream: true, stream_options: { include_usage: true } },
  'another user': { ...base, user: 'x' },
  'a null': { ...base, tools: null },
  'another order of keys': { temperature: 0.5, messages: base.messages.map((message) => Object.fromEntries(Object.entries(message as object).reverse())) },
};
for (const [what, body] of Object.entries(same)) {
  test(`${what} has the same key`, () => assert.equal(keyOf(body), keyOf(base)));
}

const other: Record<string, [ChatBody, string?, string[]?]> = {
  'another model': [base, 'n'],
  'a parameter of a name that is used here': [{ ...base, parts: ['x-tenant=1'] }],
  'another tenant': [base, 'm', ['x-tenant=1']],
  'another system prompt': [{ ...base, messages: [{ role: 'system', content: 't' }, ...base.messages.slice(1)] }],
  'another earlier turn': [{ ...base, messages: [base.messages[0], user('c'), ...base.messages.slice(2)] }],
  'no earlier turns': [{ ...base, messages: [user('Why?')] }],
  'another temperature': [{ ...base, temperature: 0.6 }],
  'a tool': [{ ...base, tools: [{ type: 'function' }] }],
  'a seed': [{ ...base, seed: 1 }],
  'a parameter that nobody knows': [{ ...base, top_k: 1 }],
  'another name of the user in the last turn': [{ ...base, messages: [...base.messages.slice(0, -1), { ...user('Why?'), name: 'x' }] }],
};
for (const [what, [body, model, parts]] of Object.entries(other)) {
  test(`${what} has another key`, () => assert.notEqual(keyOf(body, model, parts), keyOf(base)));
}
