// A key list in a file, read again when it changes: keys rotate without a restart.
// Invariant: a file that cannot be read leaves the last good keys in force; it never opens the server.
import { readFileSync, statSync } from 'node:fs';
import { keyFilePollMs } from '../limits.ts';
import { KeyListError, parseKeyList, type ApiKey } from './keys.ts';

export class KeyFile {
  readonly #file: string;
  readonly #onChange: (outcome: { keys: number } | { error: Error }) => void;
  readonly #timer: NodeJS.Timeout;
  #keys: readonly ApiKey[];
  #stamp: string;

  /** Throws KeyListError when the first reading fails. */
  constructor(file: string, onChange: (outcome: { keys: number } | { error: Error }) => void = () => {}) {
    this.#file = file;
    this.#onChange = onChange;
    try {
      this.#stamp = stampOf(file);
      this.#keys = parseKeyList(readFileSync(file, 'utf8'));
    } catch (error) {
      if (error instanceof KeyListError) throw error;
      throw new KeyListError(`The key file cannot be read: ${(error as NodeJS.ErrnoException).code}.`, { cause: error });
    }
    // Polled, since watching misses the symbolic links that Kubernetes swaps.
    this.#timer = setInterval(() => this.#poll(), keyFilePollMs);
    this.#timer.unref();
  }

  get keys(): readonly ApiKey[] {
    return this.#keys;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #poll(): void {
    try {
      const stamp = stampOf(this.#file);
      if (stamp === this.#stamp) return;
      this.#stamp = stamp;
      this.#keys = parseKeyList(readFileSync(this.#file, 'utf8'));
      this.#onChange({ keys: this.#keys.length });
    } catch (error) {
      const gone = 'missing';
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
        if (this.#stamp === gone) return;
        this.#stamp = gone;
      }
      this.#onChange({ error: error as Error });
    }
  }
}

function stampOf(file: string): string {
  const { mtimeMs, size, ino } = statSync(file);
  return `${mtimeMs} ${size} ${ino}`;
}
