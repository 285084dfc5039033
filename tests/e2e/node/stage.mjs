// What the Python side started: addresses, keys and the table of wrong requests. Knows no test.
import OpenAI from "openai";

export const stage = JSON.parse(process.env.STAGE);
export const HELLO = [{ role: "user", content: "Hello you" }];

/** A client that counts what it really sends, in `attempts`. */
export function counting({ api = "openai", key = "live", ...options } = {}) {
  const counted = { attempts: 0 };
  counted.client = new OpenAI({
    baseURL: stage.relay + api,
    apiKey: stage.keys[key],
    maxRetries: 1,
    ...options,
    fetch: (...given) => {
      counted.attempts += 1;
      return fetch(...given);
    },
  });
  return counted;
}

/** How many requests the upstream has had so far. */
export async function upstreamRequests() {
  const stats = await (await fetch(new URL("/sandbox/stats", stage.sandbox))).json();
  return Object.entries(stats.requests)
    .filter(([path]) => path.startsWith("/v1"))
    .reduce((sum, [, count]) => sum + count, 0);
}

/** All that an async iterable brings. */
export async function pieces(iterable) {
  const came = [];
  for await (const piece of iterable) came.push(piece);
  return came;
}

/** The error that `call` ends with. */
export async function failure(call) {
  try {
    await call();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}
