// A proxy on PORT that adds a bearer token to what it passes on to TARGET: the conformance suite sends none.

import { createServer, request } from 'node:http';

const { PORT, TARGET, TOKEN } = process.env;
const { hostname, port } = new URL(TARGET);

createServer((incoming, outgoing) => {
  const { method, url } = incoming;
  const headers = { ...incoming.headers, authorization: `Bearer ${TOKEN}` };
  const forwarded = request({ hostname, port, method, path: url, headers }, (answer) => {
    outgoing.writeHead(answer.statusCode, answer.headers);
    answer.pipe(outgoing);
  });
  forwarded.on('error', () => outgoing.destroy());
  incoming.pipe(forwarded);
}).listen(Number(PORT), '127.0.0.1');
