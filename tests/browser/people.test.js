// What people do: sign in and out, agree or not, and take it back.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allow, goBackBy, headingOf, openAs, signIn } from './support/browser.js';
import { ChatGpt } from './support/chatgpt.js';
import { world } from './support/world.js';

const here = world();
const connections = () => `${here.gate.url}/account/connections`;
const visit = (steps, options) => here.browser.visit(steps, options);

test('who signs in gets to the page they wanted, with a cookie that is bound to this host', () =>
  visit(async (page, { context }) => {
    await openAs(page, connections(), 'marta', 'Connected applications');
    assert.equal(page.url(), connections());
    const cookies = await context.cookies();
    assert.deepEqual(cookies.map((cookie) => cookie.name), ['__Host-memgate-session']);
    const [{ domain, httpOnly, path, sameSite, secure }] = cookies;
    const expected = { domain: 'memory.example.com', httpOnly: true, path: '/', sameSite: 'Lax', secure: true };
    assert.deepEqual({ domain, httpOnly, path, sameSite, secure }, expected);
  }));

test('a wrong password is said to be wrong, and the right one then works', () =>
  visit(async (page) => {
    await page.goto(here.gate.request(here.gpt));
    await signIn(page, 'marta', 'wrong horse battery');
    const problem = page.getByRole('alert');
    await problem.waitFor();
    assert.match(await problem.textContent(), /The login or the password is not right/);
    assert.equal(await page.getByLabel('Login').inputValue(), 'marta');
    assert.equal(await page.getByLabel('Password').inputValue(), '');
    await signIn(page, 'marta');
    await headingOf(page, 'Allow Trip planner to use your memories?');
  }));

test('who allows it comes back to the application with a code and the state', () =>
  visit(async (page) => {
    const query = new URL(await allow(page, here.gate.request(here.gpt), 'marta')).searchParams;
    assert.deepEqual([...query.keys()].sort(), ['code', 'iss', 'state']);
    assert.equal(query.get('state'), 'a b&c');
    assert.equal(query.get('iss'), here.gate.url);
  }));

test('who denies it comes back without a code', () =>
  visit(async (page) => {
    await openAs(page, here.gate.request(here.gpt), 'marta', /^Allow /);
    const query = new URL(await goBackBy(page, 'Deny')).searchParams;
    assert.equal(query.get('error'), 'access_denied');
    assert.equal(query.get('state'), 'a b&c');
    assert.equal(query.get('code'), null);
  }));

test('what somebody disconnects stops working within two seconds', () =>
  visit(async (page) => {
    const gpt = await here.gate.connectGpt('Recipe box');
    const chatgpt = new ChatGpt(here.internet, here.gate, gpt);
    await chatgpt.comeBack(await allow(page, chatgpt.signInUrl(), 'nils'));
    const me = async () => {
      const headers = { authorization: `Bearer ${chatgpt.tokens.access_token}` };
      return (await here.internet.send(here.gate, `${here.gate.url}/api/v1/me`, { headers })).status;
    };
    assert.equal(await me(), 200);

    await page.goto(connections());
    await page.getByRole('button', { name: 'Disconnect Recipe box' }).click();
    const disconnected = performance.now();
    while ((await me()) !== 401) assert.ok(performance.now() - disconnected < 2000, 'the token still works');
    assert.match(await page.getByRole('status').textContent(), /^Disconnected\./);
    await page.getByRole('heading', { name: 'Nothing is connected' }).waitFor();
    const refused = await chatgpt.refresh();
    assert.deepEqual([refused.status, refused.body.error], [400, 'invalid_grant']);
  }));

test('who signs out is out, and nothing is left in the browser', () =>
  visit(async (page, { context }) => {
    await openAs(page, connections(), 'marta', 'Connected applications');
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByText('You are signed out.').waitFor();
    const left = (await context.cookies()).map((cookie) => cookie.name);
    assert.ok(!left.includes('__Host-memgate-session'), left.join());
    await page.goto(connections());
    await headingOf(page, 'Sign in');
    // Nor does the button "back" show what was there.
    await page.goBack();
    await headingOf(page, 'Sign in');
  }));

test('somebody else at the same browser signs in in the place of who was there', () =>
  visit(async (page) => {
    await openAs(page, here.gate.request(here.gpt), 'marta', /^Allow /);
    await page.getByRole('button', { name: 'Not you? Sign out' }).click();
    await headingOf(page, 'Sign in');
    await signIn(page, 'nils');
    await headingOf(page, /^Allow /);
    await page.getByText('Signed in as nils').waitFor();
  }));

test('from signing in to the code, a keyboard is enough', () =>
  visit(async (page) => {
    await page.goto(here.gate.request(here.gpt));
    await reach(page, 'Login');
    await page.keyboard.type('marta');
    await page.keyboard.press('Tab');
    assert.equal(await focused(page), 'Password');
    await page.keyboard.type('correct horse battery');
    await page.keyboard.press('Enter');
    await headingOf(page, /^Allow /);
    assert.deepEqual(await stops(page), ['memgate', 'Store memories', 'Delete memories', 'Not you? Sign out', 'Deny', 'Allow', 'connected applications', 'Privacy', 'Language', 'Change']);
    await reach(page, 'Allow');
    await page.keyboard.press('Enter');
    await page.waitForURL('https://chatgpt.com/**');
    assert.ok(new URL(page.url()).searchParams.get('code'));
  }));

test('nothing needs a script', () =>
  visit(
    async (page) => {
      assert.ok(new URL(await allow(page, here.gate.request(here.gpt), 'marta')).searchParams.get('code'));
      await page.goto(connections());
      await headingOf(page, 'Connected applications');
    },
    { javaScriptEnabled: false },
  ));

test('an application may have opened the way in a window of its own', () =>
  visit(async (page, { context }) => {
    const request = here.gate.request(here.gpt);
    await page.goto(here.internet.publish('https://chatgpt.com/c/1', `<a href="${request}" target="_blank">Sign in</a>`));
    const opened = context.waitForEvent('page');
    await page.getByRole('link').click();
    const popup = await opened;
    await popup.waitForLoadState();
    await headingOf(popup, 'Sign in');
    await signIn(popup, 'marta');
    await headingOf(popup, /^Allow /);
    assert.ok(new URL(await goBackBy(popup, 'Allow')).searchParams.get('code'));
  }));

/// What has the focus, by the name that a screen reader says, and that it can be seen to have it.
function focused(page) {
  return page.evaluate(() => {
    const element = document.activeElement;
    const { outlineStyle, outlineWidth } = getComputedStyle(element);
    if (element !== document.body && (outlineStyle === 'none' || parseFloat(outlineWidth) < 2)) return 'an invisible focus';
    return (element.labels?.[0] ?? element).textContent.trim();
  });
}

/// Presses Tab until what is called so has the focus.
async function reach(page, name) {
  for (let presses = 0; (await focused(page)) !== name; presses += 1) {
    assert.ok(presses < 20, `Tab never comes to ${name}`);
    await page.keyboard.press('Tab');
  }
}

/// Everything that Tab stops at, in its order.
async function stops(page) {
  const names = [];
  const count = await page.locator('a[href], button, select, input:not([type=hidden])').count();
  for (let stop = 0; stop < count; stop += 1) {
    await page.keyboard.press('Tab');
    names.push(await focused(page));
  }
  await page.evaluate(() => document.activeElement.blur());
  return names;
}
