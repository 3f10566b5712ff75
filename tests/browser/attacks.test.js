// What somebody in between, or another site, tries; in a browser, where it is the browser that decides. The rest of the list
// needs none and is tried in Rust:
//
//   stolen code, used twice or by another client     tests/oauth/checklist/codes.rs, line_21
//   changed redirect_uri, at the token endpoint       the same, line_21; at the authorization endpoint, line_23
//   code injected with another's verifier             the same, line_22
//   forged, foreign and old forms                     tests/people/pages/attacks.rs
//   session fixation, with cookies already planted    tests/people/pages/attacks.rs
//   headers against framing                           tests/people/pages/attacks.rs
//   open redirect by a form                           tests/people/pages/attacks.rs
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allow, goBackBy, headingOf, openAs, signIn } from './support/browser.js';
import { ChatGpt } from './support/chatgpt.js';
import { CALLBACK, PASSWORD } from './support/gate.js';
import { world } from './support/world.js';

const here = world();
const connections = () => `${here.gate.url}/account/connections`;
const visit = (steps, options) => here.browser.visit(steps, options);
const SESSION = '__Host-memgate-session';

const session = async (context) => (await context.cookies(here.gate.url)).find((cookie) => cookie.name === SESSION)?.value;

const escaped = (text) => String(text).replaceAll('&', '&amp;').replaceAll('"', '&quot;');

/// A page of another site with a form that is sent to the gate.
function trap(url, action, fields) {
  const inputs = Object.entries(fields).map(([name, value]) => `<input type="hidden" name="${name}" value="${escaped(value)}">`);
  const form = `<form method="post" action="${here.gate.url}${action}">${inputs.join('')}<button>Win a prize</button></form>`;
  return here.internet.publish(url, form);
}

test('stolen code: whoever overhears it cannot use it, and who used it first loses what they got when it comes again', async () => {
  const chatgpt = new ChatGpt(here.internet, here.gate, here.gpt);
  const back = await visit((page) => allow(page, chatgpt.signInUrl(), 'marta'));
  const code = chatgpt.codeOf(back);
  const thief = new ChatGpt(here.internet, here.gate, await here.gate.connectGpt('Thief'));
  const stolen = await thief.exchange(code);
  assert.deepEqual([stolen.status, stolen.body.error], [400, 'invalid_grant']);
  const moved = await chatgpt.exchange(code, { redirect_uri: CALLBACK.replace('g-1234567890', 'g-thief') });
  assert.deepEqual([moved.status, moved.body.error], [400, 'invalid_grant']);
  const withoutSecret = new ChatGpt(here.internet, here.gate, { ...here.gpt, client_secret: '' });
  assert.deepEqual([(await withoutSecret.exchange(code)).body.error], ['invalid_client']);

  chatgpt.tokens = (await chatgpt.exchange(code)).body;
  assert.deepEqual(await chatgpt.search('anything'), []);
  const again = await chatgpt.exchange(code);
  assert.deepEqual([again.status, again.body.error], [400, 'invalid_grant']);
  assert.equal((await chatgpt.call('listMemories')).status, 401);
  assert.equal((await chatgpt.refresh()).body.error, 'invalid_grant');
});

test('swapped state: what comes back is what was asked with, so that ChatGPT sees that it asked nothing of the kind', () =>
  visit(async (page) => {
    const chatgpt = new ChatGpt(here.internet, here.gate, here.gpt);
    const url = new URL(chatgpt.signInUrl());
    url.searchParams.set('state', 'of-somebody-else');
    const back = await allow(page, String(url), 'marta');
    assert.equal(new URL(back).searchParams.get('state'), 'of-somebody-else');
    assert.throws(() => chatgpt.codeOf(back), /refuses/);
  }));

test('swapped state: two requests in one browser do not get each others answers', () =>
  visit(async (page, { context }) => {
    await openAs(page, here.gate.request(here.gpt, { state: 'first' }), 'marta', /^Allow /);
    const second = await context.newPage();
    await second.goto(here.gate.request(here.gpt, { state: 'second' }));
    const [one, two] = [await goBackBy(page, 'Allow'), await goBackBy(second, 'Deny')].map((url) => new URL(url).searchParams);
    assert.deepEqual([one.get('state'), one.has('code')], ['first', true]);
    assert.deepEqual([two.get('state'), two.get('error')], ['second', 'access_denied']);
  }));

