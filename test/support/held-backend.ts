// A backend whose batches end when the test says so: order, cancellation and fairness need a clock of their own.
// Its vector of a text is [length, 1], so that a row in the wrong place shows.
import type { Backend } from '../../src/backend/backend.ts';
import type { EmbedReply, EmbedTask } from '../../src/backend/protocol.ts';
import type { ServerError } from '../../src/errors.ts';

export type HeldBatch = { readonly task: EmbedTask; release(): void; fail(error: ServerError): void };

export class HeldBackend implements Backend {
  readonly description = {
    ok: true,
    dimension: 2,
    vocabularySize: 100,
    inputTokensMax: 256,
    packs: false,
    provider: 'cpu',
    fallback: undefined,
    loadMs: 0,
    worker: 0,
  } as const;
  readonly concurrency: number;
  readonly runCost = { tokensMax: 64, overheadTokens: 8 };
  /** Started and not ended, oldest first. */
  readonly running: HeldBatch[] = [];
  /** Every input that ever ran. */
  readonly ran: string[] = [];
  /** When true, batches end by themselves in the next turn of the event loop. */
  flowing = false;
  replyTo = replyTo;

  constructor(concurrency = 1) {
    this.concurrency = concurrency;
  }

  embed(task: EmbedTask, _deadlineMs?: number): Promise<EmbedReply> {
    this.ran.push(...task.inputs.map(String));
    return new Promise((resolve, reject) => {
      const end = (settle: () => void) => {
        this.running.splice(this.running.indexOf(batch), 1);
        settle();
      };
      const batch: HeldBatch = {
        task,
        release: () => end(() => resolve(this.replyTo(task))),
        fail: (error) => end(() => reject(error)),
      };
      this.running.push(batch);
      if (this.flowing) setImmediate(() => batch.release());
    });
  }

  tune(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

function replyTo(task: EmbedTask): EmbedReply {
  const rows = new Float32Array(task.inputs.length * 2);
  task.inputs.forEach((input, i) => rows.set([input.length, 1], i * 2));
  const tokensGiven = Int32Array.from(task.inputs, (input) => input.length + 2);
  const tokensKept = tokensGiven.map((count) => Math.min(256, count));
  const tokensPadded = Math.max(...tokensKept) * tokensKept.length;
  return { ok: true, rows, stride: 2, tokensGiven, tokensKept, tokenizeMs: 0.1, runMs: 1, runInputs: [task.inputs.length], tokensPadded };
}
