// How a form's page is left for the application's, where Chromium holds every redirect against `form-action`.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, test } from 'node:test';
import { allow, headingOf, openAs, signIn } from './support/browser.js';
import { world } from './support/world.js';

const here = world();
const visit = (steps, options) => here.browser.visit(steps, options);

const servers = [];
after(() => Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve)))));

/// A server on http that answers so; returns its URL.
async function serve(answer) {
  const server = http.createServer(answer);
  servers.push(server);
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${server.address().port}`;
}

/// A native program whose callback leads from https to a page on http, on this machine.
async function hopping() {
  const done = await serve((request, response) => response.end('<!DOCTYPE html><title>Done</title><link rel="icon" href="data:,">Done.'));
  const url = 'https://chatgpt.com/hop/callback';
  here.internet.redirects[url] = `${done}/done`;
  const arguments_ = ['--redirect-uri', url, '--pkce', 'optional', '--grant', 'authorization_code'];
  const application = await here.gate.run(['app', 'create', '--name', 'Hopper', ...arguments_]);
  return { application, done, url };
}

for (const javaScriptEnabled of [true, false]) {
  test(`a callback that hops from https to http is reached ${javaScriptEnabled ? 'with' : 'without'} scripts`, () =>
    visit(
      async (page) => {
        const { application, done, url } = await hopping();
        const request = here.gate.request(application, { redirect_uri: url });
        await openAs(page, request, 'marta', /^Allow /);
        await page.getByRole('button', { name: 'Allow', exact: true }).click();
        await page.waitForURL(`${done}/done?code=**`);
        assert.equal(await page.textContent('body'), 'Done.');
      },
      { javaScriptEnabled },
    ));
}

test('an application hears of a scope that it lost while somebody was signing in', () =>
  visit(async (page) => {
    const gpt = await here.gate.connectGpt('Loser');
    await page.goto(here.gate.request(gpt, { scope: 'memory:write' }));
    await headingOf(page, 'Sign in');
    await here.gate.run(['app', 'update', gpt.client_id, '--permission', 'memory:read']);
    // A running gate notices within two seconds.
    await new Promise((resolve) => setTimeout(resolve, 2500));
    await signIn(page, 'nils');
    await page.waitForURL('https://chatgpt.com/**');
    assert.equal(new URL(page.url()).searchParams.get('error'), 'invalid_scope');
  }));

test('who is asked to sign in again can be somebody else', () =>
  visit(async (page) => {
    await allow(page, here.gate.request(here.gpt), 'marta');
    await page.goto(here.gate.request(here.gpt, { prompt: 'login' }));
    await headingOf(page, 'Sign in');
    await signIn(page, 'nils');
    await headingOf(page, /^Allow /);
    await page.getByText('Signed in as nils').waitFor();
  }));
