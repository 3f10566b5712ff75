// What every page looks like, on a desk and on a phone, in light and dark, and whether everybody can use it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allow, headingOf, inspect, openAs, signIn } from './support/browser.js';
import { ChatGpt } from './support/chatgpt.js';
import { world } from './support/world.js';

const here = world();
const connections = () => `${here.gate.url}/account/connections`;

const looks = (name, open) =>
  test(`${name} is sound in every look`, () =>
    here.browser.visit(async (page) => {
      await open(page);
      await inspect(page, name.replaceAll(' ', '-'));
    }));

looks('sign-in', async (page) => {
  await page.goto(connections());
  await headingOf(page, 'Sign in');
});

looks('sign-in for an application', async (page) => {
  await page.goto(here.gate.request(here.gpt));
  await page.getByText('to continue with Trip planner').waitFor();
});

looks('wrong password', async (page) => {
  await page.goto(here.gate.request(here.gpt));
  await signIn(page, 'marta', 'wrong horse battery');
  await page.getByRole('alert').waitFor();
});

looks('throttled', async (page) => {
  await page.goto(connections());
  const [form_token, cookies] = [await page.locator('[name=form_token]').first().inputValue(), await page.context().cookies()];
  const cookie = cookies.map(({ name, value }) => `${name}=${value}`).join('; ');
  const headers = { cookie, 'content-type': 'application/x-www-form-urlencoded' };
  const body = String(new URLSearchParams({ form_token, login: 'throttled', password: 'wrong horse battery' }));
  const fail = () => here.internet.send(here.gate, `${here.gate.url}/auth/sign-in`, { method: 'POST', headers, body });
  await Promise.all(Array.from({ length: 8 }, fail));
  // The first wait is short: whoever goes on waits longer.
  const told = page.getByText(/Too many failed attempts\. Wait \d+ seconds?, then try again\./);
  for (let attempt = 0; attempt < 8 && !(await told.isVisible()); attempt += 1) {
    await fail();
    await signIn(page, 'throttled', 'wrong horse battery');
  }
  await told.waitFor();
});

looks('signed out', async (page) => {
  await openAs(page, connections(), 'marta', 'Connected applications');
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByText('You are signed out.').waitFor();
});

looks('consent', (page) => openAs(page, here.gate.request(here.gpt), 'marta', 'Allow Trip planner to use your memories?'));

looks('consent with the longest name', async (page) => {
  const gpt = await here.gate.connectGpt('W'.repeat(100));
  await openAs(page, here.gate.request(gpt), 'marta', /^Allow W/);
});

looks('consent to reading only', async (page) => {
  const gpt = await here.gate.connectGpt('Librarian', '--permission', 'memory:read');
  await openAs(page, here.gate.request(gpt), 'marta', /^Allow /);
  assert.equal(await page.locator('.grants li').count(), 1);
});

looks('connections empty', async (page) => {
  await openAs(page, connections(), 'nils', 'Connected applications');
  await page.getByRole('heading', { name: 'Nothing is connected' }).waitFor();
});

looks('connections', async (page) => {
  const librarian = await here.gate.connectGpt('Librarian', '--permission', 'memory:read');
  for (const gpt of [here.gpt, librarian]) {
    const chatgpt = new ChatGpt(here.internet, here.gate, gpt);
    await page.context().clearCookies();
    await chatgpt.comeBack(await allow(page, chatgpt.signInUrl(), 'marta'));
  }
  await page.goto(connections());
  assert.equal(await page.getByRole('button', { name: /^Disconnect / }).count(), 2);
});

looks('error page', async (page) => {
  const answer = await page.goto(here.gate.request(here.gpt, { redirect_uri: 'https://evil.example/' }));
  assert.equal(answer.status(), 400);
  await headingOf(page, 'This request cannot be trusted');
});

looks('no cookie', async (page) => {
  await page.goto(connections());
  await page.context().clearCookies();
  await signIn(page, 'marta');
  await headingOf(page, 'Your browser sent no cookie');
});

