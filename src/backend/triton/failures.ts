// What a failed call means for the client of this server.
import { status, type ServiceError } from '@grpc/grpc-js';
import { ServerError } from '../../errors.ts';
import { tritonPollMs, tritonReasonCharsMax } from '../../limits.ts';

/** The call's status as gRPC names it: `UNAVAILABLE`. */
export function statusName(error: unknown): string {
  const { code } = error as Partial<ServiceError>;
  return (code === undefined ? undefined : status[code]) ?? 'UNKNOWN';
}

/** While the server or its model is away; asking again makes sense once it has been looked at again. */
export function unavailable(cause?: unknown): ServerError {
  return new ServerError('MODEL_NOT_READY', 'The Triton server that runs the model is not available.', { retryAfterMs: tritonPollMs, cause });
}

/** Any failure of a call as what the client is told; the original stays its cause, for the log. */
export function callFailure(error: unknown): ServerError {
  if (error instanceof ServerError) return error;
  const { code, details } = error as Partial<ServiceError>;
  switch (code) {
    case status.UNAVAILABLE:
    // Cancelled by us alone: the server has fallen silent, or this one stops.
    case status.CANCELLED:
      return unavailable(error);
    case status.DEADLINE_EXCEEDED:
      return new ServerError('TIMEOUT', 'Triton did not answer in time.', { cause: error });
    case status.NOT_FOUND:
      return new ServerError('MODEL_NOT_READY', 'The Triton server does not have the model.', { retryAfterMs: tritonPollMs, cause: error });
    default:
      return new ServerError('BACKEND_FAILED', `Triton could not run the model${reason(details)}.`, { cause: error });
  }
}

/** What the model itself said helps whoever sent the input; paths and traces are for the log. */
function reason(details: string | undefined): string {
  const line = details?.split('\n')[0]?.trim().replace(/\.$/, '') ?? '';
  const isShowable = line !== '' && !/[/\\]|traceback|\.py\b/i.test(line);
  return isShowable ? `: ${line.slice(0, tritonReasonCharsMax)}` : '';
}
