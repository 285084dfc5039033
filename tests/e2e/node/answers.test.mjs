// The official Node SDK, base URL and key changed and nothing else, has the whole API through the relay.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import OpenAI, { toFile } from "openai";
import { HELLO, pieces, stage } from "./stage.mjs";

const { model } = stage;
const client = new OpenAI(); // OPENAI_BASE_URL and OPENAI_API_KEY
const WEATHER = [{ role: "user", content: "What is the weather in Paris?" }];
const TOOL = {
  type: "function",
  function: {
    name: "get_weather",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
};

test("models are listed and retrieved", async () => {
  const models = await pieces(client.models.list());
  assert(models.some(({ id }) => id === "gpt-4.1"));
  assert.equal((await client.models.retrieve("gpt-4.1")).id, "gpt-4.1");
});

test("base URL and key may be given in code", async () => {
  const given = new OpenAI({ baseURL: stage.relay + "openai", apiKey: stage.keys.live });
  assert.equal((await given.models.retrieve("gpt-4.1")).id, "gpt-4.1");
});

test("chat is answered", async () => {
  const answer = await client.chat.completions.create({ model, messages: HELLO });
  assert.equal(answer.choices[0].message.content, "You said: Hello you");
});

test("chat is streamed", async () => {
  const chunks = await pieces(
    await client.chat.completions.create({
      model,
      messages: HELLO,
      stream: true,
      stream_options: { include_usage: true },
    }),
  );
  assert.equal(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join(""), "You said: Hello you");
  assert(chunks.at(-1).usage.total_tokens > 0);
});

test("a stream comes as it is made", async () => {
  const asked = { model: "sandbox-stream-100x50", messages: HELLO, stream: true };
  const stream = await client.chat.completions.create(asked);
  const began = Date.now();
  for await (const chunk of stream) {
    assert.equal(chunk.choices[0].delta.role, "assistant");
    break;
  }
  assert(Date.now() - began < 4000);
});

test("chat calls a tool and hears its answer", async () => {
  const asked = await client.chat.completions.create({ model, messages: WEATHER, tools: [TOOL] });
  const { message } = asked.choices[0];
  const [call] = message.tool_calls;
  assert.equal(call.function.name, "get_weather");
  assert.match(JSON.parse(call.function.arguments).city, /Paris/);
  const messages = [...WEATHER, message, { role: "tool", tool_call_id: call.id, content: "sunny" }];
  const answer = await client.chat.completions.create({ model, messages, tools: [TOOL] });
  assert.equal(answer.choices[0].message.content, "The tool answered: sunny");
});

test("the SDK's own runner of tools works", async () => {
  const run = (city) => `sunny in ${city.slice(0, 5)}`;
  const tool = { ...TOOL, function: { ...TOOL.function, function: ({ city }) => run(city), parse: JSON.parse } };
  const runner = client.chat.completions.runTools({ model, messages: WEATHER, tools: [tool], stream: true });
  assert.match(await runner.finalContent(), /^The tool answered: sunny/);
});

test("a response is made", async () => {
  const answer = await client.responses.create({ model, input: "Hello you" });
  assert.equal(answer.output_text, "You said: Hello you");
});

test("a response is streamed", async () => {
  const events = await pieces(await client.responses.create({ model, input: "Hello you", stream: true }));
  assert.deepEqual([events[0].type, events.at(-1).type], ["response.created", "response.completed"]);
  const deltas = events.filter(({ type }) => type === "response.output_text.delta");
  assert.equal(deltas.map(({ delta }) => delta).join(""), "You said: Hello you");
});

test("texts are embedded", async () => {
  const answer = await client.embeddings.create({ model: "text-embedding-3-small", input: ["one", "two"] });
  assert.deepEqual(answer.data.map(({ embedding }) => embedding.length), [1536, 1536]);
});

test("an image is made, and edited", async () => {
  const made = await client.images.generate({ model: "gpt-image-1", prompt: "a tie line", size: "1024x1024" });
  const picture = Buffer.from(made.data[0].b64_json, "base64");
  assert.deepEqual([picture.readUInt32BE(16), picture.readUInt32BE(20)], [1024, 1024]);
  const image = await toFile(picture, "line.png", { type: "image/png" });
  const edited = await client.images.edit({ model: "gpt-image-1", image, prompt: "in red" });
  assert(Buffer.from(edited.data[0].b64_json, "base64").subarray(1, 4).equals(Buffer.from("PNG")));
});

test("speech is made and transcribed", async () => {
  const speech = await client.audio.speech.create({
    model: "gpt-4o-mini-tts",
    voice: "alloy",
    input: "Hello you",
    response_format: "wav",
  });
  const sound = Buffer.from(await speech.arrayBuffer());
  assert.equal(sound.subarray(0, 4).toString(), "RIFF");
  const file = await toFile(sound, "said.wav", { type: "audio/wav" });
  assert.equal((await client.audio.transcriptions.create({ model: "whisper-1", file })).text, "Hello you");
});

test("a file is uploaded, listed, read and deleted", async () => {
  const content = Buffer.from(Array.from({ length: 300_000 }, (_, at) => at % 256));
  const made = await client.files.create({ file: await toFile(content, "bytes.bin"), purpose: "user_data" });
  assert.equal(made.bytes, content.length);
  const listed = async () => (await pieces(client.files.list({ purpose: "user_data" }))).map(({ id }) => id);
  assert((await listed()).includes(made.id));
  const read = await client.files.content(made.id);
  assert(Buffer.from(await read.arrayBuffer()).equals(content));
  assert((await client.files.delete(made.id)).deleted);
  assert(!(await listed()).includes(made.id));
});

test("a text is moderated", async () => {
  const answer = await client.moderations.create({ model: "omni-moderation-latest", input: "Hello you" });
  assert.equal(answer.results[0].flagged, false);
});

test("a batch runs", async () => {
  const body = { model, messages: HELLO };
  const line = JSON.stringify({ custom_id: "one", method: "POST", url: "/v1/chat/completions", body });
  const file = await client.files.create({ file: await toFile(Buffer.from(line), "lines.jsonl"), purpose: "batch" });
  const asked = { input_file_id: file.id, endpoint: "/v1/chat/completions", completion_window: "24h" };
  let batch = await client.batches.create(asked);
  for (let turn = 0; turn < 5 && batch.status !== "completed"; turn += 1) {
    batch = await client.batches.retrieve(batch.id);
  }
  const answer = JSON.parse(await (await client.files.content(batch.output_file_id)).text());
  assert.equal(answer.response.body.choices[0].message.content, "You said: Hello you");
});

test("the upstream sees its own key and all else as it was", async () => {
  const seen = await client.chat.completions.create({ model: "sandbox-echo-headers", messages: HELLO });
  assert.equal(Object.fromEntries(seen.headers)["x-stainless-lang"], "js");
  assert(!JSON.stringify(seen).includes(stage.keys.live));
  assert.equal(seen.authorization.sha256, createHash("sha256").update(stage.providerKey).digest("hex"));
});
