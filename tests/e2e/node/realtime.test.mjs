// Realtime: the Node SDK's WebSockets behind TLS (it opens no others), and a browser's own, the key a subprotocol.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import OpenAI from "openai";
import { OpenAIRealtimeWebSocket } from "openai/realtime/websocket";
import { OpenAIRealtimeWS } from "openai/realtime/ws";
import { stage } from "./stage.mjs";

const MODEL = "gpt-realtime";
const EVENTS = [
  { type: "session.update", session: { type: "realtime", output_modalities: ["text"] } },
  {
    type: "conversation.item.create",
    item: { type: "message", role: "user", content: [{ type: "input_text", text: "Hello you" }] },
  },
  { type: "response.create" },
];
const client = new OpenAI({ baseURL: stage.secure, apiKey: stage.keys.live });

/** The text that a connection brings, once its last event is here: Node's WebSocket loses a close amid events. */
function conversation(realtime) {
  return new Promise((resolve, reject) => {
    let text = "";
    realtime.on("error", reject);
    realtime.on("session.created", () => EVENTS.forEach((event) => realtime.send(event)));
    realtime.on("response.output_text.delta", ({ delta }) => {
      text += delta;
    });
    realtime.on("rate_limits.updated", () => resolve(text));
  });
}

/** Close a connection; settles when the other side has closed too. */
function closed(realtime, close) {
  return new Promise((resolve) => {
    realtime.addEventListener("close", ({ code }) => resolve(code));
    close();
  });
}

test("a conversation with the SDK's WebSocket for servers", async () => {
  const realtime = new OpenAIRealtimeWS({ model: MODEL }, client);
  assert.equal(await conversation(realtime), "You said: Hello you");
  assert.equal(await closed(realtime.socket, () => realtime.close()), 1000);
});

test("a conversation with the SDK's WebSocket for browsers", async () => {
  const realtime = new OpenAIRealtimeWebSocket({ model: MODEL, dangerouslyAllowBrowser: true }, client);
  assert.equal(await conversation(realtime), "You said: Hello you");
  assert.equal(await closed(realtime.socket, () => realtime.close()), 1000);
});

/** A WebSocket as a page opens it: no headers, the key among the subprotocols, and no TLS. */
function page(model, key) {
  const address = stage.relay.replace("http:", "ws:") + `openai/realtime?model=${model}`;
  return new WebSocket(address, ["realtime", `openai-insecure-api-key.${key}`]);
}

test("a browser's own WebSocket sends its key as a subprotocol", async () => {
  const socket = page("sandbox-echo-headers", stage.keys.live);
  const seen = await new Promise((resolve, reject) => {
    socket.addEventListener("error", () => reject(new Error("it was not upgraded")));
    socket.addEventListener("message", ({ data }) => {
      const event = JSON.parse(data);
      if (event.type === "sandbox.echo") resolve(event);
    });
  });
  assert.equal(socket.protocol, "realtime");
  assert(!JSON.stringify(seen).includes(stage.keys.live));
  assert.equal(Object.fromEntries(seen.headers)["sec-websocket-protocol"], "realtime");
  assert.equal(seen.authorization.sha256, createHash("sha256").update(stage.providerKey).digest("hex"));
  assert.equal(await closed(socket, () => socket.close(1000)), 1000);
});

test("a browser's own WebSocket with a wrong key is not upgraded", async () => {
  const socket = page(MODEL, stage.keys.revoked);
  const opened = await new Promise((resolve) => {
    socket.addEventListener("open", () => resolve(true));
    socket.addEventListener("error", () => resolve(false));
  });
  assert.equal(opened, false);
});

test("a refused handshake is an error of the SDK", async () => {
  const refused = new OpenAI({ baseURL: stage.secure, apiKey: stage.keys.models });
  const realtime = new OpenAIRealtimeWS({ model: MODEL }, refused);
  const error = await new Promise((resolve) => realtime.on("error", resolve));
  assert.equal(error.constructor.name, "OpenAIRealtimeError");
  assert.match(error.message, /403/);
});
