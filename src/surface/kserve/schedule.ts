// The schedule-policy extension: when a request may run, from its parameters.
import { timerMsMax } from '../../config/option.ts';
import { ServerError } from '../../errors.ts';

export type Schedule = { readonly priority: number | undefined; readonly queueMsMax: number | undefined };

/** `priority` from 1, which runs first, or 0 for the model's default; `timeout` in microseconds, 0 for none. Throws REQUEST_INVALID. */
export function scheduleOf(parameters: Readonly<Record<string, unknown>>): Schedule {
  const priority = countOf(parameters, 'priority');
  const timeoutUs = countOf(parameters, 'timeout');
  return {
    priority: priority === 0 ? undefined : priority,
    queueMsMax: timeoutUs === undefined || timeoutUs === 0 ? undefined : Math.min(timerMsMax, timeoutUs / 1000),
  };
}

function countOf(parameters: Readonly<Record<string, unknown>>, name: string): number | undefined {
  const value = Object.hasOwn(parameters, name) ? parameters[name] : undefined;
  if (value === undefined) return undefined;
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
  throw new ServerError('REQUEST_INVALID', `'parameters.${name}' must be a non-negative integer.`, { field: `parameters.${name}` });
}
