// Integers of JSON that a double cannot hold. JSON.parse gives no way to see a number's own digits on every Node
// that this server runs on, so long integers are put in quotes before it parses.

/** 2^53 has sixteen digits. */
const longDigits = /\d{16}/;

/** An escape, where a string begins or ends, or an integer of 16 digits or more. A whole string takes the engine's stack, as deep as it is long. */
const escapeQuoteOrLongInteger = /\\.|"|(?<![\d.eE+-])-?\d{16,}(?![\d.eE])/g;

/** A cheap no for most bodies. */
export function hasLongIntegers(json: Uint8Array): boolean {
  return longDigits.test(Buffer.from(json.buffer, json.byteOffset, json.byteLength).toString('latin1'));
}

/** The same JSON with each integer of 16 digits or more as a string of its digits. `json` is valid JSON. */
export function exactIntegers(json: Uint8Array): Uint8Array {
  // As Latin-1 every byte stays a character: what is no ASCII stands inside strings and comes out as it went in.
  const text = Buffer.from(json.buffer, json.byteOffset, json.byteLength).toString('latin1');
  let isInString = false;
  const quoted = text.replace(escapeQuoteOrLongInteger, (match) => {
    if (match === '"') isInString = !isInString;
    return isInString || match === '"' ? match : `"${match}"`;
  });
  return Buffer.from(quoted, 'latin1');
}
