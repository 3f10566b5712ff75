// Signing in with an account that somebody has elsewhere, before a gate on http and a real identity provider.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { goBackBy, headingOf, inspect, signIn } from './support/browser.js';
import { Gate } from './support/gate.js';
import { Provider, signInAtProvider } from './support/provider.js';
import { world } from './support/world.js';

let provider;
const here = world(async () => {
  provider = await Provider.start();
  return Gate.onHttp(provider.settings());
});
after(() => provider?.stop());

const connections = () => `${here.gate.url}/account/connections`;
const visit = (steps, options) => here.browser.visit(steps, options);
const viaProvider = (page) => page.getByRole('link', { name: 'Continue with Example Accounts' });

/// Goes to the provider from the page at `url`, and signs in there.
async function go(page, url, login) {
  await page.goto(url);
  await viaProvider(page).click();
  return signInAtProvider(page, login);
}

test('sign-in with a provider is sound in every look', () =>
  visit(async (page) => {
    await page.goto(here.gate.request(here.gpt));
    await viaProvider(page).waitFor();
    await inspect(page, 'sign-in-with-provider');
  }));

test('who signs in with the provider is asked to agree, and comes back with a code', () =>
  visit(async (page) => {
    const button = await go(page, here.gate.request(here.gpt), 'berta');
    await button.click();
    await headingOf(page, 'Allow Trip planner to use your memories?');
    await page.getByText('Signed in as berta@example.com').waitFor();
    const query = new URL(await goBackBy(page, 'Allow')).searchParams;
    assert.ok(query.get('code'));
    assert.equal(query.get('state'), 'a b&c');
    await page.goto(connections());
    await page.getByText('the memories of berta@example.com').waitFor();
  }));

test('somebody whom the provider knows and the gate does not admit stays outside', () =>
  visit(async (page) => {
    const button = await go(page, connections(), 'eve@evil.example');
    await button.click();
    await page.getByRole('alert').waitFor();
    assert.match(await page.getByRole('alert').textContent(), /This account may not be used here/);
    await inspect(page, 'not-admitted');
    await page.goto(connections());
    await headingOf(page, 'Sign in');
  }));

test('who turns back at the provider is told so, and signs in with a password instead', () =>
  visit(async (page) => {
    await go(page, connections(), 'berta');
    await page.getByRole('link', { name: /Cancel/ }).click();
    await page.getByText('You were not signed in.').waitFor();
    await signIn(page, 'marta');
    await headingOf(page, 'Connected applications');
  }));

/// The URL to which the provider sends the browser back, which the browser has not opened.
async function unopenedAnswer(page, login) {
  await go(page, connections(), login);
  let url = await page.locator('form').first().evaluate((form) => form.action);
  let options = { method: 'POST', form: { prompt: 'consent' } };
  for (let hops = 0; !url.startsWith(`${here.gate.url}/auth/callback?`); hops += 1) {
    assert.ok(hops < 10, `the provider does not send the browser back: ${url}`);
    const answer = await page.request.fetch(url, { ...options, maxRedirects: 0 });
    url = new URL(answer.headers().location, url).href;
    options = { method: 'GET' };
  }
  return url;
}

test('login CSRF: the answer to somebody elses sign-in signs nobody in', async () => {
  const url = await visit((page) => unopenedAnswer(page, 'mallory'));
  // In a browser that began nothing, and in one that is about to sign in by itself.
  for (const begin of [async () => {}, (page) => go(page, connections(), 'berta')]) {
    await visit(async (page) => {
      await begin(page);
      await page.goto(url);
      await page.getByText(/in another browser\. Nobody was signed in\./).waitFor();
      await page.goto(connections());
      await headingOf(page, 'Sign in');
    });
  }
});

test('swapped state: the answer of the provider counts only with the state that went out', () =>
  visit(async (page) => {
    const url = new URL(await unopenedAnswer(page, 'berta'));
    const right = url.searchParams.get('state');
    for (const state of ['', right.slice(1), 'of-somebody-else']) {
      url.searchParams.set('state', state);
      await page.goto(String(url));
      await page.getByText(/Nobody was signed in/).waitFor();
    }
  }));

test('a link to the provider from another site begins nothing', () =>
  visit(async (page) => {
    const url = `${here.gate.url}/auth/sign-in/provider`;
    await page.goto(here.internet.publish('https://evil.example/link', `<a href="${url}">Win a prize</a>`));
    await page.getByRole('link').click();
    await headingOf(page, 'This page is out of date');
    await page.goto(`${url}?return_to=https://evil.example/`);
    await (await signInAtProvider(page, 'berta')).click();
    await headingOf(page, 'Your account');
    assert.equal(page.url(), `${here.gate.url}/account`);
  }));
