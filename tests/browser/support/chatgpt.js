// ChatGPT's side, as its documentation and people who watched it describe it: it knows what `memgate connect gpt` printed for
// the fields of the GPT editor, and nothing else.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { CALLBACK } from './gate.js';

/// The Token Exchange Methods of the editor.
export const POST = 'Default (POST request)';
export const BASIC = 'Basic authorization header';

/// What one person's ChatGPT knows of a GPT with actions.
export class ChatGpt {
  /// `editor` holds the fields of the GPT editor.
  constructor(internet, gate, editor, method = editor.token_exchange_method) {
    Object.assign(this, { internet, gate, editor, method, state: undefined, tokens: undefined });
  }

  /// Where the button "Sign in" leads. No code challenge: ChatGPT knows none.
  signInUrl(scope = this.editor.scope) {
    this.state = randomUUID();
    const { authorization_url, client_id } = this.editor;
    const query = { response_type: 'code', client_id, redirect_uri: CALLBACK, state: this.state, scope };
    return `${authorization_url}?${new URLSearchParams(query)}`;
  }

  /// Takes the code out of the URL to which the person has come back. The state must be the one that was sent.
  codeOf(url) {
    const query = new URL(url).searchParams;
    assert.ok(this.state && query.get('state') === this.state, 'ChatGPT refuses an answer to what it did not ask');
    this.state = undefined;
    return query.get('code');
  }

  async comeBack(url) {
    const answer = await this.exchange(this.codeOf(url));
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    this.tokens = answer.body;
  }

  exchange(code, changes = {}) {
    return this.#token({ grant_type: 'authorization_code', code, redirect_uri: CALLBACK, ...changes });
  }

  async refresh() {
    const { refresh_token } = this.tokens;
    const answer = await this.#token({ grant_type: 'refresh_token', refresh_token });
    if (answer.status === 200) this.tokens = answer.body;
    return answer;
  }

  #token(parameters) {
    const { client_id, client_secret, token_url } = this.editor;
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    if (this.method === BASIC) {
      const credentials = Buffer.from(`${encodeURIComponent(client_id)}:${encodeURIComponent(client_secret)}`);
      headers.authorization = `Basic ${credentials.toString('base64')}`;
    } else {
      Object.assign(parameters, { client_id, client_secret });
    }
    return this.internet.send(this.gate, token_url, { method: 'POST', headers, body: String(new URLSearchParams(parameters)) });
  }

  /// Calls an action as the imported schema describes it.
  async call(operationId, { path: inPath = {}, query = {}, body } = {}) {
    this.schema ??= (await this.internet.send(this.gate, this.editor.schema_url)).body;
    const operations = Object.entries(this.schema.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({ path, method, ...operation })),
    );
    const operation = operations.find((known) => known.operationId === operationId);
    assert.ok(operation, `the schema has no action ${operationId}`);
    const path = operation.path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(inPath[name]));
    const headers = {
      authorization: `Bearer ${this.tokens?.access_token}`,
      'user-agent': 'Mozilla/5.0; compatible; ChatGPT-User/1.0; +https://openai.com/bot',
      'openai-conversation-id': '6f0c2c4e-0000-4000-8000-000000000001',
      'openai-gpt-id': 'g-1234567890',
      'openai-ephemeral-user-id': '6f0c2c4e-0000-4000-8000-000000000002',
      ...(body && { 'content-type': 'application/json' }),
    };
    const url = `${this.schema.servers[0].url}${path}${Object.keys(query).length ? `?${new URLSearchParams(query)}` : ''}`;
    const content = body && JSON.stringify(body);
    return this.internet.send(this.gate, url, { method: operation.method.toUpperCase(), headers, body: content });
  }

  /// Stores a memory, and returns its id.
  async remember(content) {
    const answer = await this.call('createMemory', { body: { content } });
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
    return answer.body.memory.memory_id;
  }

  /// The texts of the memories that are found.
  async search(query) {
    const answer = await this.call('searchMemories', { body: { query } });
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    return answer.body.results.map((result) => result.content);
  }
}