test('changed redirect_uri: nobody is sent there, before signing in or after', () =>
  visit(async (page) => {
    await openAs(page, connections(), 'marta', 'Connected applications');
    for (const redirect_uri of [
      'https://evil.example/aip/g-1234567890/oauth/callback',
      'https://chatgpt.com.evil.example/aip/g-1234567890/oauth/callback',
      'https://chatgpt.com@evil.example/aip/g-1234567890/oauth/callback',
      'https://chatgpt.com/aip/g-1/../../evil/oauth/callback',
      'https://chatgpt.com/aip/g-1%2f..%2fevil/oauth/callback',
      'https://chatgpt.com/aip/g-1/oauth/callback?next=https://evil.example',
      'javascript:alert(1)',
    ]) {
      const answer = await page.goto(here.gate.request(here.gpt, { redirect_uri }));
      assert.equal(answer.status(), 400, redirect_uri);
      await page.getByText('You were not sent back to it, and it was given nothing.').waitFor();
      assert.equal(new URL(page.url()).host, 'memory.example.com');
    }
  }));

test('changed redirect_uri: a consent form that was tampered with gives nothing either', () =>
  visit(async (page) => {
    await openAs(page, here.gate.request(here.gpt), 'marta', /^Allow /);
    await page.locator('.choices [name=return_to]').evaluate((field) => {
      field.value = field.value.replace('chatgpt.com', 'evil.example');
    });
    await page.getByRole('button', { name: 'Allow', exact: true }).click();
    await headingOf(page, 'This request cannot be trusted');
  }));

test('login CSRF: another site cannot sign its visitor in as somebody else', async () => {
  const attacker = await visit(async (page) => {
    await page.goto(connections());
    return page.locator('[name=form_token]').first().inputValue();
  });
  const fields = { form_token: attacker, return_to: '/account/connections', login: 'nils', password: PASSWORD };
  const url = trap('https://evil.example/prize', '/auth/sign-in', fields);
  // Whether the visitor has been at the sign-in page of the gate or not.
  for (const before of ['about:blank', connections()]) {
    await visit(async (page, { context }) => {
      await page.goto(before);
      await page.goto(url);
      await page.getByRole('button').click();
      await headingOf(page, 'This page is out of date');
      assert.equal(await session(context), undefined);
    });
  }
});

test('forged consent: another site cannot agree, disconnect or sign out for its visitor', () =>
  visit(async (page, { context }) => {
    const chatgpt = new ChatGpt(here.internet, here.gate, await here.gate.connectGpt('Diary'));
    await chatgpt.comeBack(await allow(page, chatgpt.signInUrl(), 'nils'));
    const before = await session(context);
    const request = here.gate.request(here.gpt).replace(here.gate.url, '');
    // The worst case: the other site has even learnt the token of the form.
    await page.goto(connections());
    const form_token = await page.locator('[name=form_token]').first().inputValue();
    const application = await page.locator('[name=application]').inputValue();
    for (const [action, fields] of [
      ['/auth/consent', { form_token, return_to: request, decision: 'allow' }],
      ['/account/connections/revoke', { form_token, application }],
      ['/auth/sign-out', { form_token }],
    ]) {
      await page.goto(trap('https://evil.example/prize', action, fields));
      await page.getByRole('button').click();
      await headingOf(page, 'This page is out of date');
    }
    assert.equal(await session(context), before);
    await page.goto(connections());
    await page.getByRole('button', { name: 'Disconnect Diary' }).waitFor();
    assert.deepEqual(await chatgpt.search('anything'), []);
  }));

test('a request that another site sends as a form is asked about, as one by a link is', () =>
  visit(async (page) => {
    await openAs(page, connections(), 'marta', 'Connected applications');
    const request = Object.fromEntries(new URL(here.gate.request(here.gpt)).searchParams);
    await page.goto(trap('https://chatgpt.com/c/2', '/auth/authorize', request));
    await page.getByRole('button').click();
    await headingOf(page, 'Allow Trip planner to use your memories?');
    assert.ok(new URL(await goBackBy(page, 'Allow')).searchParams.get('code'));
  }));

