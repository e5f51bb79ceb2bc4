// Opens and runs a model that nobody trusts yet, in a child process that is killed when it takes too long or too
// much. Invariant: when checkModel settles, its child is gone.
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { freemem, constants, setPriority } from 'node:os';
import { ServerError } from '../errors.ts';
import type { CheckReply, CheckSettings, CheckTask, CheckTrial } from './check-protocol.ts';
import type { TensorDescription } from './tensor-protocol.ts';

export type CheckSubject = {
  /** The folder of the file, which is the child's working directory: no message holds a path. */
  readonly directory: string;
  readonly onnxFile: string;
  /** Resident memory of the child, its own 70 MB included. */
  readonly memoryBytesMax: number;
  /** For loading and running together. */
  readonly timeMsMax: number;
  /** Ends the check; it then throws CANCELLED. */
  readonly signal: AbortSignal;
};

/** The child ends itself at its limits; one that cannot is killed this much later. */
const killGraceMs = 500;
/** Of the memory that the machine has left, so that a check never takes what the server needs. */
const memoryShare = 0.75;

/**
 * Opens the graph, then runs it on the first of the trials that it takes. Throws MODEL_INVALID with the reason in words
 * for the uploader, and what `trialsFor` throws.
 */
export async function checkModel(
  subject: CheckSubject,
  trialsFor: (description: TensorDescription) => readonly CheckTrial[],
): Promise<TensorDescription> {
  const child = new CheckProcess(subject);
  try {
    const loaded = await child.ask({ kind: 'load', onnxFile: subject.onnxFile });
    if (loaded.kind !== 'loaded') throw invalid(loaded.kind === 'refused' ? loaded.reason : 'It was not loaded.');
    const trials = trialsFor(loaded.description);
    let reason = 'Its inputs are too large to be tried.';
    for (const trial of trials) {
      const reply = await child.ask(trial);
      if (reply.kind === 'ran') return loaded.description;
      if (reply.kind === 'refused') ({ reason } = reply);
    }
    // Several sizes were tried: another one may do.
    throw invalid(trials.length > 1 ? `${reason} (A manifest may give its inputs a 'shape' or a 'default' to be tried on.)` : reason);
  } finally {
    await child.end();
  }
}

class CheckProcess {
  readonly #subject: CheckSubject;
  readonly #settings: CheckSettings;
  readonly #child: ChildProcess;
  readonly #startedMs = performance.now();
  readonly #timer: NodeJS.Timeout;
  /** Resolves with why it ended; never rejects. */
  readonly #ended: Promise<ServerError>;
  readonly #kill = (): void => void this.#child.kill('SIGKILL');

  constructor(subject: CheckSubject) {
    this.#subject = subject;
    const available = (process.availableMemory?.() ?? freemem()) * memoryShare;
    const memoryBytesMax = Math.round(Math.min(subject.memoryBytesMax, available));
    this.#settings = { memoryBytesMax, timeMsMax: subject.timeMsMax };
    this.#child = fork(new URL('../../native-workers/model-check.js', import.meta.url), [JSON.stringify(this.#settings)], {
      cwd: subject.directory,
      // Nothing of ours: the environment may hold keys.
      env: {},
      execArgv: ['--max-old-space-size=256'],
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    this.#ended = new Promise((resolve) => {
      this.#child.once('exit', (_code, signal) => resolve(this.#endedBy(signal)));
      // It could not be started, or not be told something: then its exit says more.
      this.#child.on('error', (cause) => {
        if (this.#child.pid === undefined) resolve(new ServerError('INTERNAL', undefined, { cause }));
      });
    });
    this.#timer = setTimeout(this.#kill, subject.timeMsMax + killGraceMs);
    subject.signal.addEventListener('abort', this.#kill);
    if (subject.signal.aborted) this.#kill();
    slowDown(this.#child.pid);
  }

  /** One question at a time. Throws once the process has ended. */
  async ask(task: CheckTask): Promise<CheckReply> {
    const replied = once(this.#child, 'message') as Promise<[CheckReply]>;
    replied.catch(() => {});
    this.#child.send(task, () => {});
    const outcome = await Promise.race([replied, this.#ended]);
    if (outcome instanceof ServerError) throw outcome;
    return outcome[0];
  }

  async end(): Promise<void> {
    clearTimeout(this.#timer);
    this.#subject.signal.removeEventListener('abort', this.#kill);
    this.#kill();
    await this.#ended;
  }

  #endedBy(signal: NodeJS.Signals | null): ServerError {
    if (this.#subject.signal.aborted) return new ServerError('CANCELLED');
    const { timeMsMax, memoryBytesMax } = this.#settings;
    if (performance.now() - this.#startedMs >= timeMsMax) return invalid(`It did not load and run within ${timeMsMax / 1000} s.`);
    if (signal === 'SIGKILL') return invalid(`It needs more than ${Math.round(memoryBytesMax / 1024 ** 2)} MB of memory.`);
    return invalid('It crashes the process that runs it.');
  }
}

/** What serves goes first. */
function slowDown(pid: number | undefined): void {
  try {
    if (pid !== undefined) setPriority(pid, constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // It has ended already, or may not be slowed: then it takes its share.
  }
}

function invalid(reason: string): ServerError {
  return new ServerError('MODEL_INVALID', `The model is refused. ${reason}`);
}
