// Each error of contract section 4 that this version makes is the Node SDK's own class, and is retried or not.
import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { HELLO, counting, failure, stage, upstreamRequests } from "./stage.mjs";

// Python's class for statuses without one of their own is called APIError here.
const classOf = (name) => OpenAI[name === "APIStatusError" ? "APIError" : name];

const meant = (value) => (value === stage.otherKey ? stage.keys.chat : value);

/** Send what the case says; the error and how often it was sent. */
async function refused({ api, key, model, content, headers, query }) {
  const counted = counting({ api, key });
  const options = {
    headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, meant(value)])),
    query,
  };
  const ask = { model, messages: [{ role: "user", content }] };
  const error = await failure(() => counted.client.chat.completions.create(ask, options));
  return { error, attempts: counted.attempts };
}

function check(error, wanted) {
  assert.equal(error.constructor, classOf(wanted.raised), String(error));
  assert.deepEqual([error.status, error.code, error.type], [wanted.status, wanted.code, "tieline_error"]);
  assert(error.message.includes(wanted.said), error.message);
  if (wanted.param) assert.equal(error.param, wanted.param);
  assert.equal(error.headers.get("tieline-error"), wanted.code);
  assert.equal(error.headers.get("tieline-request-id"), error.error.request_id);
}

for (const each of stage.refusals) {
  test(`${each.code} (${each.said}) is ${each.raised} and not retried`, async () => {
    const before = await upstreamRequests();
    const { error, attempts } = await refused(each);
    check(error, each);
    assert.equal(error.headers.get("x-should-retry"), "false");
    assert.deepEqual([attempts, await upstreamRequests()], [1, before]);
  });
}

for (const each of stage.failures) {
  test(`${each.code} (${each.said}) is ${each.raised} and retried`, async () => {
    const { error, attempts } = await refused(each);
    check(error, each);
    assert.equal(error.headers.get("x-should-retry"), "true");
    assert.equal(attempts, 2);
  });
}

test("no key at all is AuthenticationError", async () => {
  const { client } = counting();
  const error = await failure(() => client.models.list({ headers: { Authorization: null } }));
  assert.equal(error.constructor, OpenAI.AuthenticationError);
  assert.equal(error.code, "missing_app_key");
});

test("a missing permission names what to grant", async () => {
  const { client } = counting({ key: "chat" });
  const error = await failure(() => client.files.delete("file-1"));
  assert.equal(error.constructor, OpenAI.PermissionDeniedError);
  assert.match(error.message, /This key needs "Files: Write" on OpenAI\./);
  assert.equal(error.param, "openai:files=write");
});

for (const [name, raised, expected] of [
  ["sandbox-401", OpenAI.AuthenticationError, 1],
  ["sandbox-403", OpenAI.PermissionDeniedError, 1],
  ["sandbox-404", OpenAI.NotFoundError, 1],
  ["sandbox-429", OpenAI.RateLimitError, 2],
  ["sandbox-500", OpenAI.InternalServerError, 2],
]) {
  test(`the upstream's own ${name} passes through`, async () => {
    const counted = counting();
    const before = await upstreamRequests();
    const error = await failure(() => counted.client.chat.completions.create({ model: name, messages: HELLO }));
    assert.equal(error.constructor, raised, String(error));
    assert.equal(error.headers.get("tieline-error"), null);
    assert.equal(error.headers.get("x-should-retry"), null);
    assert(error.requestID, "the upstream's request id");
    assert.deepEqual([counted.attempts, (await upstreamRequests()) - before], [expected, expected]);
  });
}

test("Retry-After is honoured", async () => {
  const { client } = counting();
  const began = Date.now();
  const error = await failure(() => client.chat.completions.create({ model: "sandbox-429", messages: HELLO }));
  assert.equal(error.headers.get("retry-after"), "1");
  assert(Date.now() - began >= 990);
});

test("a flaky upstream is bridged by retries", async () => {
  const client = new OpenAI();
  const answer = await client.chat.completions.create({ model: "sandbox-flaky-2-node", messages: HELLO });
  assert.equal(answer.choices[0].message.content, "You said: Hello you");
});

/** What a stream brought before it broke, and the error. */
async function untilBroken(stream) {
  const came = [];
  const error = await failure(async () => {
    for await (const piece of await stream) came.push(piece);
  });
  return { came, error };
}

test("a chat stream that is cut ends with APIError", async () => {
  const { client } = counting();
  const { came, error } = await untilBroken(
    client.chat.completions.create({ model: "sandbox-cut", messages: HELLO, stream: true }),
  );
  assert(came.length > 0);
  assert.equal(error.constructor, OpenAI.APIError);
  assert.deepEqual([error.code, error.type], ["upstream_protocol_error", "tieline_error"]);
  assert.match(error.message, /in the middle of its answer/);
});

test("a response stream that is cut ends with APIError", async () => {
  const { client } = counting();
  const { came, error } = await untilBroken(
    client.responses.create({ model: "sandbox-cut", input: "Hello you", stream: true }),
  );
  assert.equal(came[0].type, "response.created");
  assert.equal(error.constructor, OpenAI.APIError);
  assert.match(error.message, /in the middle of its answer/);
});

test("a stream that stalls ends with APIError", async () => {
  const { client } = counting({ api: "quick" });
  const { came, error } = await untilBroken(
    client.chat.completions.create({ model: "sandbox-stall", messages: HELLO, stream: true }),
  );
  assert(came.length > 0);
  assert.equal(error.code, "upstream_timeout");
});

test("a plain answer that is cut is no answer", async () => {
  const { client } = counting({ maxRetries: 0 });
  const error = await failure(() => client.chat.completions.create({ model: "sandbox-cut", messages: HELLO }));
  assert(error instanceof Error, "half of it was taken for whole");
});
