// The official clients for JavaScript, from the first 401 to a refreshed token: both packages, and both protocol eras.
// Arguments: the client (sdk, client-legacy or client-auto) and how it is known (registered, dynamic or document).
// The environment has MCP_URL, CLIENT_ID, DOCUMENT_URL, LOGIN and PASSWORD.

import assert from 'node:assert/strict';

import { authorize } from './browser.mjs';

const [kind, way] = process.argv.slice(2);
const { MCP_URL, CLIENT_ID, DOCUMENT_URL } = process.env;

const { Client, StreamableHTTPClientTransport, UnauthorizedError } =
  kind === 'sdk'
    ? {
        ...(await import('@modelcontextprotocol/sdk/client/index.js')),
        ...(await import('@modelcontextprotocol/sdk/client/streamableHttp.js')),
        ...(await import('@modelcontextprotocol/sdk/client/auth.js')),
      }
    : await import('@modelcontextprotocol/client');

// Keeps in memory what a client keeps on disk.
class Provider {
  redirectUrl = 'http://127.0.0.1:43117/callback';
  clientMetadata = {
    client_name: `Judge ${kind} ${way}`,
    redirect_uris: [this.redirectUrl],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
  };
  client = way === 'registered' ? { client_id: CLIENT_ID, issuer: new URL(MCP_URL).origin } : undefined;

  clientMetadataUrl = way === 'document' ? DOCUMENT_URL : undefined;

  clientInformation = () => this.client;
  saveClientInformation(client) {
    this.client = client;
  }
  tokens = () => this.held;
  saveTokens(tokens) {
    this.held = tokens;
    this.saved = (this.saved ?? 0) + 1;
  }
  codeVerifier = () => this.verifier;
  saveCodeVerifier(verifier) {
    this.verifier = verifier;
  }
  discoveryState = () => this.discovered;
  saveDiscoveryState(state) {
    this.discovered = state;
  }
  async redirectToAuthorization(url) {
    this.callback = new URL(await authorize(url.href));
  }
}

const options = kind === 'client-auto' ? { versionNegotiation: { mode: 'auto' } } : {};
const protocol = kind === 'client-auto' ? '2026-07-28' : '2025-11-25';
const connect = async (provider) => {
  const client = new Client({ name: 'judge', version: '1.0.0' }, options);
  const transport = new StreamableHTTPClientTransport(new URL(MCP_URL), { authProvider: provider });
  try {
    await client.connect(transport);
  } catch (error) {
    if (!(error instanceof UnauthorizedError)) {
      throw error;
    }
    const parameters = provider.callback.searchParams;
    assert.ok(parameters.get('code'), provider.callback.href);
    await transport.finishAuth(kind === 'sdk' ? parameters.get('code') : parameters);
    return connect(provider);
  }
  assert.equal(kind === 'sdk' ? transport.protocolVersion : client.getNegotiatedProtocolVersion(), protocol);
  return client;
};

const provider = new Provider();
let client = await connect(provider);
assert.equal(provider.saved, 1);
assert.equal(provider.client.client_id === DOCUMENT_URL, way === 'document', 'a document where there shall be one');
assert.ok(provider.held.refresh_token, 'a refresh token');

const text = `The judge ${kind} by ${way} likes plum cake.`;
const { tools } = await client.listTools();
assert.deepEqual(
  tools.map(({ name }) => name),
  ['search', 'fetch', 'add_memory', 'update_memory', 'delete_memory', 'list_memories', 'list_categories'],
);
const call = async (name, args) => {
  const result = await client.callTool({ name, arguments: args });
  assert.ok(!result.isError, JSON.stringify(result));
  return result.structuredContent;
};
const added = await call('add_memory', { content: text });
assert.equal(added.status, 'stored');

// The access token is lost: the client gets a new one with its refresh token, and nobody is asked.
await client.close();
provider.held = { ...provider.held, access_token: 'expired' };
provider.callback = undefined;
client = await connect(provider);
const found = await call('search', { query: `What does the judge ${kind} by ${way} like?` });
assert.equal(found.results[0].title, text);
assert.equal(provider.saved, 2, 'refreshed once');
assert.equal(provider.callback, undefined, 'without the person');
const fetched = await call('fetch', { id: found.results[0].id });
assert.equal(fetched.text, text);
await call('delete_memory', { id: found.results[0].id });
const { prompts } = await client.listPrompts();
assert.deepEqual(prompts.map(({ name }) => name), ['personal_context']);
const { messages } = await client.getPrompt({ name: 'personal_context' });
assert.match(messages[0].content.text, /^What is stored about me/);
await client.close();
console.log(`${kind}, ${way}: ${protocol}`);
