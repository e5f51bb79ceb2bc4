// Requests at a fixed rate, whether or not the answers keep up: what clients do that do not know of each other.

export type SteadyLoad = {
  /** Sends no more and resolves with all answers, in the order of the requests. */
  stop(): Promise<LoadAnswer[]>;
};

export type LoadAnswer = { readonly status: number; readonly retryAfter: string | null; readonly text: string; readonly ms: number };

export function steadyLoad(perSecond: number, send: () => Promise<Response>): SteadyLoad {
  const startedMs = performance.now();
  const answers: Promise<LoadAnswer>[] = [];
  const timer = setInterval(() => {
    // Timers come late on a busy machine; what is due is sent then.
    const due = ((performance.now() - startedMs) / 1000) * perSecond;
    while (answers.length < due) answers.push(answerOf(send));
  }, 5);
  return {
    stop: () => {
      clearInterval(timer);
      return Promise.all(answers);
    },
  };
}

async function answerOf(send: () => Promise<Response>): Promise<LoadAnswer> {
  const startedMs = performance.now();
  const answer = await send();
  const text = await answer.text();
  return { status: answer.status, retryAfter: answer.headers.get('retry-after'), text, ms: performance.now() - startedMs };
}
