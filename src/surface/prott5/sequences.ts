// Protein sequences as clients write them, made what encoders of the ProtT5 family expect: twenty amino acids and X.
import { ServerError } from '../../errors.ts';
import { checkCount } from '../inputs.ts';

export type SequenceLimits = { readonly sequencesMax: number; readonly residuesMax: number };

/** Distinct sequences of one request, in the order of their first mention. */
export type Sequences = {
  /** As the client wrote them; several may mean the same residues. */
  readonly written: readonly string[];
  /** Distinct residues to compute. */
  readonly residues: readonly string[];
  /** For each of `written`, its place in `residues`. */
  readonly places: readonly number[];
  /** For each item of the request, its place in `written`. */
  readonly items: readonly number[];
};

/** Throws INPUT_EMPTY, BATCH_TOO_LARGE, INPUT_TOO_LONG or REQUEST_INVALID, naming `sequences[i]`. */
export function readSequences(items: readonly unknown[], limits: SequenceLimits): Sequences {
  checkCount(items.length, 'sequences', limits.sequencesMax);
  const writtenAt = new Map<string, number>();
  const residuesAt = new Map<string, number>();
  const places: number[] = [];
  const itemPlaces = items.map((item, i) => {
    const field = `sequences[${i}]`;
    if (typeof item !== 'string') throw new ServerError('REQUEST_INVALID', `'${field}' must be a string.`, { field });
    const known = writtenAt.get(item);
    if (known !== undefined) return known;
    const residues = cleanSequence(item, field, limits.residuesMax);
    places.push(numberOf(residuesAt, residues));
    return numberOf(writtenAt, item);
  });
  return { written: [...writtenAt.keys()], residues: [...residuesAt.keys()], places, items: itemPlaces };
}

/** The key's number; the next one for a new key. */
function numberOf(numbers: Map<string, number>, key: string): number {
  const known = numbers.get(key) ?? numbers.size;
  numbers.set(key, known);
  return known;
}

/**
 * Capitals without white space and closing stop, rare and ambiguous residues (U, Z, O, B) as X: what ProtT5 was
 * trained on (Elnaggar et al. 2021, ProtTrans). Throws ServerErrors that name `field`, letter and position.
 */
export function cleanSequence(written: string, field: string, residuesMax: number): string {
  if (/^\s*[>;]/.test(written)) {
    throw invalid(field, 'begins with a FASTA header; send the sequence alone, one item for each record.');
  }
  const letters = written.replaceAll(/\s+/g, '').replace(/\*$/, '');
  if (letters === '') throw new ServerError('INPUT_EMPTY', `'${field}' has no residues.`, { field });
  if (letters.length > residuesMax) {
    throw new ServerError('INPUT_TOO_LONG', `'${field}' has ${letters.length} residues; at most ${residuesMax} are allowed.`, { field });
  }
  // Before capitals are made: those of some letters of other scripts are amino acids.
  const wrong = /[^A-IK-Za-ik-z]/u.exec(letters);
  if (wrong !== null) throw invalid(field, wrongLetter(wrong[0], [...letters.slice(0, wrong.index)].length + 1));
  return letters.toUpperCase().replaceAll(/[UZOB]/g, 'X');
}

function wrongLetter(letter: string, position: number): string {
  const place = `at position ${position} (from 1, white space not counted)`;
  if (letter === '*') return `has a stop '*' ${place}; only one at the end is taken off.`;
  if (letter === '-' || letter === '.') return `has a gap '${letter}' ${place}; send the sequence without its alignment.`;
  if (letter === 'J' || letter === 'j') return `has 'J' ${place}, which the model does not know; write X, or I or L.`;
  const shown = /[!-~]/.test(letter) ? `'${letter}'` : `the character U+${letter.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}`;
  return `has ${shown} ${place}, which is no amino acid (ACDEFGHIKLMNPQRSTVWY, or X, U, Z, O, B).`;
}

function invalid(field: string, why: string): ServerError {
  return new ServerError('REQUEST_INVALID', `'${field}' ${why}`, { field });
}
