// Requests to the hub over fetch: redirects followed by hand, nothing waited for without a clock.
// Invariant: the token goes to the endpoint's own origin and nowhere else, whatever redirects say.
import { hubRedirectsMax } from '../limits.ts';
import { within } from '../within.ts';
import { HubError } from './hub-error.ts';
import type { RepoName } from './names.ts';
import { Transient, retryAfterMs } from './retry.ts';
import type { HubSettings } from './settings.ts';

export type Question = {
  readonly url: URL;
  readonly method?: 'GET' | 'HEAD';
  readonly headers?: Readonly<Record<string, string>>;
  /** How long the head may take, and after it every piece of the body. */
  readonly timeoutMs: number;
  /** The thing asked for, as an error names it: `org/name` or `onnx/model.onnx of org/name`. */
  readonly about: string;
  readonly repo: RepoName;
  readonly signal: AbortSignal | undefined;
};

/** An answer with status 2xx, or to HEAD a redirect that already says all. */
export type Answer = {
  readonly status: number;
  readonly headers: Headers;
  /** The body in pieces. Throws Transient when it breaks off or stands still. */
  readonly chunks: () => AsyncGenerator<Uint8Array>;
  /** Lets go of a body that nobody reads. */
  readonly close: () => void;
};

/** Asks once. Throws Transient for what may pass, HubError for what will not. */
export async function ask(settings: HubSettings, question: Question): Promise<Answer> {
  const home = new URL(settings.endpoint);
  let url = question.url;
  for (let redirects = 0; redirects <= hubRedirectsMax; redirects += 1) {
    const { response, controller } = await askOnce(settings, question, url, url.origin === home.origin);
    if (response.status >= 300 && response.status < 400 && response.status !== 304) {
      // The hub answers for a file that lies elsewhere; what lies there says nothing of hashes.
      const saysAll = question.method === 'HEAD' && response.headers.has('x-linked-etag');
      if (saysAll) return answerOf(response, controller, question, url);
      controller.abort();
      url = redirectOf(response, url, question.about);
      continue;
    }
    if (response.ok) return answerOf(response, controller, question, url);
    controller.abort();
    throw refusalOf(response, settings, question, url);
  }
  throw new HubError('unavailable', `${question.about}: ${home.host} redirects more than ${hubRedirectsMax} times.`);
}

type Sent = { readonly response: Response; readonly controller: AbortController };

async function askOnce(settings: HubSettings, question: Question, url: URL, trusted: boolean): Promise<Sent> {
  const controller = new AbortController();
  const signal = question.signal === undefined
    ? controller.signal : AbortSignal.any([controller.signal, question.signal]);
  const headers: Record<string, string> = { ...question.headers, 'user-agent': 'ortserve' };
  // Parts and sizes are those of the file itself.
  headers['accept-encoding'] = 'identity';
  if (trusted && settings.token !== undefined) headers['authorization'] = `Bearer ${settings.token}`;
  try {
    const method = question.method ?? 'GET';
    const send = () => fetch(url.href, { method, headers, redirect: 'manual', signal });
    return { response: await within(question.timeoutMs, send, () => controller.abort()), controller };
  } catch (error) {
    question.signal?.throwIfAborted();
    const why = controller.signal.aborted ? `no answer in ${question.timeoutMs / 1000} s` : networkText(error);
    throw new Transient(`${question.about}: ${url.host} cannot be reached: ${why}`, { cause: error });
  }
}

function redirectOf(response: Response, from: URL, about: string): URL {
  const location = response.headers.get('location');
  const to = location !== null && URL.canParse(location, from.href) ? new URL(location, from) : undefined;
  const isWeb = to?.protocol === 'https:' || (to?.protocol === 'http:' && from.protocol === 'http:');
  if (to !== undefined && isWeb && to.username === '' && to.password === '') return to;
  const whither = to === undefined ? 'nowhere' : `to ${to.protocol}//${to.host}`;
  throw new HubError('unavailable', `${about}: ${from.host} redirects ${whither}, which is not followed.`);
}

function answerOf(response: Response, controller: AbortController, question: Question, url: URL): Answer {
  return {
    status: response.status,
    headers: response.headers,
    chunks: () => chunksOf(response, controller, question, url),
    close: () => controller.abort(),
  };
}

async function* chunksOf(
  response: Response, controller: AbortController, question: Question, url: URL,
): AsyncGenerator<Uint8Array> {
  if (response.body === null) return;
  const reader = response.body.getReader();
  try {
    for (;;) {
      // The abort alone is not trusted: a download was seen to stand still for ever though it had been given up, perhaps
      // because fetch holds signals weakly.
      const { done, value } = await within(question.timeoutMs, () => reader.read(), () => controller.abort());
      if (done) return;
      yield value;
    }
  } catch (error) {
    question.signal?.throwIfAborted();
    const why = controller.signal.aborted
      ? `nothing came for ${question.timeoutMs / 1000} s` : `it broke off: ${networkText(error)}`;
    throw new Transient(`${question.about}: the download from ${url.host} failed: ${why}`, { cause: error });
  } finally {
    controller.abort();
    reader.cancel().catch(() => {});
  }
}

function refusalOf(response: Response, settings: HubSettings, question: Question, url: URL): Error {
  const { status, headers } = response;
  const { about } = question;
  const { id, revision } = question.repo;
  const code = headers.get('x-error-code');
  if (status === 408 || status === 429 || status >= 500) {
    const wait = retryAfterMs(headers.get('retry-after'));
    return new Transient(`${about}: ${url.host} answers ${status}`, { retryAfterMs: wait });
  }
  // A signed address of a content network that has run out: the hub gives a new one.
  if (url.origin !== new URL(settings.endpoint).origin) {
    return new Transient(`${about}: ${url.host}, to which the hub redirects, answers ${status}`);
  }
  if (code === 'GatedRepo' || (status === 403 && code === null)) {
    return new HubError('refused', `${id} is gated: accept its terms at ${settings.endpoint}/${id}, and set ` +
      `HF_TOKEN to a token of that account${settings.token === undefined ? '' : '; the one given is not let in'}.`);
  }
  if (code === 'RevisionNotFound') return new HubError('refused', `${id} has no revision ${revision}.`);
  if (code === 'EntryNotFound') return new HubError('refused', `${about} does not exist, though the hub lists it.`);
  if (status === 401 || status === 404) {
    const token = settings.token === undefined ? 'needs a token: set HF_TOKEN' : 'the token given may not read it';
    return new HubError('refused', `${id} does not exist on ${url.host}, or ${token}.`);
  }
  return new HubError('refused', `${about}: ${url.host} answers ${status}.`);
}

function networkText(error: unknown): string {
  const cause = (error as Error).cause ?? error;
  const { code, message } = cause as NodeJS.ErrnoException;
  return code ?? message;
}
