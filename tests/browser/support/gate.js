// The program itself, as an operator runs it, in a folder of its own that vanishes with it.
import { execFile, spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const PASSWORD = 'correct horse battery';
/// The host by which people and ChatGPT know the gate. No name is looked up: see `internet.js`.
export const HOST = 'memory.example.com';
/// The callback of an MCP client.
export const CLAUDE = 'https://claude.ai/api/mcp/auth_callback';
/// How it asks: with a code challenge, at its own callback.
export const askingWithChallenge = {
  redirect_uri: CLAUDE,
  code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM',
  code_challenge_method: 'S256',
};
export const CALLBACK = 'https://chatgpt.com/aip/g-1234567890/oauth/callback';

// Whoever is told to end clears away first.
process.once('SIGTERM', () => process.exit(143));

const PROGRAM = process.env.TEST_MEMGATE ?? fileURLToPath(new URL('../../debug/memgate', import.meta.url));

export class Gate {
  /// Serves on https, as `https://memory.example.com`, with this certificate.
  static onHttps({ certificate, key }, variables = {}) {
    const url = `https://${HOST}`;
    return Gate.start(url, {
      MEMGATE_PUBLIC_URL: url,
      MEMGATE_TLS_CERT: certificate,
      MEMGATE_TLS_KEY: key,
      ...variables,
    });
  }

  /// Serves on http, as the address that it listens on.
  static onHttp(variables = {}) {
    return Gate.start(undefined, variables);
  }

  static async start(url, variables) {
    const folder = await mkdtemp(join(tmpdir(), 'memgate-browser-'));
    const own = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('MEMGATE_')));
    const environment = {
      ...own,
      MEMGATE_ADMIN_LISTEN: 'off',
      // A secret takes long enough to check for several wrong ones to be under way at once.
      MEMGATE_BCRYPT_COST: '9',
      MEMGATE_DRAIN: '0',
      MEMGATE_DATABASE_URL: `sqlite://${join(folder, 'memgate.db')}?mode=rwc`,
      MEMGATE_LISTEN: '127.0.0.1:0',
      MEMGATE_LOG: 'info',
      MEMGATE_LOG_FORMAT: 'json',
      ...variables,
    };
    const server = spawn(PROGRAM, ['serve'], { cwd: folder, env: environment, stdio: ['ignore', 'ignore', 'pipe'] });
    const gate = Object.assign(new Gate(), { environment, folder, log: [], server });
    process.on('exit', () => {
      server.kill('SIGKILL');
      rmSync(folder, { force: true, recursive: true });
    });
    gate.ended = new Promise((resolve) => server.on('close', resolve));
    try {
      const { hostname, port } = new URL(`http://${await gate.#address()}`);
      return Object.assign(gate, { port: Number(port), url: url ?? `http://${hostname}:${port}` });
    } catch (error) {
      await gate.stop();
      throw error;
    }
  }

  #address() {
    return new Promise((resolve, reject) => {
      this.server.on('error', (error) => reject(new Error(`${PROGRAM}: ${error.message}`)));
      createInterface(this.server.stderr)
        .on('line', (line) => {
          this.log.push(line);
          const event = line.startsWith('{') ? JSON.parse(line) : {};
          if (event.message === 'listening' && event.address) resolve(event.address);
        })
        .on('close', () => reject(new Error(`the gate ended:\n${this.log.join('\n')}`)));
    });
  }

  async stop() {
    this.server.kill('SIGTERM');
    await this.ended;
    await rm(this.folder, { recursive: true });
  }

  /// Runs a command that must succeed, and returns the JSON that it prints.
  async run(arguments_, input = '') {
    const options = { cwd: this.folder, env: { ...this.environment, MEMGATE_LOG: 'warn' } };
    const { stdout } = await new Promise((resolve, reject) => {
      const child = execFile(PROGRAM, [...arguments_, '--json'], options, (error, stdout, stderr) => {
        if (error) reject(new Error(`memgate ${arguments_.join(' ')}: ${stderr}`));
        else resolve({ stdout });
      });
      child.stdin.end(input);
    });
    return JSON.parse(stdout);
  }

  createUser(login) {
    return this.run(['user', 'create', login], `${PASSWORD}\n`);
  }

  /// Registers a GPT. Returns what its editor is told.
  connectGpt(name, ...arguments_) {
    const publicUrl = ['--public-url', `https://${HOST}`];
    return this.run(['connect', 'gpt', '--name', name, '--skip-check', ...publicUrl, ...arguments_]);
  }

  /// Registers an application that comes by itself, as MCP clients do. Needs MEMGATE_DYNAMIC_REGISTRATION.
  async registerItself(internet, client_name, redirect_uri) {
    const request = { client_name, redirect_uris: [redirect_uri], token_endpoint_auth_method: 'none' };
    const headers = { 'content-type': 'application/json' };
    const answer = await internet.send(this, `${this.url}/auth/register`, { method: 'POST', headers, body: JSON.stringify(request) });
    if (answer.status !== 201) throw new Error(JSON.stringify(answer.body));
    return answer.body;
  }

  /// The URL at which this application asks; a change of `undefined` takes a parameter away.
  request(application, changes = {}) {
    const { client_id } = application;
    const parameters = { response_type: 'code', client_id, redirect_uri: CALLBACK, state: 'a b&c', ...changes };
    const given = Object.entries(parameters).filter(([, value]) => value !== undefined);
    return `${this.url}/auth/authorize?${new URLSearchParams(given)}`;
  }
}
