// Finds where one HTTP answer ends, and nothing else: status and content-length are read, bodies are only counted.

/** Fed the bytes of one answer after the other on a connection without pipelining. */
export class AnswerReader {
  /** Of the last whole answer. */
  status = 0;
  bodyBytes = 0;
  #head = '';
  /** Body bytes still to come; -1 while the head is not complete. */
  #missing = -1;

  /** True when `bytes` completed an answer. Throws when the answer has no content-length. */
  push(bytes: Buffer): boolean {
    if (this.#missing < 0) {
      const end = bytes.indexOf('\r\n\r\n');
      if (end < 0 || this.#head !== '') return this.#pushSplitHead(bytes);
      return this.#startBody(bytes.toString('latin1', 0, end), bytes.length - end - 4);
    }
    this.#missing -= bytes.length;
    return this.#ended();
  }

  /** The rare case: a head in several pieces, its end perhaps across two of them. */
  #pushSplitHead(bytes: Buffer): boolean {
    this.#head += bytes.toString('latin1');
    const end = this.#head.indexOf('\r\n\r\n');
    if (end < 0) return false;
    const head = this.#head;
    this.#head = '';
    return this.#startBody(head.slice(0, end), head.length - end - 4);
  }

  #startBody(head: string, arrived: number): boolean {
    const length = /\ncontent-length: *(\d+)/i.exec(head)?.[1];
    if (length === undefined) throw new Error(`An answer without content-length: ${head.slice(0, 40)}`);
    this.status = Number(head.slice(9, 12));
    this.bodyBytes = Number(length);
    this.#missing = this.bodyBytes - arrived;
    return this.#ended();
  }

  #ended(): boolean {
    if (this.#missing > 0) return false;
    this.#missing = -1;
    return true;
  }
}
