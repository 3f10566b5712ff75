// Everything between a person, a Custom GPT and the gate, with a stand-in for ChatGPT's side.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allow, openAs } from './support/browser.js';
import { BASIC, ChatGpt, POST } from './support/chatgpt.js';
import { world } from './support/world.js';

const here = world();
const visit = (steps) => here.browser.visit(steps);

/// A ChatGPT that `login` has connected, in a browser of their own.
async function connected(editor, login, { method, scope } = {}) {
  const chatgpt = new ChatGpt(here.internet, here.gate, editor, method);
  await visit(async (page) => chatgpt.comeBack(await allow(page, chatgpt.signInUrl(scope), login)));
  return chatgpt;
}

for (const [method, scope] of [[POST, undefined], [BASIC, '']]) {
  const asked = scope === '' ? 'an empty scope' : 'the whole scope';
  test(`a GPT is connected, remembers, and goes on: ${method}, ${asked}`, async () => {
    const gpt = await here.gate.connectGpt('Trip planner');
    const chatgpt = await connected(gpt, 'marta', { method, scope });
    assert.equal(chatgpt.tokens.token_type, 'Bearer');
    assert.equal(chatgpt.tokens.scope, gpt.scope);
    assert.ok(chatgpt.tokens.expires_in > 0 && chatgpt.tokens.refresh_token);

    const id = await chatgpt.remember('Marta is allergic to hazelnuts.');
    assert.deepEqual(await chatgpt.search('Which nuts must Marta not eat? hazelnuts'), ['Marta is allergic to hazelnuts.']);

    const before = chatgpt.tokens;
    assert.equal((await chatgpt.refresh()).status, 200);
    assert.notEqual(chatgpt.tokens.access_token, before.access_token);
    assert.notEqual(chatgpt.tokens.refresh_token, before.refresh_token);

    const memory = { path: { memory_id: id } };
    const update = { ...memory, body: { content: 'Marta is allergic to hazelnuts and walnuts.' } };
    assert.equal((await chatgpt.call('updateMemory', update)).status, 200);
    const { metadata, content } = (await chatgpt.call('getMemory', memory)).body.memory;
    assert.equal(content, 'Marta is allergic to hazelnuts and walnuts.');
    assert.deepEqual(Object.values(metadata).sort(), ['6f0c2c4e-0000-4000-8000-000000000001', 'g-1234567890']);
    const listed = await chatgpt.call('listMemories', { query: { limit: '10' } });
    assert.deepEqual(listed.body.memories.map((memory) => memory.memory_id), [id]);
    assert.equal((await chatgpt.call('deleteMemory', memory)).status, 200);
    assert.equal((await chatgpt.call('getMemory', memory)).status, 404);
    assert.deepEqual(await chatgpt.search('hazelnuts'), []);
  });
}

test('two people behind one GPT, and an application by itself in the same space, have three places', async () => {
  const gpt = await here.gate.connectGpt('Shared', '--space', 'household');
  const [marta, nils] = [await connected(gpt, 'marta'), await connected(gpt, 'nils')];
  const robot = await ownPlace('household');
  const everybody = [[marta, 'Marta'], [nils, 'Nils'], [robot, 'the robot']];
  const ids = [];
  for (const [who, name] of everybody) ids.push(await who.remember(`The spare key hangs in the shed, says ${name}.`));
  for (const [index, [who, name]] of everybody.entries()) {
    assert.deepEqual(await who.search('spare key'), [`The spare key hangs in the shed, says ${name}.`]);
    for (const [other, id] of ids.entries()) {
      const { status } = await who.call('getMemory', { path: { memory_id: id } });
      assert.equal(status, other === index ? 200 : 404);
    }
  }
});

test('the same person behind two GPTs in one space finds in one what the other stored', async () => {
  const trips = await connected(await here.gate.connectGpt('Trips', '--space', 'mine'), 'marta');
  const recipes = await connected(await here.gate.connectGpt('Recipes', '--space', 'mine'), 'marta');
  await trips.remember('Marta prefers window seats.');
  assert.deepEqual(await recipes.search('window seats'), ['Marta prefers window seats.']);
});

test('a GPT that may only read is shown to be one, and cannot store', async () => {
  const chatgpt = new ChatGpt(here.internet, here.gate, await here.gate.connectGpt('Librarian', '--permission', 'memory:read'));
  await visit(async (page) => {
    await openAs(page, chatgpt.signInUrl(''), 'marta', /^Allow /);
    assert.deepEqual(await page.locator('.grants strong').allTextContents(), ['Read your memories']);
    await page.getByRole('button', { name: 'Allow', exact: true }).click();
    await page.waitForURL('https://chatgpt.com/**');
    await chatgpt.comeBack(page.url());
  });
  assert.equal(chatgpt.tokens.scope, 'memory:read');
  assert.deepEqual(await chatgpt.search('anything'), []);
  assert.equal((await chatgpt.call('createMemory', { body: { content: 'No.' } })).status, 403);
});

test('the URLs of the GPT editor answer where they are pasted from', async () => {
  const { schema_url, privacy_policy_url } = here.gpt;
  const schema = (await here.internet.send(here.gate, schema_url)).body;
  assert.match(schema.openapi, /^3\.1\.[01]$/);
  assert.deepEqual(schema.servers.map((server) => server.url), [here.gate.url]);
  const [{ flows }] = Object.values(schema.components.securitySchemes);
  const { authorizationUrl, tokenUrl } = flows.authorizationCode;
  assert.deepEqual([authorizationUrl, tokenUrl], [here.gpt.authorization_url, here.gpt.token_url]);
  const privacy = await here.internet.send(here.gate, privacy_policy_url);
  assert.equal(privacy.status, 200);
  assert.match(privacy.body, /<h1>Privacy<\/h1>/);
});

/// An integrator's application in this space, which acts for nobody.
async function ownPlace(space) {
  const arguments_ = ['--name', 'Robot', '--space', space, '--grant', 'client_credentials'];
  const { client_id, client_secret } = await here.gate.run(['app', 'create', ...arguments_]);
  const robot = new ChatGpt(here.internet, here.gate, { ...here.gpt, client_id, client_secret });
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  const body = String(new URLSearchParams({ grant_type: 'client_credentials', client_id, client_secret }));
  robot.tokens = (await here.internet.send(here.gate, here.gpt.token_url, { method: 'POST', headers, body })).body;
  return robot;
}
