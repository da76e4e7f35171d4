/** Token, retries and deadlines, against a server that answers what a test wants. */
import assert from "node:assert/strict";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, beforeEach, test } from "node:test";
import { PayPalError, captureOrder, getOrder, signed } from "../src/lib/paypal.ts";

type Answer = { status: number; body?: unknown; headers?: Record<string, string>; delayMs?: number; cut?: boolean };
let answers: Answer[] = [];
let seen: { path: string; requestId?: string; bearer?: string }[] = [];
let tokens = 0;

const server = createServer((request: IncomingMessage, response) => {
  if (request.url === "/v1/oauth2/token") {
    tokens += 1;
    return void setTimeout(() => response.end(JSON.stringify({ access_token: `T${tokens}`, expires_in: 32400 })), 20);
  }
  seen.push({ path: request.url ?? "", requestId: request.headers["paypal-request-id"] as string | undefined, bearer: request.headers.authorization });
  const { status, body, headers, delayMs, cut } = answers.shift() ?? { status: 200 };
  if (cut) return void request.socket.destroy();
  setTimeout(() => response.writeHead(status, headers).end(JSON.stringify(body ?? { id: "O", status: "CREATED" })), delayMs ?? 0).unref();
});

before(async () => {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  process.env.PAYPAL_API_URL = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  process.env.PAYPAL_WEBHOOK_ID = "WH";
});
after(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  answers = [];
  seen = [];
});

const fails = (status: number, issue: string) => (error: unknown) => error instanceof PayPalError && error.status === status && error.issue === issue;

test("many calls share one token", async () => {
  await Promise.all(Array.from({ length: 5 }, () => getOrder("A")));
  assert.equal(tokens, 1);
});

test("a token that PayPal has forgotten is replaced once", async () => {
  answers = [{ status: 401, body: { name: "AUTHENTICATION_FAILURE" } }];
  const before = tokens;
  assert.equal((await getOrder("A")).id, "O");
  assert.equal(tokens, before + 1);
  assert.notEqual(seen[0]?.bearer, seen[1]?.bearer);
});

test("5xx, a cut connection and 429 are tried again with the same request id", async () => {
  for (const fault of [{ status: 500 }, { status: 503 }, { status: 200, cut: true }, { status: 429, headers: { "Retry-After": "1" } }]) {
    answers = [fault];
    seen = [];
    await captureOrder("capture-1", "A");
    assert.deepEqual(seen.map((one) => one.requestId), ["capture-1", "capture-1"]);
  }
});

test("a page that is no JSON is an error like any other", async () => {
  answers = Array.from({ length: 3 }, () => ({ status: 502, body: "<html>" }));
  await assert.rejects(getOrder("A"), fails(502, "UNKNOWN"));
  assert.equal(seen.length, 3);
});

test("what PayPal refuses is not tried again", async () => {
  answers = [{ status: 422, body: { name: "UNPROCESSABLE_ENTITY", details: [{ issue: "INSTRUMENT_DECLINED" }], debug_id: "d" } }];
  await assert.rejects(captureOrder("capture-2", "A"), fails(422, "INSTRUMENT_DECLINED"));
  assert.equal(seen.length, 1);
});

test("a PayPal that does not answer ends within the deadline", async () => {
  answers = Array.from({ length: 3 }, () => ({ status: 200, delayMs: 30_000 }));
  const began = performance.now();
  await assert.rejects(getOrder("A"), fails(0, "UNREACHABLE"));
  // Three tries of 3 s; without a deadline of their own each would take 30 s.
  assert.ok(performance.now() - began < 15_000);
});

test("a webhook without PayPal's headers is not even asked about; PayPal's no is no, its outage is an error", async () => {
  assert.equal(await signed(new Headers(), "{}"), false);
  assert.equal(seen.length, 0);
  const names = ["auth-algo", "cert-url", "transmission-id", "transmission-sig", "transmission-time"];
  const headers = new Headers(names.map((name): [string, string] => [`paypal-${name}`, "x"]));
  answers = [{ status: 200, body: { verification_status: "SUCCESS" } }, { status: 200, body: { verification_status: "FAILURE" } }, { status: 400 }];
  assert.deepEqual([await signed(headers, "{}"), await signed(headers, "{}"), await signed(headers, "{}")], [true, false, false]);
  answers = Array.from({ length: 3 }, () => ({ status: 500 }));
  await assert.rejects(signed(headers, "{}"), PayPalError);
});
