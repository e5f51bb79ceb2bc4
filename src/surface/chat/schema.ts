// The parts of a chat request that are checked here; the upstream checks the rest (openai-openapi: CreateChatCompletionRequest).
import Type, { type Static } from 'typebox';

export const ChatRequest = Type.Object({
  model: Type.Optional(Type.String({ minLength: 1, description: "Unset: the server's UPSTREAM_MODEL." })),
  messages: Type.Array(Type.Object({ role: Type.String({ minLength: 1 }) }), { minItems: 1 }),
  stream: Type.Optional(Type.Union([Type.Boolean(), Type.Null()])),
  stream_options: Type.Optional(Type.Union([Type.Object({ include_usage: Type.Optional(Type.Boolean()) }), Type.Null()])),
  temperature: Type.Optional(Type.Union([Type.Number(), Type.Null()])),
}, { description: 'As OpenAI has it; fields that are not listed go to the upstream as they are.' });
export type ChatRequest = Static<typeof ChatRequest>;

export const ChatResponse = Type.Object({
  id: Type.String(),
  object: Type.Literal('chat.completion'),
  created: Type.Integer(),
  model: Type.String(),
  choices: Type.Array(Type.Object({
    index: Type.Integer(),
    message: Type.Object({ role: Type.String(), content: Type.Union([Type.String(), Type.Null()]) }),
    finish_reason: Type.Union([Type.String(), Type.Null()]),
  })),
  usage: Type.Optional(Type.Object({
    prompt_tokens: Type.Integer(), completion_tokens: Type.Integer(), total_tokens: Type.Integer(),
  })),
});
