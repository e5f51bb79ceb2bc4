// What of a chat request is the question, and what must be equal before two questions may share an answer: everything
// else that changes it. Meaning is compared on the last user turn alone.
import { createHash } from 'node:crypto';

/** The parts that are looked at; unknown fields belong to the key. */
export type ChatBody = {
  readonly model?: string;
  readonly messages: readonly unknown[];
  readonly stream?: boolean | null;
  readonly stream_options?: { readonly include_usage?: boolean } | null;
  readonly temperature?: number | null;
  readonly [other: string]: unknown;
};

/** They say how the answer is sent and who asks, not what it is. */
const keyless: ReadonlySet<string> = new Set(['stream', 'stream_options', 'user', 'metadata', 'store', 'safety_identifier', 'prompt_cache_key', 'prompt_cache_retention', 'service_tier']);

export type ChatQuestion = {
  readonly text: string;
  /** SHA-256 in hex over all that must be equal. */
  readonly key: string;
};

/** Undefined when the last turn is no user's text, so that there is nothing whose meaning could be compared. */
export function chatQuestion(body: ChatBody, model: string, parts: readonly string[]): ChatQuestion | undefined {
  const last = body.messages.at(-1);
  const text = userText(last);
  if (text === undefined || text.trim() === '') return undefined;
  const { messages, parts: ownParts, ...parameters } = body;
  const fields = Object.entries(parameters).filter(([name, value]) => !keyless.has(name) && value !== null && value !== undefined);
  // The last turn's own other fields, such as a name, count; its text does not.
  const { content: _content, ...lastRest } = last as Record<string, unknown>;
  // A client's parameter may have that name, too.
  const allParts = ownParts === undefined || ownParts === null ? parts : [parts, ownParts];
  const all = { ...Object.fromEntries(fields), model, messages: [...messages.slice(0, -1), lastRest], parts: allParts };
  return { text, key: createHash('sha256').update(canonicalJson(all)).digest('hex') };
}

function userText(message: unknown): string | undefined {
  if (typeof message !== 'object' || message === null) return undefined;
  const { role, content } = message as { role?: unknown; content?: unknown };
  if (role !== 'user') return undefined;
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return undefined;
  const texts = content.map((part: { type?: unknown; text?: unknown } | null) => (part?.type === 'text' ? part.text : undefined));
  return texts.every((text) => typeof text === 'string') ? texts.join('\n') : undefined;
}

/** JSON with sorted keys: equal values give equal text. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => {
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
  });
}
