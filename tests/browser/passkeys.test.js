// Passkeys, with an authenticator that Chromium plays.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { headingOf, inspect, openAs } from './support/browser.js';
import { PASSWORD } from './support/gate.js';
import { world } from './support/world.js';

const here = world();
const security = () => `${here.gate.url}/account/security`;

/// Gives the page a device that unlocks itself.
async function withDevice(page, options = {}) {
  const session = await page.context().newCDPSession(page);
  await session.send('WebAuthn.enable');
  const { authenticatorId } = await session.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      ...options,
    },
  });
  const credentials = async () => (await session.send('WebAuthn.getCredentials', { authenticatorId })).credentials;
  return { session, authenticatorId, credentials };
}

const button = (page, name) => page.getByRole('button', { name, exact: true });

/// Asks for a passkey of this name, up to the page that creates it.
async function askFor(page, name) {
  await page.getByLabel('Name of the passkey').fill(name);
  await page.locator('#passkey-password').fill(PASSWORD);
  await button(page, 'Add a passkey').click();
  await headingOf(page, 'Add a passkey');
}

async function signOut(page) {
  await button(page, 'Sign out').click();
  await page.getByText('You are signed out.').waitFor();
}

test('a passkey is added, signs in without a login, and signs in no more when it is removed', () =>
  here.browser.visit(async (page) => {
    const device = await withDevice(page);
    await openAs(page, security(), 'marta', 'Security');
    await inspect(page, 'security-without-passkeys');
    await askFor(page, 'Phone');
    await inspect(page, 'add-passkey');
    await button(page, 'Create the passkey').click();
    await page.getByText('The passkey was added.').waitFor();
    await inspect(page, 'security-with-a-passkey');
    const [credential] = await device.credentials();
    assert.deepEqual([credential.rpId, credential.isResidentCredential], ['memory.example.com', true]);

    await signOut(page);
    await page.goto(here.gate.request(here.gpt));
    await inspect(page, 'sign-in-with-a-passkey');
    await button(page, 'Sign in with a passkey').click();
    await headingOf(page, 'Allow Trip planner to use your memories?');
    await page.getByText('Signed in as marta').waitFor();

    await page.goto(security());
    await page.getByText('You signed in with a passkey.').waitFor();
    await button(page, 'Remove the passkey Phone').click();
    await page.getByText('The passkey was removed').waitFor();
    await signOut(page);
    await button(page, 'Sign in with a passkey').click();
    await page.getByText('That passkey was not accepted').waitFor();
    await inspect(page, 'passkey-refused');
    await headingOf(page, 'Sign in');
  }));

test('a device without a passkey, or that does not verify its user, signs nobody in', () =>
  here.browser.visit(async (page) => {
    const device = await withDevice(page);
    await page.goto(security());
    await button(page, 'Sign in with a passkey').click();
    await page.getByText('Your browser offered no passkey.').waitFor();
    await inspect(page, 'no-passkey');

    await openAs(page, security(), 'nils', 'Security');
    await askFor(page, 'Phone');
    const { session, authenticatorId } = device;
    await session.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: false });
    await button(page, 'Create the passkey').click();
    await page.getByText('No passkey was created.').waitFor();
    assert.deepEqual(await device.credentials(), []);
  }));

test('a device that has a passkey for the account creates no other', () =>
  here.browser.visit(async (page) => {
    const device = await withDevice(page);
    await openAs(page, security(), 'nils', 'Security');
    await askFor(page, 'First');
    await button(page, 'Create the passkey').click();
    await page.getByText('The passkey was added.').waitFor();
    await askFor(page, 'Second');
    await button(page, 'Create the passkey').click();
    await page.getByText('No passkey was created.').waitFor();
    assert.equal((await device.credentials()).length, 1);
  }));

test('without scripts there is no button, and the page says why it creates nothing', () =>
  here.browser.visit(
    async (page) => {
      await page.goto(security());
      await headingOf(page, 'Sign in');
      assert.equal(await button(page, 'Sign in with a passkey').isVisible(), false);
      await openAs(page, security(), 'nils', 'Security');
      await askFor(page, 'Phone');
      await page.getByText('This browser does not support passkeys, or it does not run scripts.').waitFor();
      assert.equal(await button(page, 'Create the passkey').isVisible(), false);
    },
    { javaScriptEnabled: false },
  ));
