// A real OpenID provider (npm `oidc-provider`) on loopback, as a trusted issuer of workload tokens.
//
//   node issuer.mjs [--cert FILE --key FILE]
//
// Prints one JSON line when it listens: {"issuer", "control", "client_id", "client_secret"}. A workload gets its JWT at
// `POST {issuer}/token` (client_credentials, `resource=urn:tidegate:es256|rs256|eddsa`), as in the real world.
// The control address is not part of the provider: `POST /rotate` gives it new keys (`?keep=1` still publishes the old
// ones), `POST /down` and `POST /up` make it answer 503 and be well again, `GET /seen` counts requests by path.
// Ends when its standard input ends: it never outlives the test that started it.

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { parseArgs } from 'node:util';

import { Provider } from 'oidc-provider';

const AUDIENCE = 'tidegate';
const CLIENT = { client_id: 'orders-worker', client_secret: 'orders-worker-secret-for-tests-only' };
const KINDS = {
  ES256: { name: 'ECDSA', namedCurve: 'P-256' },
  RS256: { name: 'RSASSA-PKCS1-v1_5', modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: 'SHA-256' },
  EdDSA: { name: 'Ed25519' },
};

const { values: options } = parseArgs({ options: { cert: { type: 'string' }, key: { type: 'string' } } });

// Web Crypto and not `generateKeyPairSync(...).export`: the latter now and then waits for itself for ever.
async function freshKey(alg) {
  const { privateKey } = await crypto.subtle.generateKey(KINDS[alg], true, ['sign', 'verify']);
  const { kty, crv, x, y, n, e, d, p, q, dp, dq, qi } = await crypto.subtle.exportKey('jwk', privateKey);
  return { kty, crv, x, y, n, e, d, p, q, dp, dq, qi, use: 'sig', alg };
}

function freshKeys() {
  return Promise.all(Object.keys(KINDS).map(freshKey));
}

function resourceServer(_ctx, resource) {
  const alg = Object.keys(KINDS).find((name) => resource === `urn:tidegate:${name.toLowerCase()}`);
  if (!alg) throw new Error(`unknown resource ${resource}`);
  return { audience: AUDIENCE, scope: 'work', accessTokenTTL: 600, accessTokenFormat: 'jwt', jwt: { sign: { alg } } };
}

function provider(issuer, keys) {
  return new Provider(issuer, {
    clients: [{ ...CLIENT, grant_types: ['client_credentials'], redirect_uris: [], response_types: [] }],
    clientAuthMethods: ['client_secret_basic', 'client_secret_post'],
    enabledJWA: { idTokenSigningAlgValues: Object.keys(KINDS) },
    extraTokenClaims: () => ({ department: 'orders' }),
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: { enabled: true, getResourceServerInfo: resourceServer },
    },
    jwks: { keys },
    scopes: ['openid', 'work'],
    ttl: { ClientCredentials: 600 },
  });
}

function listen(server) {
  server.listen(0, '127.0.0.1');
  return once(server, 'listening').then(() => server.address().port);
}

const secure = options.cert && options.key;
const tls = secure ? { cert: readFileSync(options.cert), key: readFileSync(options.key) } : {};
const state = { handle: null, keys: await freshKeys(), down: false, seen: {} };

const server = (secure ? https : http).createServer(tls, (request, response) => {
  const path = new URL(request.url, 'http://unused.invalid').pathname;
  state.seen[path] = (state.seen[path] ?? 0) + 1;
  if (state.down) return response.writeHead(503).end();
  return state.handle(request, response);
});
const issuer = `${secure ? 'https' : 'http'}://127.0.0.1:${await listen(server)}`;
state.handle = provider(issuer, state.keys).callback();

const commands = {
  'POST /rotate': async (url) => {
    const fresh = await freshKeys();
    state.keys = url.searchParams.has('keep') ? [...fresh, ...state.keys] : fresh;
    state.handle = provider(issuer, state.keys).callback();
    return { keys: state.keys.length };
  },
  'POST /down': () => ({ down: (state.down = true) }),
  'POST /up': () => ({ down: (state.down = false) }),
  'GET /seen': () => state.seen,
};
const control = http.createServer(async (request, response) => {
  const url = new URL(request.url, 'http://unused.invalid');
  const command = commands[`${request.method} ${url.pathname}`];
  if (!command) return response.writeHead(404).end();
  const body = JSON.stringify(await command(url));
  return response.writeHead(200, { 'content-type': 'application/json' }).end(body);
});
const controlAddress = `http://127.0.0.1:${await listen(control)}`;

console.log(JSON.stringify({ issuer, control: controlAddress, ...CLIENT }));
process.stdin.resume().on('end', () => process.exit(0));
