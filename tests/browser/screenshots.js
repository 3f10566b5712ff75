// Takes the pictures of the documentation from the real pages: `node screenshots.js FOLDER`.
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Browser, allow, headingOf, openAs } from './support/browser.js';
import { ChatGpt } from './support/chatgpt.js';
import { CLAUDE, Gate, askingWithChallenge } from './support/gate.js';
import { Internet } from './support/internet.js';

const [folder] = process.argv.slice(2);
if (!folder) {
  console.error('usage: node screenshots.js FOLDER');
  process.exit(2);
}

const parts = [];
const add = async (part) => {
  parts.unshift(await part);
  return parts[0];
};

try {
  const internet = await add(Internet.create());
  const gate = await add(Gate.onHttps(internet, { MEMGATE_DYNAMIC_REGISTRATION: 'true' }));
  await gate.createUser('marta');
  const browser = await add(Browser.launch(gate, internet));
  const gpt = await gate.connectGpt('Trip planner');
  await mkdir(folder, { recursive: true });

  /// Keeps a picture of the page that `open` opens, as high as what is on it.
  const picture = (name, { width, colorScheme = 'light' }, open) =>
    browser.visit(
      async (page) => {
        await open(page);
        // Nothing is under the pointer or has the focus.
        await page.mouse.move(0, 0);
        await page.evaluate(() => document.activeElement.blur());
        const path = resolve(join(folder, `${name}.png`));
        await page.screenshot({ path, fullPage: true, animations: 'disabled' });
        console.log(path);
      },
      { viewport: { width, height: 200 }, deviceScaleFactor: 2, colorScheme, reducedMotion: 'reduce' },
    );

  const consent = (page) => openAs(page, gate.request(gpt), 'marta', /^Allow /);
  await picture('sign-in', { width: 560 }, async (page) => {
    await page.goto(gate.request(gpt));
    await headingOf(page, 'Sign in');
  });
  await picture('consent', { width: 560 }, consent);
  await picture('consent-dark', { width: 560, colorScheme: 'dark' }, consent);
  await picture('consent-phone', { width: 375 }, consent);
  const claude = await gate.registerItself(internet, 'Claude', CLAUDE);
  await picture('consent-unverified', { width: 560 }, (page) =>
    openAs(page, gate.request(claude, askingWithChallenge), 'marta', /^Allow /),
  );
  await picture('connections', { width: 780 }, async (page) => {
    for (const editor of [gpt, await gate.connectGpt('Recipe box', '--permission', 'memory:read')]) {
      const chatgpt = new ChatGpt(internet, gate, editor);
      await page.context().clearCookies();
      await chatgpt.comeBack(await allow(page, chatgpt.signInUrl(), 'marta'));
    }
    await page.goto(`${gate.url}/account/connections`);
    await headingOf(page, 'Connected applications');
  });
  const withMemory = async (page) => {
    const chatgpt = new ChatGpt(internet, gate, gpt);
    await page.context().clearCookies();
    await chatgpt.comeBack(await allow(page, chatgpt.signInUrl(), 'marta'));
    return chatgpt.remember('Marta is allergic to hazelnuts.');
  };
  await picture('memory', { width: 780 }, async (page) => {
    await page.goto(`${gate.url}/account/memories/${await withMemory(page)}`);
    await headingOf(page, 'A memory');
  });
} finally {
  for (const part of parts) await part.stop();
}
