// All the world there is for the browser and for ChatGPT: the gate, and the sites that a test makes up, on this machine.
import { execFile } from 'node:child_process';
import { rmSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { HOST } from './gate.js';

/// Sites that are not the gate. The last stands for somebody who got hold of a neighbouring name.
export const CHATGPT = 'chatgpt.com';
export const EVIL = 'evil.example';
export const NEIGHBOUR = 'blog.example.com';

export class Internet {
  static async create() {
    const folder = await mkdtemp(join(tmpdir(), 'memgate-internet-'));
    process.on('exit', () => rmSync(folder, { force: true, recursive: true }));
    const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')];
    await promisify(execFile)('openssl', [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-noenc', '-days', '2'],
      ...['-subj', '/CN=memgate tests', '-keyout', key, '-out', certificate],
      ...['-addext', `subjectAltName=${[HOST, CHATGPT, EVIL, NEIGHBOUR].map((name) => `DNS:${name}`).join()}`],
    ]);
    const files = { key: await readFile(key), cert: await readFile(certificate) };
    const internet = Object.assign(new Internet(), { folder, key, certificate, authority: files.cert, pages: {}, redirects: {} });
    internet.server = https.createServer(files, (request, response) => internet.#serve(request, response));
    await new Promise((resolve) => internet.server.listen(0, '127.0.0.1', resolve));
    return internet;
  }

  async stop() {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
    await rm(this.folder, { recursive: true });
  }

  /// Puts a page there, with further headers.
  publish(url, html, headers = {}) {
    this.pages[url] = { html, headers };
    return url;
  }

  #serve(request, response) {
    const { pathname, search } = new URL(request.url, 'https://x');
    const elsewhere = this.redirects[`https://${request.headers.host}${pathname}`];
    if (elsewhere) {
      response.writeHead(302, { location: elsewhere + search }).end();
      return;
    }
    const page = this.pages[`https://${request.headers.host}${pathname}`];
    const callback = request.headers.host === CHATGPT && /^\/aip\/g-[^/]+\/oauth\/callback$/.test(pathname);
    const { html, headers } = page ?? { html: callback ? 'Back at ChatGPT.' : 'Nothing here.', headers: {} };
    response.writeHead(page || callback ? 200 : 404, { 'content-type': 'text/html; charset=utf-8', ...headers });
    response.end(`<!DOCTYPE html><html lang="en"><title>Elsewhere</title><link rel="icon" href="data:,">${html}`);
  }

  /// The browser's flag: where each name leads, and that all others lead nowhere.
  resolverRules(gate) {
    const elsewhere = [CHATGPT, EVIL, NEIGHBOUR].map((name) => `MAP ${name}:443 127.0.0.1:${this.server.address().port}`);
    const rules = [`MAP ${HOST}:443 127.0.0.1:${gate.port}`, ...elsewhere, 'MAP * ~NOTFOUND', 'EXCLUDE 127.0.0.1'];
    return `--host-resolver-rules=${rules.join(', ')}`;
  }

  /// What a program sends to the gate at its public URL, over TLS that it checks.
  send(gate, url, { method = 'GET', headers = {}, body } = {}) {
    const { host, pathname, search } = new URL(url);
    if (host !== HOST) throw new Error(`${url} is not the gate's`);
    const target = { host: '127.0.0.1', port: gate.port, servername: host, ca: this.authority };
    const options = { ...target, method, path: pathname + search, headers: { ...headers, host }, agent: false };
    const signal = AbortSignal.timeout(30_000);
    return new Promise((resolve, reject) => {
      const request = https.request({ ...options, signal }, async (response) => {
        const chunks = await response.toArray();
        const text = Buffer.concat(chunks).toString();
        const isJson = /json/.test(response.headers['content-type']);
        resolve({ status: response.statusCode, headers: response.headers, body: isJson ? JSON.parse(text) : text });
      });
      request.on('error', reject).end(body);
    });
  }
}
