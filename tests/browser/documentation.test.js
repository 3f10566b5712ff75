// The page of the OpenAPI document, on which people try the API.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { headingOf, signIn } from './support/browser.js';
import { world } from './support/world.js';

const here = world();

/// Opens the page and its dialog with the ways to get a token, and fills in an application for one of them.
async function fillIn(page, flow, application) {
  await page.goto(`${here.gate.url}/docs`);
  await page.locator('.scheme-container button.authorize').click();
  const way = page.locator('.auth-container').filter({ has: page.locator(`#client_id_${flow}`) });
  await way.locator(`#client_id_${flow}`).fill(application.client_id);
  await way.locator(`#client_secret_${flow}`).fill(application.client_secret ?? '');
  return way;
}

const authorize = (way) => way.getByRole('button', { name: 'Apply given OAuth2 credentials' }).click();

/// The form of a way that was taken shows a button that gives it up instead of its fields.
const authorized = (page) => page.locator('.auth-container').getByText('Logout', { exact: true }).first().waitFor();

test('a wrong secret is said to be wrong, and the right one gets a token', async () => {
  const application = await here.gate.run(['app', 'create', '--name', 'Robot']);
  await here.browser.visit(async (page, { complaints }) => {
    const way = await fillIn(page, 'clientCredentials', { ...application, client_secret: 'wrong' });
    await authorize(way);
    await way.getByText('invalid_client').waitFor();
    // The browser says so as well.
    complaints.length = 0;
    await way.locator('#client_secret_clientCredentials').fill(application.client_secret);
    await authorize(way);
    await authorized(page);
  });
});

for (const kind of [[], ['--public']]) {
  test(`a person agrees in a window of its own and comes back: ${kind[0] ?? 'with a secret'}`, async () => {
    const callback = `${here.gate.url}/docs/oauth-receiver.html`;
    const application = await here.gate.run(['app', 'create', '--name', 'Docs', '--redirect-uri', callback, ...kind]);
    await here.browser.visit(async (page, { context }) => {
      const way = await fillIn(page, 'authorizationCode', application);
      const opened = context.waitForEvent('page');
      await authorize(way);
      const popup = await opened;
      await signIn(popup, 'marta');
      await headingOf(popup, /^Allow /);
      const closed = popup.waitForEvent('close');
      await popup.getByRole('button', { name: 'Allow', exact: true }).click();
      await closed;
      await authorized(page);
      await page.locator('.auth-container').getByText('Close', { exact: true }).first().click();

      const operation = page.locator('#operations-Account-getMe');
      await operation.getByRole('button').first().click();
      await operation.getByRole('button', { name: 'Try it out' }).click();
      await operation.getByRole('button', { name: 'Execute' }).click();
      await operation.locator('.live-responses-table .response-col_status').getByText('200').waitFor();
      assert.match(await operation.locator('.live-responses-table').textContent(), /"subject": "[0-9a-f-]{36}"/);
    });
  });
}
