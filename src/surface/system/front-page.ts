// The page at / for a browser: is it up, which models, where to go next. No script, no other file.
import type { Reply } from '../../operation.ts';
import type { SystemState } from './operations.ts';

export function frontPage(state: SystemState): Reply {
  const models = state.registry.list();
  const rows = models.map((model) => {
    const description = model.slot.model?.backend.description;
    return `<tr><td>${escapeHtml(model.name)}</td><td>${model.state}</td><td>${description?.dimension ?? ''}</td><td>${description?.inputTokensMax ?? ''}</td></tr>`;
  });
  const example = `curl http://localhost:PORT/v1/embeddings -H 'Content-Type: application/json' \\
  -d '${JSON.stringify({ model: models[0]?.name ?? 'MODEL', input: 'Hello, world!' })}'`;
  const body = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>ortserve</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 3rem auto; padding: 0 1rem; color: #1c2733; background: #fff }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid #d9e0e6 }
pre { background: #f3f6f8; padding: .8rem; overflow-x: auto } a { color: #0b62b0 }
@media (prefers-color-scheme: dark) { body { color: #dfe7ee; background: #14191e } pre { background: #1f262d } th, td { border-color: #36414b } a { color: #7cbcff } }
</style></head><body>
<h1>ortserve ${escapeHtml(state.version)}</h1>
<p>${state.accepting() ? 'Running' : 'Draining'}.
<a href="/docs">API documentation</a> · <a href="/health">Health</a> · <a href="/stats">Totals</a> · <a href="/metrics">Metrics</a></p>
<table><thead><tr><th>Model</th><th>State</th><th>Dimension</th><th>Tokens at most</th></tr></thead><tbody>${rows.join('')}</tbody></table>
<h2>Try it</h2>
<pre>${escapeHtml(example)}</pre>
</body></html>
`;
  return {
    status: 200,
    contentType: 'text/html; charset=utf-8',
    headers: { 'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'" },
    body,
  };
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
