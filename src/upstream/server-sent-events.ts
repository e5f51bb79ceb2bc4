// Server-sent events as bytes in and data out, https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream.
// Only `data` is kept: OpenAI's streams use nothing else.

export class EventReader {
  readonly #decoder = new TextDecoder();
  /** Of the line that has not ended; looked at once it has, so that a long one costs no more than its length. */
  #rest = '';
  /** A carriage return at the end may be half of a line's end. */
  #held = '';
  #data: string[] = [];

  /** The data of the events that end in these bytes. */
  push(bytes: Uint8Array): string[] {
    const text = this.#held + this.#decoder.decode(bytes, { stream: true });
    this.#held = text.endsWith('\r') ? '\r' : '';
    const lines = text.slice(0, text.length - this.#held.length).split(/\r\n|\n|\r/);
    lines[0] = this.#rest + lines[0]!;
    this.#rest = lines.pop()!;
    const events: string[] = [];
    for (const line of lines) {
      if (line === '') {
        if (this.#data.length > 0) events.push(this.#data.join('\n'));
        this.#data = [];
      } else if (line.startsWith('data:')) {
        this.#data.push(line.slice(line[5] === ' ' ? 6 : 5));
      } else if (line === 'data') {
        this.#data.push('');
      }
    }
    return events;
  }
}

/** One event. `data` holds no line end. */
export function eventOf(data: string): string {
  return `data: ${data}\n\n`;
}
