// Headless Chromium, before one gate and the made-up internet around it.
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import axe from 'axe-core';
import { chromium } from 'playwright-core';
import { CALLBACK, PASSWORD } from './gate.js';

const CHROMIUM = process.env.TEST_CHROMIUM ?? '/usr/bin/chromium';
/// Where screenshots are kept.
const ARTEFACTS = fileURLToPath(new URL('../../browser/', import.meta.url));

const FLAGS = [
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/// How a page may be looked at.
export const LOOKS = [
  { name: 'desk-light', width: 1280, height: 900, colorScheme: 'light' },
  { name: 'desk-dark', width: 1280, height: 900, colorScheme: 'dark' },
  { name: 'phone-light', width: 375, height: 812, colorScheme: 'light' },
  { name: 'phone-dark', width: 375, height: 812, colorScheme: 'dark' },
];

export class Browser {
  static async launch(gate, internet) {
    const args = [...FLAGS, internet.resolverRules(gate)];
    const options = { executablePath: CHROMIUM, headless: true, chromiumSandbox: false, args };
    return Object.assign(new Browser(), { chromium: await chromium.launch(options), gate });
  }

  stop() {
    return this.chromium.close();
  }

  /// Gives `visit` a page of a person who has never been here. What the browser complains of is an error at the end: a
  /// violated Content-Security-Policy, a script, a resource that is not there.
  async visit(visit, options = {}) {
    const context = await this.chromium.newContext({ ignoreHTTPSErrors: true, locale: 'en-GB', ...options });
    context.setDefaultTimeout(15_000);
    const complaints = [];
    context.on('weberror', (error) => complaints.push(String(error.error())));
    context.on('console', (message) => {
      const { url } = message.location();
      const documents = context.pages().flatMap((page) => page.frames()).map((frame) => frame.url());
      // Of a page with a status of 4xx the browser says so, which is for the test to judge; what other sites lack is theirs.
      const isMissing = message.text().startsWith('Failed to load resource:');
      if (isMissing && (documents.includes(url) || !url.startsWith(this.gate.url))) return;
      if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
    });
    try {
      const result = await visit(await context.newPage(), { context, complaints });
      assert.deepEqual(complaints, []);
      return result;
    } finally {
      await context.close();
    }
  }
}

export async function signIn(page, login, password = PASSWORD) {
  await page.getByLabel('Login').fill(login);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
}

/// Opens a page on which `login` signs in on the way, and waits for the heading that follows.
export async function openAs(page, url, login, heading) {
  await page.goto(url);
  await signIn(page, login);
  await headingOf(page, heading);
}

/// Waits for the page with this heading.
export async function headingOf(page, text) {
  await page.getByRole('heading', { level: 1, name: text }).waitFor();
}

/// Presses a button that leads back to ChatGPT, and returns the URL to which the browser came.
export async function goBackBy(page, button) {
  await page.getByRole('button', { name: button, exact: true }).click();
  await page.waitForURL(`${CALLBACK}?**`);
  return page.url();
}

/// Somebody signs in and allows the application's request. Returns where the browser ended.
export async function allow(page, url, login) {
  await openAs(page, url, login, /^Allow /);
  return goBackBy(page, 'Allow');
}

/// Looks at the page on a desk and on a phone, in light and dark: keeps a screenshot, lets axe-core judge it, and sees that
/// nothing has to be scrolled sideways.
export async function inspect(page, name) {
  await mkdir(ARTEFACTS, { recursive: true });
  for (const { name: look, width, height, colorScheme } of LOOKS) {
    await page.setViewportSize({ width, height });
    // Transitions would show colours that are on their way from the other scheme.
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await page.screenshot({ path: `${ARTEFACTS}${name}-${look}.png`, fullPage: true });
    const sideways = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(sideways <= 0, `${name} (${look}) is ${sideways} pixels too wide`);
    assert.deepEqual(await violations(page), [], `${name} (${look})`);
  }
}

/// What axe-core finds, and the contrasts that it cannot determine.
async function violations(page) {
  await page.evaluate(axe.source);
  return page.evaluate(async () => {
    const found = await globalThis.axe.run(document, { resultTypes: ['violations', 'incomplete'] });
    const undecided = found.incomplete.filter((rule) => rule.id === 'color-contrast');
    const told = [...found.violations, ...undecided];
    return told.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html}: ${node.failureSummary}`));
  });
}