looks('page out of date', async (page) => {
  await openAs(page, connections(), 'marta', 'Connected applications');
  await page.context().clearCookies();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await headingOf(page, 'This page is out of date');
});

looks('nothing here', async (page) => {
  assert.equal((await page.goto(`${here.gate.url}/account/nowhere`)).status(), 404);
  await headingOf(page, 'Page not found');
});

looks('privacy', async (page) => {
  await page.goto(`${here.gate.url}/privacy`);
  await headingOf(page, 'Privacy');
});

const account = (path = '') => `${here.gate.url}/account${path}`;

/// Marta, with a few memories by way of the GPT.
async function withMemories(page) {
  const chatgpt = new ChatGpt(here.internet, here.gate, here.gpt);
  await chatgpt.comeBack(await allow(page, chatgpt.signInUrl(), 'marta'));
  for (const [content, categories] of [
    ['Marta is allergic to hazelnuts and all other tree nuts.', ['health', 'food']],
    ['The summer house at the lake is booked for the first two weeks of July.', ['travel']],
    [`A long note: ${'everything that has to be packed for the summer house. '.repeat(20)}`, []],
    ['מרתה אוהבת תה ירוק', ['drinks']],
  ]) {
    const { status } = await chatgpt.call('createMemory', { body: { content, categories } });
    assert.equal(status, 201);
  }
}

looks('home', async (page) => {
  await page.goto(`${here.gate.url}/`);
  await headingOf(page, 'Memory for your assistants');
});

looks('account', (page) => openAs(page, account(), 'nils', 'Your account'));

looks('memories empty', async (page) => {
  await openAs(page, account('/memories'), 'nils', 'Your memories');
  await page.getByRole('heading', { name: 'Nothing is stored yet' }).waitFor();
});

looks('memories', async (page) => {
  await withMemories(page);
  await page.goto(account('/memories'));
  assert.ok((await page.getByRole('checkbox').count()) >= 4);
});

looks('a memory', async (page) => {
  await withMemories(page);
  await page.goto(account('/memories?q=hazelnuts'));
  await page.getByRole('link', { name: /Open and correct/ }).first().click();
  await headingOf(page, 'A memory');
});

looks('memories deleted', async (page) => {
  await withMemories(page);
  await page.goto(account('/memories'));
  await page.getByRole('checkbox').first().check();
  await page.getByRole('button', { name: 'Delete selected' }).click();
  await headingOf(page, '1 memory is deleted');
});

looks('delete all memories', async (page) => {
  await openAs(page, account('/memories'), 'nils', 'Your memories');
  await page.goto(account('/delete-memories'));
  await headingOf(page, 'Delete all memories?');
});

looks('security', (page) => openAs(page, account('/security'), 'nils', 'Security'));

looks('export', (page) => openAs(page, account('/export'), 'nils', 'Export'));

test('a person finds, corrects, deletes and takes back a memory with the keyboard alone', () =>
  here.browser.visit(async (page) => {
    await withMemories(page);
    await page.goto(account('/memories'));
    await page.getByLabel('Search').focus();
    await page.keyboard.type('hazelnuts');
    await page.keyboard.press('Enter');
    await page.getByRole('link', { name: /Open and correct/ }).first().focus();
    await page.keyboard.press('Enter');
    await page.getByLabel('What is remembered').focus();
    await page.keyboard.press('Control+A');
    await page.keyboard.type('Marta is allergic to hazelnuts alone.');
    await page.getByRole('button', { name: 'Save' }).focus();
    await page.keyboard.press('Enter');
    await page.getByText(/^Saved\./).waitFor();
    await page.getByRole('button', { name: 'Delete this memory' }).focus();
    await page.keyboard.press('Enter');
    await headingOf(page, '1 memory is deleted');
    await page.getByRole('button', { name: 'Undo' }).focus();
    await page.keyboard.press('Enter');
    await page.getByText('Marta is allergic to hazelnuts alone.').first().waitFor();
  }));
