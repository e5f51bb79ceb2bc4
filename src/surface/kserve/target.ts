// Which model and version a path means.
import type { Call } from '../../operation.ts';

export type Target = {
  readonly model: string;
  /** '' for the highest. */
  readonly version: string;
};

/** What a path below a model may end with. */
export const modelViews = ['ready', 'config', 'stats', 'infer', 'load', 'unload'] as const;
export type ModelView = (typeof modelViews)[number] | 'metadata';

/** Of `:model` and `:version`, or of a wildcard's rest for names with slashes: `org/name/versions/1/infer`. */
export function targetOf(call: Call): Target {
  const rest = call.parameters['*'];
  if (rest !== undefined) return splitPath(rest);
  return { model: call.parameters['model'] ?? '', version: call.parameters['version'] ?? '' };
}

export function splitPath(rest: string): Target & { readonly view: ModelView } {
  const [, name = rest, version = '', view = 'metadata'] = restForm.exec(rest) ?? [];
  return { model: name, version, view: view as ModelView };
}

const restForm = new RegExp(`^(.+?)(?:/versions/([^/]+))?(?:/(${modelViews.join('|')}))?$`);
