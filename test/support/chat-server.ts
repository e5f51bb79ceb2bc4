// A small server that speaks OpenAI's chat API, for tests to put behind the cache: real HTTP, answers made by rule.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

export type ChatCall = { readonly body: Record<string, unknown>; readonly authorization: string | undefined };

/** What a question asks of the server besides an answer: `!status 429`, `!delay 100`, `!tools`, `!cut`, `!alive`, `!junk`. */
export class ChatServer {
  readonly calls: ChatCall[] = [];
  /** Answers whose client left before the end. */
  abandoned = 0;
  delayMs = 0;
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  /** Listens on a free port and is closed with the test. */
  static async start(t: TestContext | { after(fn: () => void): void }): Promise<ChatServer> {
    const server = new ChatServer();
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    t.after(() => server.stop());
    return server;
  }

  /** As clients and UPSTREAM_URL take it. */
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1`;
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  /** The text that it gives to a question the `count`th time it is asked anything. */
  static answerTo(question: string, count: number): string {
    return `Answer ${count} to: ${question}`;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>;
    this.calls.push({ body, authorization: request.headers.authorization });
    const count = this.calls.length;
    const { content } = (body['messages'] as { content: string | { text: string }[] }[]).at(-1)!;
    const question = typeof content === 'string' ? content : content.map(({ text }) => text).join('');
    const wish = (name: string): string | undefined => new RegExp(`!${name}(?: (\\d+))?`).exec(question)?.[1] ?? (question.includes(`!${name}`) ? '' : undefined);
    response.on('close', () => { if (!response.writableFinished) this.abandoned += 1; });
    await sleep(Number(wish('delay') ?? this.delayMs));
    // As gateways do.
    if (wish('junk') !== undefined) return void response.writeHead(503, { 'content-type': 'application/json' }).end('no healthy upstream');
    const status = Number(wish('status') ?? 200);
    if (status !== 200) {
      response.writeHead(status, { 'content-type': 'application/json', ...(status === 429 && { 'retry-after': '7' }) });
      response.end(JSON.stringify({ error: { message: `no ${status}`, type: 'upstream_error', param: null, code: 'upstream' } }));
      return;
    }
    const text = ChatServer.answerTo(question, count);
    const tools = wish('tools') !== undefined;
    if (body['stream'] === true) await this.#stream(response, body, text, tools, wish('cut') !== undefined);
    else {
      if (wish('alive') !== undefined) await this.#spaces(response);
      this.#whole(response, body, text, tools);
    }
  }

  /** What some services send for seconds before an answer, so that nobody takes the connection for dead. */
  async #spaces(response: ServerResponse): Promise<void> {
    response.writeHead(200, { 'content-type': 'application/json' });
    for (let i = 0; i < 8; i += 1) {
      response.write(' ');
      await sleep(300);
    }
  }

  #whole(response: ServerResponse, body: Record<string, unknown>, text: string, tools: boolean): void {
    const message = tools
      ? { role: 'assistant', content: null, tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'f', arguments: '{}' } }] }
      : { role: 'assistant', content: text, refusal: null };
    if (!response.headersSent) response.writeHead(200, { 'content-type': 'application/json', 'x-request-id': 'upstream-1' });
    response.end(JSON.stringify({
      id: `chatcmpl-${this.calls.length}`, object: 'chat.completion', created: 1_700_000_000, model: body['model'],
      choices: [{ index: 0, message, finish_reason: tools ? 'tool_calls' : 'stop', logprobs: null }],
      usage: { prompt_tokens: 7, completion_tokens: 5, total_tokens: 12 },
    }));
  }

  async #stream(response: ServerResponse, body: Record<string, unknown>, text: string, tools: boolean, cut: boolean): Promise<void> {
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
    const base = { id: `chatcmpl-${this.calls.length}`, object: 'chat.completion.chunk', created: 1_700_000_000, model: body['model'] };
    const send = (choice: object): void => {
      response.write(`data: ${JSON.stringify({ ...base, choices: [{ index: 0, logprobs: null, ...choice }] })}\n\n`);
    };
    send({ delta: { role: 'assistant', content: '' }, finish_reason: null });
    for (const word of text.match(/\S+\s*/g) ?? []) {
      send({ delta: tools ? { tool_calls: [{ index: 0, function: { arguments: word } }] } : { content: word }, finish_reason: null });
      await sleep(this.delayMs === 0 ? 1 : this.delayMs / 10);
    }
    if (cut) return void response.destroy();
    send({ delta: {}, finish_reason: tools ? 'tool_calls' : 'stop' });
    if ((body['stream_options'] as { include_usage?: boolean } | undefined)?.include_usage === true) {
      response.write(`data: ${JSON.stringify({ ...base, choices: [], usage: { prompt_tokens: 7, completion_tokens: 5, total_tokens: 12 } })}\n\n`);
    }
    response.end('data: [DONE]\n\n');
  }
}
