// What every page looks like, on a desk and on a phone, in light and dark, and whether everybody can use it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allow, goBackBy, headingOf, inspect, openAs, signIn } from './support/browser.js';
import { ChatGpt } from './support/chatgpt.js';
import { CLAUDE, Gate, askingWithChallenge } from './support/gate.js';
import { world } from './support/world.js';

// MCP clients may come by themselves.
const here = world((internet) => Gate.onHttps(internet, { MEMGATE_DYNAMIC_REGISTRATION: 'true' }));
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

looks('consent for an application that came by itself', async (page) => {
  const client = await here.gate.registerItself(here.internet, 'Claude', CLAUDE);
  await openAs(page, here.gate.request(client, askingWithChallenge), 'marta', /^Allow /);
  await page.getByText('claude.ai').first().waitFor();
});

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

looks('a memory with a history', async (page) => {
  const chatgpt = new ChatGpt(here.internet, here.gate, here.gpt);
  await chatgpt.comeBack(await allow(page, chatgpt.signInUrl(), 'marta'));
  const older = await chatgpt.call('createMemory', {
    body: { content: `Marta lives in Ulm. ${'The flat has a balcony to the south. '.repeat(8)}`, categories: ['places'] },
  });
  const newer = await chatgpt.call('createMemory', {
    body: { content: 'Marta lives in Porto.', supersedes: older.body.memory.memory_id },
  });
  assert.equal(newer.status, 201);
  await page.goto(account(`/memories/${newer.body.memory.memory_id}`));
  await page.getByLabel('Categories').fill('places');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('You changed: categories').waitFor();
  await page.getByText('replaced an older memory').waitFor();
});

