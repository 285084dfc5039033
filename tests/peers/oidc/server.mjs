// An OAuth 2.0 and OpenID Connect server (oidc-provider) on a free port of 127.0.0.1, with its own sign-in pages.
//
// It prints one line of JSON, {"port": …}, when it accepts, and ends when standard input does. Clients register
// themselves (RFC 7591) and may say in their metadata how long their tokens last (seconds). Beside the standard's routes:
// GET /peer/grants?client_id=… answers how many tokens of each grant that client has had, GET /peer/requests?client_id=…
// how often it asked.

import { generateKeyPairSync, randomBytes } from "node:crypto";
import { createServer } from "node:http";

import Provider, { errors } from "oidc-provider";

const LIFETIMES = ["access_token_ttl", "refresh_token_ttl", "device_code_ttl"];
const MINUTES = 60;

function signingKey() {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return { ...privateKey.export({ format: "jwk" }), use: "sig", alg: "RS256", kid: "peer" };
}

function account(_ctx, id) {
  return { accountId: id, claims: () => ({ sub: id, email: `${id}@example.com`, email_verified: true }) };
}

const lasting = (name, otherwise) => (_ctx, _token, client) => client[name] ?? otherwise;

const configuration = {
  clientAuthMethods: ["client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "none"],
  claims: { openid: ["sub"], email: ["email", "email_verified"] },
  cookies: { keys: [randomBytes(32).toString("hex")] },
  extraClientMetadata: {
    properties: LIFETIMES,
    validator(_ctx, key, value) {
      if (value !== undefined && !Number.isInteger(value)) {
        throw new errors.InvalidClientMetadata(`${key} must be a number of seconds`);
      }
    },
  },
  features: {
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    registration: { enabled: true },
    revocation: { enabled: true },
  },
  findAccount: account,
  issueRefreshToken: (_ctx, client) => client.grantTypeAllowed("refresh_token"),
  expiresWithSession: () => false,
  jwks: { keys: [signingKey()] },
  pkce: { required: () => false },
  rotateRefreshToken: true,
  scopes: ["openid", "offline_access", "email", "read", "write"],
  ttl: {
    AccessToken: lasting("access_token_ttl", 60 * MINUTES),
    ClientCredentials: lasting("access_token_ttl", 10 * MINUTES),
    DeviceCode: lasting("device_code_ttl", 10 * MINUTES),
    RefreshToken: lasting("refresh_token_ttl", 24 * 60 * MINUTES),
    Grant: 24 * 60 * MINUTES,
    Interaction: 10 * MINUTES,
    Session: 60 * MINUTES,
    IdToken: 60 * MINUTES,
  },
};

function count(tally, client, grant) {
  const grants = tally.get(client) ?? {};
  tally.set(client, { ...grants, [grant]: (grants[grant] ?? 0) + 1 });
}

function watch(provider) {
  const granted = new Map();
  const asked = new Map();
  const note = (tally) => (ctx) => {
    const grant = ctx.oidc.params?.grant_type;
    if (grant && ctx.oidc.client) count(tally, ctx.oidc.client.clientId, grant);
  };
  provider.on("grant.success", note(granted));
  provider.on("grant.success", note(asked));
  provider.on("grant.error", note(asked));
  provider.use(async (ctx, next) => {
    const tally = { "/peer/grants": granted, "/peer/requests": asked }[ctx.path];
    if (tally === undefined) return next();
    ctx.body = tally.get(ctx.query.client_id) ?? {};
  });
}

const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const { port } = server.address();
  const provider = new Provider(`http://127.0.0.1:${port}`, configuration);
  watch(provider);
  server.on("request", provider.callback());
  process.stdout.write(`${JSON.stringify({ port })}\n`);
});
process.stdin.on("end", () => process.exit(0)).resume();
