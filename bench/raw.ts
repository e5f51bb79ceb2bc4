// The least a server can do, as a program: raw uWebSockets.js, JSON.parse, and 8 KB (RAW_ANSWER_BYTES) written back. No model, no checks.
// What the embeddings server could reach if every answer were ready.
import { loadUws } from '../src/transport/listen.ts';

const answer = Buffer.alloc(Number(process.env['RAW_ANSWER_BYTES'] ?? 8192), '{"object":"list"}');

const { App } = await loadUws();

App()
  .post('/v1/embeddings', (response) => {
    let aborted = false;
    let body = Buffer.alloc(0);
    response.onAborted(() => {
      aborted = true;
    });
    response.onData((chunk, last) => {
      // The chunk is only lent; in one piece, as here nearly always, it is parsed before it is taken back.
      const piece = Buffer.from(chunk);
      if (!last || body.length > 0) body = Buffer.concat([body, piece]);
      if (!last || aborted) return;
      JSON.parse((body.length > 0 ? body : piece).toString());
      response.cork(() => {
        response.writeHeader('Content-Type', 'application/json').end(answer);
      });
    });
  })
  .get('/readyz', (response) => {
    response.end('ready');
  })
  .listen('127.0.0.1', Number(process.env['PORT']), (socket) => {
    if (socket === false) process.exit(1);
  });
