// The command `pull`: models of the hub into the cache, so that a server starts with them or works offline.
// Standard output gets only the folders, one line each; everything for people goes to standard error.
import { ExitError } from './cli.ts';
import type { Config } from '../config.ts';
import { ProgressLine } from '../hub/progress.ts';
import { HubError, hubSettings, pullModel } from '../hub/pull.ts';

/** Pulls `repo`, or without it each of the option `models`. Throws ExitError. */
export async function pull(repo: string | undefined, config: Config): Promise<void> {
  const repos = repo === undefined ? config.models : [repo];
  if (repos.length === 0) {
    throw new ExitError('config', 'pull needs a repository, org/name or org/name@revision; or set MODELS to some.');
  }
  for (const each of repos) {
    const line = showsProgress(config) ? new ProgressLine(each, (text) => process.stderr.write(text)) : undefined;
    try {
      const { directory } = await pullModel(each, {
        settings: hubSettings(config),
        precision: config.precision,
        onProgress: (doneBytes, totalBytes) => line?.update(doneBytes, totalBytes),
        onWarning: (sentence) => {
          line?.end();
          console.error(`ortserve: ${sentence}`);
        },
      });
      line?.end();
      console.log(directory);
    } catch (error) {
      line?.end();
      if (!(error instanceof HubError)) throw error;
      throw new ExitError(error.reason === 'unavailable' ? 'unavailable' : 'config', error.message);
    }
  }
}

function showsProgress({ quiet }: Config): boolean {
  return process.stderr.isTTY && !quiet;
}
