// Asks the browser for a passkey when a form with data-passkey is sent, and sends the form with the answer. Without Web
// Authentication, or without this script, such a form stays hidden.
'use strict';

const bytes = (text) => Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
const withBytes = (credentials = []) => credentials.map((credential) => ({ ...credential, id: bytes(credential.id) }));

async function optionsOf({ options, optionsFrom }) {
  if (options) return JSON.parse(options).publicKey;
  const answer = await fetch(optionsFrom, { cache: 'no-store' });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return (await answer.json()).publicKey;
}

async function create(options) {
  const credential = await navigator.credentials.create({
    publicKey: {
      ...options,
      challenge: bytes(options.challenge),
      user: { ...options.user, id: bytes(options.user.id) },
      excludeCredentials: withBytes(options.excludeCredentials),
    },
  });
  const { attestationObject, clientDataJSON } = credential.response;
  return [credential, { attestationObject: text(attestationObject), clientDataJSON: text(clientDataJSON) }];
}

async function get(options) {
  const credential = await navigator.credentials.get({
    publicKey: {
      ...options,
      challenge: bytes(options.challenge),
      allowCredentials: withBytes(options.allowCredentials),
    },
  });
  const { authenticatorData, clientDataJSON, signature, userHandle } = credential.response;
  return [
    credential,
    {
      authenticatorData: text(authenticatorData),
      clientDataJSON: text(clientDataJSON),
      signature: text(signature),
      userHandle: userHandle && text(userHandle),
    },
  ];
}

async function ask(form) {
  const options = await optionsOf(form.dataset);
  const [{ id, rawId, type }, response] = await (form.dataset.passkey === 'create' ? create : get)(options);
  return JSON.stringify({ id, rawId: text(rawId), type, response });
}

for (const form of window.PublicKeyCredential ? document.querySelectorAll('form[data-passkey]') : []) {
  const button = form.querySelector('button');
  const problem = form.querySelector('[role=alert]');
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    button.disabled = true;
    problem.hidden = true;
    try {
      form.elements.credential.value = await ask(form);
      form.submit();
    } catch {
      problem.hidden = false;
    } finally {
      button.disabled = false;
    }
  });
  form.hidden = false;
  for (const instead of document.querySelectorAll('[data-without-passkeys]')) instead.hidden = true;
}
