// An unmodified `openid-client` (npm) as a token-exchange client (RFC 8693): discovery, then the exchange.
//
//   node exchange-client.mjs BROKER-ISSUER GRANT [oidc|oauth2]  < subject-token
//
// Prints one JSON line: {"token_endpoint", "jwks_uri", "response"} or, with exit code 1, {"error", "error_description"}.

import { readFileSync } from 'node:fs';

import * as client from 'openid-client';

const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const [issuer, grant, algorithm = 'oidc'] = process.argv.slice(2);
const subjectToken = readFileSync(0, 'utf8').trim();

try {
  const server = new URL(issuer);
  const execute = server.protocol === 'http:' ? [client.allowInsecureRequests] : [];
  // The broker knows a workload by its token alone: there is no client secret.
  const config = await client.discovery(server, 'workload', undefined, client.None(), { algorithm, execute });
  const response = await client.genericGrantRequest(config, TOKEN_EXCHANGE, {
    audience: grant,
    subject_token: subjectToken,
    subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
  });
  const { token_endpoint, jwks_uri } = config.serverMetadata();
  console.log(JSON.stringify({ token_endpoint, jwks_uri, response }));
} catch (error) {
  const { code, error: oauth, error_description, message, status } = error;
  console.log(JSON.stringify({ code, error: oauth ?? message, error_description, status }));
  process.exit(1);
}