looks('a corrected memory', async (page) => {
  await withMemories(page);
  await page.goto(account('/memories?q=hazelnuts'));
  await page.getByRole('link', { name: /Open and correct/ }).first().click();
  await page.getByLabel('What is remembered').fill('Marta is allergic to hazelnuts.');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('button', { name: 'Undo' }).waitFor();
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

looks('delete for good', async (page) => {
  const chatgpt = new ChatGpt(here.internet, here.gate, here.gpt);
  await chatgpt.comeBack(await allow(page, chatgpt.signInUrl(), 'marta'));
  for (let number = 0; number < 17; number += 1) {
    const content = `Minutes of meeting ${number}: ${'everything that was said about the boat. '.repeat(780)}`;
    assert.equal((await chatgpt.call('createMemory', { body: { content } })).status, 201);
  }
  await page.goto(account('/memories?q=minutes'));
  for (const box of await page.getByRole('checkbox').all()) await box.check();
  await page.getByRole('button', { name: 'Delete selected' }).click();
  await headingOf(page, 'Delete these for good?');
});

looks('security', (page) => openAs(page, account('/security'), 'nils', 'Security'));

looks('security with two sessions and what an application did', async (page) => {
  await here.browser.visit((other) => openAs(other, account('/security'), 'marta', 'Security'));
  await withMemories(page);
  await page.goto(account('/security'));
  assert.ok((await page.getByRole('button', { name: /^End the session/ }).count()) >= 1);
  await page.getByText(/^Trip planner stored memories: \d+$/).waitFor();
});

looks('account to delete', async (page) => {
  await openAs(page, account('/security'), 'nils', 'Security');
  await page.locator('#delete-password').fill('wrong horse battery');
  await page.getByRole('checkbox').check();
  await page.getByRole('button', { name: 'Delete account' }).click();
  await page.getByRole('alert').waitFor();
});

looks('set a password', async (page) => {
  const { url } = await here.gate.run(['user', 'invite', 'olga']);
  await page.goto(url);
  await headingOf(page, 'Welcome. Choose a password');
});

looks('a link that is dead', async (page) => {
  await page.goto(account('/set-password?link=x'));
  await headingOf(page, 'This link does not work, or no longer works');
});

looks('address that is not there', async (page) => {
  assert.equal((await page.goto(`${here.gate.url}/login`)).status(), 404);
  await page.getByRole('link', { name: 'Go to the start page' }).waitFor();
});

looks('account in numbers', async (page) => {
  await withMemories(page);
  await page.goto(account());
  await page.getByRole('heading', { name: 'In numbers' }).waitFor();
});

looks('import without an application', async (page) => {
  await openAs(page, account('/import'), 'nils', 'Import');
  await page.getByRole('heading', { name: 'Connect an application first' }).waitFor();
});

looks('import', async (page) => {
  await toImport(page);
});

looks('import refused', async (page) => {
  await toImport(page);
  await choose(page, 'half.zip', 'PK\x03\x04 and no more');
  await page.getByRole('alert').waitFor();
});

looks('import of nothing', async (page) => {
  await toImport(page);
  await choose(page, 'user.txt', '<html>');
  await page.getByRole('heading', { name: 'There is nothing to import in it' }).waitFor();
});

looks('import preview', async (page) => {
  await toImport(page);
  await choose(page, 'conversations.json', conversations());
  await headingOf(page, 'Check the import');
  await page.getByText('Choose conversations').click();
});

looks('import report', async (page) => {
  await toImport(page);
  await choose(page, 'conversations.json', conversations());
  await page.getByRole('button', { name: 'Import', exact: true }).click();
  await headingOf(page, 'The import is done');
});

looks('more than one page of results', async (page) => {
  const chatgpt = new ChatGpt(here.internet, here.gate, here.gpt);
  await chatgpt.comeBack(await allow(page, chatgpt.signInUrl(), 'marta'));
  for (let number = 0; number < 21; number += 1) {
    assert.equal((await chatgpt.call('createMemory', { body: { content: `Lighthouse number ${number}` } })).status, 201);
  }
  await page.goto(account('/memories?q=lighthouse'));
  await page.getByRole('link', { name: 'More results' }).click();
  // With what was said beside them in the same conversation there are more than 21.
  assert.ok((await page.getByRole('checkbox').count()) >= 1);
});

looks('export', (page) => openAs(page, account('/export'), 'nils', 'Export'));

for (const [locale, signInName, heading] of [
  ['de-DE', 'Anmelden', 'Deine Erinnerungen'],
  ['fr-FR', 'Se connecter', 'Vos souvenirs'],
  ['es-ES', 'Iniciar sesión', 'Tus recuerdos'],
  ['pt-BR', 'Entrar', 'Suas memórias'],
  ['ja-JP', 'サインイン', 'あなたのメモリー'],
]) {
  const tag = locale.slice(0, 2);
  test(`pages in ${tag} are sound in every look`, () =>
    here.browser.visit(
      async (page) => {
        await page.goto(account('/memories'));
        await headingOf(page, signInName);
        await page.locator('#login').fill('marta');
        await page.locator('#password').fill('correct horse battery');
        await page.locator('form[action="/auth/sign-in"] button').click();
        await headingOf(page, heading);
        assert.equal(await page.locator('html').getAttribute('lang'), tag);
        await inspect(page, `memories-${tag}`);
        for (const part of ['', '/security', '/import']) {
          await page.goto(account(part));
          await inspect(page, `account${part.replace('/', '-')}-${tag}`);
        }
      },
      { locale },
    ));
}

test('somebody new gets in, finds, corrects, takes back, takes away, brings along and leaves without a document', () =>
  here.browser.visit(async (page) => {
    const { url } = await here.gate.run(['user', 'invite', 'petra']);
    await page.goto(url);
    await page.getByLabel(/^Password, at least/).fill('correct horse battery');
    await page.getByLabel('Password again').fill('correct horse battery');
    await page.getByRole('button', { name: 'Set the password and sign in' }).click();
    await page.getByRole('navigation', { name: 'Your account' }).waitFor();

    // An assistant is connected from where it is.
    const chatgpt = new ChatGpt(here.internet, here.gate, here.gpt);
    await page.goto(chatgpt.signInUrl());
    await headingOf(page, /^Allow /);
    await chatgpt.comeBack(await goBackBy(page, 'Allow'));
    for (const content of ['Petra keeps bees.', 'Petra lives in Porto.', 'Petra plays the cello.']) {
      assert.equal((await chatgpt.call('createMemory', { body: { content } })).status, 201);
    }

    await page.goto(`${here.gate.url}/`);
    await inspect(page, 'newcomer-1-home');
    await page.getByRole('link', { name: 'Go to your account' }).click();
    await inspect(page, 'newcomer-2-account');
    await page.getByRole('navigation').getByRole('link', { name: 'Memories' }).click();
    await page.getByLabel('Search').fill('Where does Petra live?');
    await page.getByRole('button', { name: 'Search' }).click();
    const porto = page.locator('.memory', { hasText: 'Porto' });
    await porto.getByRole('link', { name: /Open and correct/ }).click();
    await page.getByLabel('What is remembered').fill('Petra lives in Turin.');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText(/^Saved\./).waitFor();
    await inspect(page, 'newcomer-3-corrected');
    await page.getByRole('button', { name: 'Undo' }).click();
    await page.getByText(/^Undone\. This memory is as it was before/).waitFor();
    await page.getByLabel('What is remembered').fill('Petra lives in Turin.');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText(/^Saved\./).waitFor();
    await page.getByRole('button', { name: 'Delete this memory' }).click();
    await page.getByRole('button', { name: 'Undo' }).click();
    await page.getByText(/^Undone\./).waitFor();
    await inspect(page, 'newcomer-4-undone');

    await page.getByRole('navigation').getByRole('link', { name: 'Export' }).click();
    const download = page.waitForEvent('download');
    await page.getByRole('link', { name: 'Download everything' }).click();
    const archive = await (await download).path();
    await page.getByRole('navigation').getByRole('link', { name: 'Memories' }).click();
    await page.getByRole('link', { name: 'Delete all your memories' }).click();
    await page.getByRole('checkbox').check();
    await page.getByRole('button', { name: 'Delete all' }).click();
    await page.getByText('All your memories are deleted.').waitFor();
    await inspect(page, 'newcomer-5-nothing');
    await page.getByRole('link', { name: 'Import memories from a file' }).click();
    await page.getByLabel(/^File/).setInputFiles(archive);
    await page.getByRole('button', { name: 'Look at the file' }).click();
    await headingOf(page, 'Check the import');
    await inspect(page, 'newcomer-6-import');
    await page.getByRole('button', { name: 'Import', exact: true }).click();
    await headingOf(page, 'The import is done');
    await page.getByRole('link', { name: 'See your memories' }).click();
    await page.getByText('Petra lives in Turin.').waitFor();

    await page.getByRole('navigation').getByRole('link', { name: 'Security' }).click();
    await page.getByText('Trip planner stored memories: 3').waitFor();
    await page.locator('#delete-password').fill('correct horse battery');
    await page.getByRole('checkbox').check();
    await page.getByRole('button', { name: 'Delete account' }).click();
    await page.getByText('Your account and everything in it are deleted.').waitFor();
    await inspect(page, 'newcomer-7-left');
    await page.getByRole('link', { name: 'Sign in' }).click();
    await signIn(page, 'petra');
    await page.getByRole('alert').waitFor();
  }));

test('a person chooses a language with the keyboard alone, and it stays', () =>
  here.browser.visit(async (page) => {
    await page.goto(`${here.gate.url}/privacy`);
    await page.getByLabel('Language').focus();
    await page.keyboard.type('Deu');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await headingOf(page, 'Datenschutz');
    assert.equal(page.url(), `${here.gate.url}/privacy`);
    await page.goto(`${here.gate.url}/`);
    await headingOf(page, 'Ein Gedächtnis für deine Assistenten');
  }));

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
    await page.getByText(/^Undone\./).waitFor();
    // It is as old as it was, and may not be on the first page.
    await page.goto(account('/memories?q=hazelnuts+alone'));
    await page.getByText('Marta is allergic to hazelnuts alone.').first().waitFor();
  }));

