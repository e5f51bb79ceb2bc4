// Where the repository lies, seen from the compiled tests.
import { fileURLToPath } from 'node:url';

/** Absolute, without a closing slash. */
export const repositoryDirectory = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '');