test('session fixation: signing in makes a session of its own, and a neighbouring site cannot plant one', () =>
  visit(async (page, { context }) => {
    const planted = await visit(async (page, { context }) => {
      await openAs(page, connections(), 'nils', 'Connected applications');
      return session(context);
    });
    await page.goto(
      here.internet.publish('https://blog.example.com/', 'A blog.', {
        'set-cookie': [
          `${SESSION}=${planted}; Domain=example.com; Path=/; Secure`,
          `${SESSION}=${planted}; Domain=example.com; Path=/account; Secure`,
          `memgate-session=${planted}; Domain=example.com; Path=/; Secure`,
        ],
      }),
    );
    await page.goto(connections());
    await headingOf(page, 'Sign in');
    assert.equal(await session(context), undefined);
    await signIn(page, 'marta');
    await page.getByText('the memories of marta').waitFor();
    assert.notEqual(await session(context), planted);
  }));

test('session fixation: each time somebody signs in the session is another, and the one before has ended', () =>
  visit(async (page, { context }) => {
    await openAs(page, connections(), 'marta', 'Connected applications');
    const first = await context.cookies();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await openAs(page, connections(), 'marta', 'Connected applications');
    assert.notEqual(await session(context), first.find((cookie) => cookie.name === SESSION).value);
    await context.addCookies(first);
    await page.goto(connections());
    await headingOf(page, 'Sign in');
  }));

test('clickjacking: a page that frames what asks for consent shows nothing of it', () =>
  visit(async (page, { complaints }) => {
    await openAs(page, here.gate.request(here.gpt), 'marta', /^Allow /);
    for (const framed of [here.gate.request(here.gpt), connections(), `${here.gate.url}/auth/sign-in`]) {
      const url = 'https://evil.example/frame';
      const refused = page.waitForEvent('framenavigated', (frame) => frame.url().startsWith('chrome-error:'));
      await page.goto(here.internet.publish(url, `<iframe src="${escaped(framed)}" width="600" height="800"></iframe>`));
      const frame = await refused;
      assert.doesNotMatch(await frame.content(), /memgate|Trip planner|<form/);
    }
    const isAboutFraming = (text) => /frame-ancestors 'none'|X-Frame-Options|chromewebdata/.test(text);
    assert.ok(complaints.length >= 3 && complaints.every(isAboutFraming), complaints.join('\n'));
    complaints.length = 0;
  }));

test('a page that opened another keeps no hold of what is at home here', () =>
  visit(async (page, { context }) => {
    await openAs(page, connections(), 'marta', 'Connected applications');
    await page.goto(here.internet.publish('https://evil.example/opener', '<p>Nothing.</p>'));
    const opened = context.waitForEvent('page');
    await page.evaluate((url) => {
      globalThis.opened = window.open(url);
    }, connections());
    const popup = await opened;
    await headingOf(popup, 'Connected applications');
    // The opener learns of it a moment later, in a process of its own.
    await page.waitForFunction(() => globalThis.opened.closed);
    assert.equal(await popup.evaluate(() => window.opener), null);
  }));

test('open redirect: nobody leaves the gate by signing in or out', () =>
  visit(async (page) => {
    for (const elsewhere of ['https://evil.example/', '//evil.example/', '/\\evil.example/']) {
      await page.goto(`${here.gate.url}/auth/sign-in?return_to=${encodeURIComponent(elsewhere)}`);
      for (const button of ['Sign in', 'Sign out']) {
        await page.evaluate((elsewhere) => {
          for (const form of document.forms) {
            const field = form.elements.namedItem('return_to') ?? form.appendChild(document.createElement('input'));
            Object.assign(field, { name: 'return_to', value: elsewhere });
          }
        }, elsewhere);
        if (button === 'Sign in') {
          await signIn(page, 'marta');
          await headingOf(page, 'Your account');
          assert.equal(page.url(), `${here.gate.url}/account`);
        } else {
          await page.getByRole('button', { name: button }).click();
          await page.getByText('You are signed out.').waitFor();
          assert.equal(new URL(page.url()).host, 'memory.example.com');
        }
      }
    }
  }));

test('the code is not told to anybody else: no page sends a referrer', () =>
  visit(async (page) => {
    const referrers = [];
    page.on('request', (request) => referrers.push(request.headers().referer));
    await allow(page, here.gate.request(here.gpt), 'marta');
    assert.ok(referrers.length > 4 && referrers.every((referrer) => !referrer), referrers.join());
  }));
