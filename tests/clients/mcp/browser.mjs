// A person with a browser: opens the authorization URL, signs in, allows, and prints where the browser is sent at the end.
// The environment says who: LOGIN and PASSWORD.

const { LOGIN, PASSWORD } = process.env;

class Browser {
  cookies = new Map();

  // Follows redirects as long as they stay at memgate.
  async open(url, form) {
    let options = form && { method: 'POST', body: form, headers: { origin: new URL(url).origin } };
    for (let hops = 0; hops < 10; hops += 1) {
      const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
      const answer = await fetch(url, { ...options, redirect: 'manual', headers: { ...options?.headers, cookie } });
      for (const set of answer.headers.getSetCookie()) {
        const [name, value] = set.split(';')[0].split(/=(.*)/s);
        this.cookies.set(name, value);
      }
      if (answer.status < 300 || answer.status >= 400) {
        return { url, status: answer.status, html: await answer.text() };
      }
      const next = new URL(answer.headers.get('location'), url);
      if (next.origin !== new URL(url).origin) {
        return { callback: next.href };
      }
      url = next.href;
      options = undefined;
    }
    throw new Error('too many redirects');
  }
}

const unescape = (text) =>
  text.replaceAll(/&#x?([0-9a-f]+);/gi, (whole, code) =>
    String.fromCodePoint(parseInt(code, whole[2].toLowerCase() === 'x' ? 16 : 10)),
  ).replaceAll('&quot;', '"').replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');

const attribute = (tag, name) => {
  const found = new RegExp(`\\s${name}="([^"]*)"`).exec(tag);
  return found && unescape(found[1]);
};

// Fills in the form of a page that has a button of this name, and presses it.
function formOf(page, answers) {
  for (const [whole, tag, inside] of page.html.matchAll(/(<form[^>]*>)(.*?)<\/form>/gs)) {
    const form = new URLSearchParams();
    const id = attribute(tag, 'id');
    const elsewhere = [...page.html.matchAll(/<input[^>]*>/g)].filter(([input]) => id && attribute(input, 'form') === id);
    for (const [input] of [...inside.matchAll(/<input[^>]*>/g), ...elsewhere]) {
      const [name, type] = [attribute(input, 'name'), attribute(input, 'type')];
      if (name && (type !== 'checkbox' || /\schecked/.test(input))) {
        form.append(name, answers[name] ?? attribute(input, 'value') ?? '');
      }
    }
    const button = [...inside.matchAll(/<button[^>]*>/g)].map(([found]) => found).find((found) => {
      const value = attribute(found, 'value');
      return !('decision' in answers) || value === answers.decision;
    });
    if (button && Object.keys(answers).every((name) => name === 'decision' || whole.includes(`name="${name}"`))) {
      if (attribute(button, 'name')) {
        form.append(attribute(button, 'name'), attribute(button, 'value') ?? '');
      }
      return { action: new URL(attribute(tag, 'action') ?? page.url, page.url).href, form };
    }
  }
  throw new Error(`no such form on ${page.url} (${page.status}): ${page.html}`);
}

export async function authorize(url) {
  const browser = new Browser();
  let page = await browser.open(url);
  for (let steps = 0; page.callback === undefined && steps < 4; steps += 1) {
    const signIn = page.html.includes('type="password"');
    const answers = signIn ? { login: LOGIN, password: PASSWORD } : { decision: 'allow' };
    const { action, form } = formOf(page, answers);
    page = await browser.open(action, form);
  }
  if (page.callback === undefined) {
    throw new Error(`no callback after ${page.url}: ${page.html}`);
  }
  return page.callback;
}

if (process.argv[1] === import.meta.filename) {
  console.log(await authorize(process.argv[2]));
}
