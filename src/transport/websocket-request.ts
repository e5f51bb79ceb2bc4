// One request of a WebSocket: takes its parts from where they are made, holds a few, and gives them to whatever
// connection it is attached to. Invariants: it makes no more than it may hold; what nobody reads is not computed.
//
//   attached --connection lost--> detached (only what can be resumed) --resume--> attached
//       \--last part sent, and acknowledged where it can be resumed--> over    \--a minute--> over
import { randomUUID } from 'node:crypto';
import { toServerError } from '../errors.ts';
import { resumableHeldBytesMax, resumableMsMax, socketHeldBytesMax } from '../limits.ts';
import { errorPart, type Part } from './websocket-message.ts';

/** What makes the parts of one answer. */
export type PartSource = {
  /** Undefined after the last. Throws ServerError. */
  next(): Promise<readonly Part[] | undefined>;
  /** Nobody wants the rest. */
  close(): void;
};

/** Where parts go: a connection. */
export type PartSink = {
  /** Takes as many as the reader keeps up with, and says how many. */
  send(request: SocketRequest, parts: readonly NumberedPart[]): number;
  /** Its last part is sent; it may still wait for the word that it arrived. */
  sent(): void;
  /** Nothing of it is left: the id is free again. */
  over(request: SocketRequest): void;
  /** Another connection has taken it over. */
  lost(request: SocketRequest): void;
};

export type NumberedPart = { readonly seq: number; readonly part: Part };

export class SocketRequest {
  /** What its client calls it; another one after a resume. */
  id: string;
  /** Of its message: what the connection that it is attached to counts. */
  readonly bytes: number;
  readonly caller: string;
  /** By which another connection may go on with it; undefined when none may. */
  readonly job: string | undefined;
  readonly #source: PartSource;
  /** Called once, when nothing of it is left. */
  readonly #onOver: () => void;
  readonly #heldBytesMax: number;
  /** Not sent, or sent and not acknowledged. */
  #held: NumberedPart[] = [];
  #heldBytes = 0;
  #unsent = 0;
  #seq = 0;
  #sink: PartSink | undefined;
  #isMade = false;
  #isOver = false;
  #onRoom: (() => void) | undefined;
  #expiry: NodeJS.Timeout | undefined;

  constructor(init: { id: string; bytes: number; caller: string; resumable: boolean; source: PartSource; onOver: () => void }) {
    this.id = init.id;
    this.bytes = init.bytes;
    this.caller = init.caller;
    this.job = init.resumable ? randomUUID() : undefined;
    this.#source = init.source;
    this.#onOver = init.onOver;
    this.#heldBytesMax = init.resumable ? resumableHeldBytesMax : socketHeldBytesMax;
  }

  /** All of it is with the connection. */
  get isSent(): boolean {
    return this.#isMade && this.#unsent === 0;
  }

  get isDetached(): boolean {
    return this.#sink === undefined && !this.#isMade;
  }

  /** Makes its parts until there are no more. Never rejects. */
  async run(): Promise<void> {
    while (!this.#isMade && !this.#isOver) {
      let parts: readonly Part[] | undefined;
      try {
        parts = await this.#source.next();
      } catch (thrown) {
        parts = [errorPart(toServerError(thrown))];
      }
      if (parts === undefined) this.#isMade = true;
      else for (const part of parts) this.#hold(part);
      if (parts?.at(-1)?.type === 'error') this.#isMade = true;
      this.flush();
      if (this.#heldBytes >= this.#heldBytesMax && !this.#isOver) await new Promise<void>((resolve) => (this.#onRoom = resolve));
    }
    this.flush();
  }

  attach(sink: PartSink): void {
    this.#sink = sink;
    this.#expireLater(false);
    this.flush();
  }

  /** What came after `seq` is to be sent again; all before has arrived. False when some of that is gone. */
  resumeAfter(seq: number): boolean {
    const firstHeld = this.#held[0]?.seq ?? this.#seq + 1;
    if (seq + 1 < firstHeld || seq > this.#seq) return false;
    this.#drop(seq + 1 - firstHeld);
    this.#unsent = this.#held.length;
    return true;
  }

  /** Its connection is gone. */
  detach(): void {
    this.#sink = undefined;
    if (this.job === undefined) this.cancel();
    else this.#expireLater(true);
  }

  /** Gives it to another connection. */
  takeFrom(): void {
    this.#sink?.lost(this);
    this.#sink = undefined;
  }

  /** Everything up to `seq` has arrived. */
  acknowledge(seq: number): void {
    if (this.job === undefined) return;
    const sent = this.#held.length - this.#unsent;
    const firstHeld = this.#held[0]?.seq ?? seq + 1;
    this.#drop(Math.min(sent, Math.max(0, seq + 1 - firstHeld)));
    this.flush();
  }

  /** Gives the connection what it takes. Called when there is more, and when the connection takes more. */
  flush(): void {
    if (this.#isOver) return;
    if (this.#sink !== undefined && this.#unsent > 0) {
      const taken = this.#sink.send(this, this.#held.slice(this.#held.length - this.#unsent));
      this.#unsent -= taken;
      if (this.job === undefined) this.#drop(taken);
    }
    if (!this.isSent) return;
    if (this.#held.length === 0) return this.#end();
    this.#expireLater(true);
    this.#sink?.sent();
  }

  /** Nobody wants the rest of it. */
  cancel(): void {
    this.#end();
  }

  #hold(part: Part): void {
    this.#seq += 1;
    this.#held.push({ seq: this.#seq, part });
    this.#unsent += 1;
    this.#heldBytes += bytesOf(part);
  }

  #drop(count: number): void {
    if (count === 0) return;
    for (const { part } of this.#held.splice(0, count)) this.#heldBytes -= bytesOf(part);
    if (this.#heldBytes < this.#heldBytesMax) this.#onRoom?.();
  }

  #expireLater(isLater: boolean): void {
    clearTimeout(this.#expiry);
    if (isLater && !this.#isOver) this.#expiry = setTimeout(() => this.cancel(), resumableMsMax).unref();
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#expiry);
    this.#held = [];
    this.#unsent = 0;
    this.#source.close();
    this.#onRoom?.();
    this.#onOver();
    this.#sink?.over(this);
    this.#sink = undefined;
  }
}

function bytesOf({ json, data }: Part): number {
  return json.length + (data ?? []).reduce((sum, { byteLength }) => sum + byteLength, 0);
}
