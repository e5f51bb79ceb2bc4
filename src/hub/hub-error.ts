// What a pull can end with when no model comes of it: one plain sentence for the operator.
// Invariant: a message names repository, file and host, never the token and never a signed URL.

/** `unavailable` may pass without a change; `refused` needs one: another name, a token, an option, more disk. */
export type HubReason = 'unavailable' | 'refused';

export class HubError extends Error {
  override readonly name = 'HubError';
  readonly reason: HubReason;

  constructor(reason: HubReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

/** Disk errors as sentences; anything else is returned as it came. */
export function asDiskError(error: unknown, doing: string): unknown {
  const { code, path } = error as NodeJS.ErrnoException;
  const place = path === undefined ? '' : ` (${path})`;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new HubError('unavailable', `${doing}: the disk of the model cache is full${place}.`, { cause: error });
  }
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
    const problem = `the model cache cannot be written${place}: ${code}. Set HF_HUB_CACHE to a folder that can.`;
    return new HubError('refused', `${doing}: ${problem}`, { cause: error });
  }
  if (code === 'ENOTDIR' || code === 'EFBIG' || code === 'EIO') {
    return new HubError('refused', `${doing}: the model cache cannot be used${place}: ${code}.`, { cause: error });
  }
  return error;
}

/** `90.9 MB`, with the decimal units in which the hub shows sizes. */
export function sizeText(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const power = Math.min(4, Math.floor(Math.log10(bytes) / 3));
  return `${(bytes / 1000 ** power).toFixed(1)} ${['B', 'kB', 'MB', 'GB', 'TB'][power]}`;
}
