// A real OpenID provider (npm `oidc-provider`) on loopback, as a company's identity provider for people.
//
//   node people.mjs
//
// Prints one JSON line when it listens: {"issuer", "control"}. `POST {control}/people` with {"sub", "name"?, "email"?,
// "groups"?, "amr"?} hires somebody or changes what the provider says of them; `POST {control}/sign-in?sub=ann` walks
// the authorization code flow with PKCE as their browser would and answers {"id_token"}: signed by the provider, for the
// audience `tidegate`. Ends when its standard input ends.

import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';

import { Provider } from 'oidc-provider';

const CLIENT_ID = 'tidegate';
const CALLBACK = 'http://127.0.0.1:1/callback';
const TOKEN_LIFE = 900;
const people = new Map();

async function freshKey() {
  const { privateKey } = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
  const { kty, crv, x, y, d } = await crypto.subtle.exportKey('jwk', privateKey);
  return { kty, crv, x, y, d, use: 'sig', alg: 'ES256' };
}

function provider(issuer, keys) {
  return new Provider(issuer, {
    clients: [
      {
        client_id: CLIENT_ID,
        token_endpoint_auth_method: 'none',
        grant_types: ['authorization_code'],
        response_types: ['code'],
        redirect_uris: [CALLBACK],
        application_type: 'native',
        id_token_signed_response_alg: 'ES256',
        require_auth_time: true,
      },
    ],
    claims: { openid: ['sub', 'name', 'email', 'groups', 'amr'] },
    conformIdTokenClaims: false,
    features: { devInteractions: { enabled: false } },
    findAccount: (_ctx, sub) => {
      const person = people.get(sub);
      return person && { accountId: sub, claims: () => ({ sub, ...person }) };
    },
    interactions: { url: (_ctx, interaction) => `/sign-in/${interaction.uid}` },
    jwks: { keys },
    pkce: { required: () => true },
    cookies: { keys: [randomBytes(16).toString('hex')] },
    ttl: { IdToken: TOKEN_LIFE, AuthorizationCode: 60, Interaction: 60, Grant: 900, Session: 900, AccessToken: 60 },
  });
}

// The sign-in page, which believes the person that the request hints at and asks for no password.
async function signInPage(idp, request, response) {
  const { prompt, params } = await idp.interactionDetails(request, response);
  const sub = params.login_hint;
  if (prompt.name === 'login') {
    return idp.interactionFinished(request, response, { login: { accountId: sub } }, { mergeWithLastSubmission: false });
  }
  const grant = new idp.Grant({ accountId: sub, clientId: CLIENT_ID });
  grant.addOIDCScope(params.scope);
  return idp.interactionFinished(request, response, { consent: { grantId: await grant.save() } }, { mergeWithLastSubmission: true });
}

// What a browser and a native application do between them.
async function signIn(issuer, sub) {
  const verifier = randomBytes(32).toString('base64url');
  const challenge = createHash('sha256').update(verifier).digest('base64url');
  const query = new URLSearchParams({
    client_id: CLIENT_ID,
    response_type: 'code',
    redirect_uri: CALLBACK,
    scope: 'openid',
    login_hint: sub,
    code_challenge: challenge,
    code_challenge_method: 'S256',
  });
  const jar = new Map();
  let next = `${issuer}/auth?${query}`;
  while (!next.startsWith(CALLBACK)) {
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const page = await fetch(next, { redirect: 'manual', headers: { cookie } });
    for (const line of page.headers.getSetCookie()) {
      const [pair] = line.split(';');
      const at = pair.indexOf('=');
      jar.set(pair.slice(0, at), pair.slice(at + 1));
    }
    if (!page.headers.has('location')) throw new Error(`${next}: ${page.status} ${await page.text()}`);
    next = new URL(page.headers.get('location'), next).href;
  }
  const code = new URL(next).searchParams.get('code');
  if (!code) throw new Error(`refused: ${next}`);
  const form = { grant_type: 'authorization_code', client_id: CLIENT_ID, code, redirect_uri: CALLBACK, code_verifier: verifier };
  const answer = await fetch(`${issuer}/token`, { method: 'POST', body: new URLSearchParams(form) });
  return answer.json();
}

function listen(server) {
  server.listen(0, '127.0.0.1');
  return once(server, 'listening').then(() => server.address().port);
}

let handle = null;
const server = http.createServer((request, response) => handle(request, response));
const issuer = `http://127.0.0.1:${await listen(server)}`;
const idp = provider(issuer, [await freshKey()]);
const callback = idp.callback();
handle = (request, response) =>
  request.url.startsWith('/sign-in/')
    ? signInPage(idp, request, response).catch((error) => response.writeHead(500).end(String(error)))
    : callback(request, response);

async function body(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts).toString();
}

const commands = {
  'POST /people': async (_url, request) => {
    const { sub, name, email, groups = [], amr = ['pwd', 'mfa'] } = JSON.parse(await body(request));
    people.set(sub, { name, email, groups, amr });
    return { people: people.size };
  },
  'POST /sign-in': (url) => signIn(issuer, url.searchParams.get('sub')),
};
const control = http.createServer(async (request, response) => {
  const url = new URL(request.url, 'http://unused.invalid');
  const command = commands[`${request.method} ${url.pathname}`];
  if (!command) return response.writeHead(404).end();
  try {
    const answer = JSON.stringify(await command(url, request));
    return response.writeHead(200, { 'content-type': 'application/json' }).end(answer);
  } catch (error) {
    return response.writeHead(500).end(String(error));
  }
});
const controlAddress = `http://127.0.0.1:${await listen(control)}`;

console.log(JSON.stringify({ issuer, control: controlAddress }));
process.stdin.resume().on('end', () => process.exit(0));
