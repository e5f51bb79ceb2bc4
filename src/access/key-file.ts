// A key list in a file, read again when it changes: keys rotate without a restart.
// Invariant: a file that cannot be read leaves the last good keys in force; it never opens the server.
import { readFileSync, statSync } from 'node:fs';
import { keyFilePollMs } from '../limits.ts';
import { KeyListError, parseKeyList, type ApiKey } from './keys.ts';

export class KeyFile {
  readonly #file: string;
  readonly #others: readonly ApiKey[];
  readonly #onChange: (outcome: { keys: number } | { error: Error }) => void;
  readonly #timer: NodeJS.Timeout;
  #keys: readonly ApiKey[];
  /** Of what was read last. */
  #stamp: string;
  /** The code of what kept it from being read since. */
  #failure: string | undefined;

  /**
   * Throws KeyListError when the first reading fails.
   * @param others keys that do not come from the file
   */
  constructor(file: string, onChange: (outcome: { keys: number } | { error: Error }) => void = () => {}, others: readonly ApiKey[] = []) {
    this.#file = file;
    this.#others = others;
    this.#onChange = onChange;
    try {
      this.#stamp = stampOf(file);
      this.#keys = parseKeyList(readFileSync(file, 'utf8'), others);
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
      if (stamp !== this.#stamp) {
        const text = readFileSync(this.#file, 'utf8');
        this.#stamp = stamp;
        this.#keys = parseKeyList(text, this.#others);
        this.#onChange({ keys: this.#keys.length });
      }
      this.#failure = undefined;
    } catch (error) {
      // What cannot be read is tried again each time, and told of once.
      const { code } = error as NodeJS.ErrnoException;
      if (code !== undefined && code === this.#failure) return;
      this.#failure = code;
      this.#onChange({ error: error as Error });
    }
  }
}

function stampOf(file: string): string {
  const { mtimeMs, size, ino } = statSync(file);
  return `${mtimeMs} ${size} ${ino}`;
}
