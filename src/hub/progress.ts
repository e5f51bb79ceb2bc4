// How far a pull is, as one line that is written over itself. Plain characters: nothing to switch off with colours.
import { sizeText } from './hub-error.ts';

const redrawMs = 100;
const barColumns = 24;

/** Draws on `write`, which should be a terminal; `end` leaves the cursor on a new line. */
export class ProgressLine {
  readonly #name: string;
  readonly #write: (text: string) => void;
  readonly #now: () => number;
  readonly #startMs: number;
  #drawnMs = -Infinity;
  #columns = 0;
  #startBytes: number | undefined;

  constructor(name: string, write: (text: string) => void, now: () => number = () => performance.now()) {
    this.#name = name;
    this.#write = write;
    this.#now = now;
    this.#startMs = now();
  }

  update(doneBytes: number, totalBytes: number): void {
    // What an earlier pull has left says nothing of the speed.
    this.#startBytes ??= doneBytes;
    const nowMs = this.#now();
    if (nowMs - this.#drawnMs < redrawMs && doneBytes < totalBytes) return;
    this.#drawnMs = nowMs;
    const speed = (doneBytes - this.#startBytes) / Math.max(0.001, (nowMs - this.#startMs) / 1000);
    this.#draw(progressText(this.#name, doneBytes, totalBytes, speed));
  }

  end(): void {
    if (this.#columns > 0) this.#write('\n');
    this.#columns = 0;
  }

  #draw(text: string): void {
    this.#write(`\r${text.padEnd(this.#columns)}`);
    this.#columns = text.length;
  }
}

/** `org/name  45% [###########-------------] 40.9 MB of 90.9 MB, 3.2 MB/s`. */
export function progressText(name: string, doneBytes: number, totalBytes: number, bytesPerSecond: number): string {
  const share = totalBytes === 0 ? 1 : Math.min(1, doneBytes / totalBytes);
  const filled = Math.floor(share * barColumns);
  const bar = '#'.repeat(filled) + '-'.repeat(barColumns - filled);
  const percent = String(Math.floor(share * 100)).padStart(3);
  const speed = sizeText(Math.max(0, Math.round(bytesPerSecond)));
  return `${name} ${percent}% [${bar}] ${sizeText(doneBytes)} of ${sizeText(totalBytes)}, ${speed}/s`;
}
