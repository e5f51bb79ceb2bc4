// Chat completions as OpenAI's API has them (openai-openapi: CreateChatCompletionResponse and …StreamResponse): a stream
// put together into a whole, a whole taken apart into a stream, and which of them may be kept.
import { EventReader, eventOf } from './server-sent-events.ts';

/** What is looked at; everything else is kept as it came. */
export type Completion = {
  readonly id?: string;
  readonly object?: string;
  readonly created?: number;
  readonly model?: string;
  readonly choices: readonly Choice[];
  readonly usage?: { readonly total_tokens?: number };
};

type Choice = {
  readonly index?: number;
  readonly message: { readonly role?: string; readonly content: string | null; readonly [other: string]: unknown };
  readonly finish_reason: string | null;
};

/** Said to be finished; `content_filter` and `tool_calls` are no answers to a question. */
const finished: ReadonlySet<unknown> = new Set(['stop', 'length', 'eos']);
export const endOfStream = '[DONE]';

/** A whole answer that may be given to the next who asks; undefined for any other. */
export function completionOf(bytes: Uint8Array): Completion | undefined {
  try {
    return keepable(JSON.parse(Buffer.from(bytes).toString()));
  } catch {
    return undefined;
  }
}

/** The same of a stream: undefined unless it came to its end and held nothing but text. */
export function completionOfStream(bytes: Uint8Array): Completion | undefined {
  const events = new EventReader().push(bytes);
  if (events.at(-1) !== endOfStream) return undefined;
  try {
    return keepable(assembled(events.slice(0, -1).map((event) => JSON.parse(event) as Chunk)));
  } catch {
    return undefined;
  }
}

type Chunk = Omit<Completion, 'choices'> & {
  readonly choices?: readonly {
    readonly index: number;
    readonly delta: Readonly<Record<string, unknown>>;
    readonly finish_reason?: string | null;
  }[];
};

/** Throws for what it cannot put together. */
function assembled(chunks: readonly Chunk[]): unknown {
  const choices = new Map<number, { message: Record<string, unknown>; finish_reason: string | null }>();
  let usage: Completion['usage'];
  for (const chunk of chunks) {
    usage = chunk.usage ?? usage;
    for (const { index, delta, finish_reason: reason, ...others } of chunk.choices ?? []) {
      if (!Object.values(others).every(empty)) throw new Error('There is more than text.');
      const choice = choices.get(index) ?? { message: { role: 'assistant', content: null }, finish_reason: null };
      choices.set(index, choice);
      for (const [name, value] of Object.entries(delta)) {
        if (empty(value) || name === 'role') continue;
        if (typeof value !== 'string') throw new Error('There is more than text.');
        choice.message[name] = `${(choice.message[name] as string | null | undefined) ?? ''}${value}`;
      }
      choice.finish_reason = reason ?? choice.finish_reason;
    }
  }
  const { id, created, model } = chunks[0]!;
  const ordered = [...choices].sort(([a], [b]) => a - b).map(([index, choice]) => ({ index, ...choice }));
  return { id, object: 'chat.completion', created, model, choices: ordered, ...(usage && { usage }) };
}

/** The value if it is a whole answer in text. Throws for what is no object at all, or has choices that are none. */
export function keepable(value: unknown): Completion | undefined {
  const { choices } = value as Partial<Completion>;
  if (!Array.isArray(choices) || choices.length === 0) return undefined;
  const isText = (choices as Choice[]).every(({ message, finish_reason: reason }) => (
    typeof message.content === 'string' && finished.has(reason) && empty(message['tool_calls']) && empty(message['function_call'])
    && empty(message['audio'])));
  return isText ? (value as Completion) : undefined;
}

function empty(value: unknown): boolean {
  return value === undefined || value === null || (Array.isArray(value) && value.length === 0);
}

/** The answer's text. */
export function textOf(completion: Completion): string {
  return completion.choices[0]!.message.content ?? '';
}

/** A completion of our own, for an answer that somebody put into the cache. */
export function completionFromText(text: string, model: string, createdMs: number): Completion {
  return {
    id: 'chatcmpl-ortserve', object: 'chat.completion', created: Math.floor(createdMs / 1000), model,
    choices: [{ index: 0, message: { role: 'assistant', content: text }, finish_reason: 'stop' }],
  };
}

/** The events of a stream that says what the completion says. */
export function* replayed(completion: Completion, includeUsage: boolean): Generator<string> {
  for (const chunk of chunksOf(completion, includeUsage)) yield eventOf(chunk);
  yield eventOf(endOfStream);
}

/** The same as the events' JSON, without the word of their end. */
export function* chunksOf(completion: Completion, includeUsage: boolean): Generator<string> {
  const { choices, usage, ...shared } = completion;
  const chunk = (rest: object): string => JSON.stringify({ ...shared, object: 'chat.completion.chunk', ...rest });
  const usageField = includeUsage ? { usage: null } : {};
  // What else is said of the answer, such as log probabilities, goes with its text.
  for (const [at, { index = at, message, finish_reason: reason, ...aside }] of choices.entries()) {
    const { role = 'assistant', content, ...others } = message;
    const told = Object.fromEntries(Object.entries(others).filter(([, value]) => !empty(value)));
    yield chunk({ choices: [{ index, delta: { role, ...told, content: '' }, finish_reason: null }], ...usageField });
    yield chunk({ choices: [{ index, delta: { content }, ...aside, finish_reason: null }], ...usageField });
    yield chunk({ choices: [{ index, delta: {}, finish_reason: reason }], ...usageField });
  }
  if (includeUsage) yield chunk({ choices: [], usage: usage ?? null });
}