/// Conversations as ChatGPT exports them, the last of which it does not: it is left out.
function conversations() {
  const message = (role, recipient, text) => ({
    message: { author: { role }, recipient, create_time: 1767225600, content: { content_type: 'text', parts: [text] } },
  });
  const conversation = (title, ...nodes) => ({ title, create_time: 1767225600, mapping: Object.fromEntries(nodes.entries()) });
  return JSON.stringify([
    conversation('Green tea', message('user', 'all', 'I drink green tea in the morning.'), message('assistant', 'bio', 'User drinks green tea.')),
    conversation('A boat with a very long name: '.repeat(5), message('user', 'all', 'I build boats.'), message('user', 'all', 'Of oak.')),
    conversation('שיחה', message('user', 'all', 'אני אוהבת תה')),
    { title: 'broken' },
  ]);
}

/// Marta, who has an application that memories can go to.
async function toImport(page) {
  await withMemories(page);
  await page.goto(account('/import'));
  // What another test has left.
  const left = page.getByRole('button', { name: /^(Discard|Choose another file|Import something else)$/ });
  if (await left.isVisible()) await left.click();
  await headingOf(page, 'Import');
}

async function choose(page, name, text) {
  await page.getByLabel(/^File/).setInputFiles({ name, mimeType: 'application/octet-stream', buffer: Buffer.from(text) });
  await page.getByRole('button', { name: 'Look at the file' }).click();
}

test('a person brings conversations along with the keyboard alone', () =>
  here.browser.visit(async (page) => {
    await toImport(page);
    await page.getByLabel(/^File/).setInputFiles({ name: 'a.json', mimeType: 'application/json', buffer: Buffer.from(conversations()) });
    await page.getByRole('button', { name: 'Look at the file' }).focus();
    await page.keyboard.press('Enter');
    await headingOf(page, 'Check the import');
    await page.getByRole('radio', { name: 'None of them' }).focus();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowDown');
    assert.ok(await page.getByRole('radio', { name: /^Those of the conversations/ }).isChecked());
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.getByRole('checkbox', { name: /^Green tea/ }).focus();
    await page.keyboard.press('Space');
    await page.getByRole('checkbox', { name: /^Memories/ }).focus();
    await page.keyboard.press('Space');
    await page.keyboard.press('Enter');
    await headingOf(page, 'The import is done');
    await page.getByText(/^Entry 4/).waitFor();
    await page.getByRole('link', { name: 'See your memories' }).focus();
    await page.keyboard.press('Enter');
    await headingOf(page, 'Your memories');
    await page.goto(account('/memories?q=tea+boats'));
    await page.getByText('I drink green tea in the morning.').waitFor();
    assert.equal(await page.getByText('I build boats.').count(), 0);
  }));
