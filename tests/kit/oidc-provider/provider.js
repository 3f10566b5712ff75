// A real OpenID Connect provider for tests: oidc-provider with clients and people that the tests know.
//
//     node provider.js [--claims-in-id-token] [--post-only] [--port PORT]
//
// It prints one line of JSON when it listens, {"issuer": "http://127.0.0.1:PORT"}, and ends when its standard input does.
//
// Clients: memgate (secret memgate-secret, ID tokens in RS256), memgate-es256 (the same secret), and memgate-public (no secret,
// EdDSA). Secrets come in a Basic header, with --post-only in the form. The redirect URI of all is
// http://127.0.0.1/auth/callback with any port. PKCE is required.
//
// Anybody signs in with any password. The subject is what was typed as login; the e-mail address is SUBJECT@example.com, or the
// login itself where that is one. It is verified unless the login begins with "unverified"; logins that begin with "nameless"
// have none. It is told at the userinfo endpoint alone, unless with --claims-in-id-token.
import { createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import Provider from 'oidc-provider';

const { values: options } = parseArgs({
  options: {
    'claims-in-id-token': { type: 'boolean', default: false },
    'post-only': { type: 'boolean', default: false },
    port: { type: 'string', default: '0' },
  },
});

process.stdin.on('end', () => process.exit(0)).resume();

const withSecret = options['post-only'] ? 'client_secret_post' : 'client_secret_basic';

const client = (client_id, token_endpoint_auth_method, id_token_signed_response_alg) => ({
  client_id,
  client_secret: token_endpoint_auth_method === 'none' ? undefined : 'memgate-secret',
  token_endpoint_auth_method,
  id_token_signed_response_alg,
  // Of a native application's redirect URI on a loopback address the port does not count (RFC 8252 §7.3).
  application_type: 'native',
  redirect_uris: ['http://127.0.0.1/auth/callback'],
  grant_types: ['authorization_code'],
  response_types: ['code'],
});

const key = (kid, alg, type, parameters) => {
  // Not as a key object: Node 20 locks itself out if it collects the generator of a key object while that is exported.
  const { privateKey } = generateKeyPairSync(type, { ...parameters, privateKeyEncoding: { format: 'pem', type: 'pkcs8' } });
  return { ...createPrivateKey(privateKey).export({ format: 'jwk' }), kid, alg, use: 'sig' };
};

const findAccount = (_context, login) => ({
  accountId: login,
  claims: () => {
    const email = login.includes('@') ? login : `${login}@example.com`;
    const known = login.startsWith('nameless') ? {} : { email, email_verified: !login.startsWith('unverified') };
    return { sub: login, ...known };
  },
});

const server = createServer();
server.listen(Number(options.port), '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    claims: { openid: ['sub'], email: ['email', 'email_verified'] },
    clientAuthMethods: [withSecret, 'none'],
    clients: [
      client('memgate', withSecret, 'RS256'),
      client('memgate-es256', withSecret, 'ES256'),
      client('memgate-public', 'none', 'EdDSA'),
    ],
    conformIdTokenClaims: !options['claims-in-id-token'],
    cookies: { keys: [randomBytes(32).toString('hex')] },
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'ES256', 'EdDSA'] },
    features: { devInteractions: { enabled: true } },
    findAccount,
    jwks: {
      keys: [
        key('rsa', 'RS256', 'rsa', { modulusLength: 2048 }),
        key('ec', 'ES256', 'ec', { namedCurve: 'P-256' }),
        key('ed', 'EdDSA', 'ed25519', {}),
      ],
    },
    pkce: { required: () => true },
    ttl: { Grant: 3600, Interaction: 600, Session: 3600 },
  });
  server.on('request', provider.callback());
  console.log(JSON.stringify({ issuer }));
});
