// A real OpenID Connect provider; what it knows stands in `tests/support/oidc-provider/provider.js`.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const PROGRAM = process.env.TEST_OIDC_PROVIDER ?? fileURLToPath(new URL('../../oidc-provider/provider.js', import.meta.url));

export class Provider {
  static async start() {
    // It ends with its standard input, however this process ends.
    const server = spawn(process.execPath, [PROGRAM], { stdio: ['pipe', 'pipe', 'ignore'] });
    const lines = createInterface(server.stdout);
    const said = await Promise.race([once(lines, 'line'), once(lines, 'close')]);
    if (!said.length) throw new Error(`${PROGRAM} does not start: .ci/install-oidc-provider installs it`);
    return Object.assign(new Provider(), { server, issuer: JSON.parse(said[0]).issuer });
  }

  async stop() {
    const ended = once(this.server, 'close');
    this.server.stdin.end();
    await ended;
  }

  /// How a gate is told of it. Everybody at example.com may sign in.
  settings() {
    return {
      MEMGATE_OIDC_ISSUER: this.issuer,
      MEMGATE_OIDC_CLIENT_ID: 'memgate',
      MEMGATE_OIDC_CLIENT_SECRET: 'memgate-secret',
      MEMGATE_OIDC_NAME: 'Example Accounts',
      MEMGATE_OIDC_ALLOWED_DOMAINS: 'example.com',
    };
  }
}

/// Signs in on the provider's pages, and agrees that the gate learns who it is. Returns at the last button, unpressed.
export async function signInAtProvider(page, login) {
  await page.locator('[name=login]').fill(login);
  await page.locator('[name=password]').fill('any');
  await page.locator('[type=submit]').click();
  await page.locator('[name=prompt][value=consent]').waitFor({ state: 'attached' });
  return page.locator('[type=submit]');
}
