/** What leaves for Sentry, against a server that keeps it. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { PaymentError } from "../src/lib/errors.ts";
import { report, scrubbed, sentry, trace } from "../src/lib/report.ts";

const holder = globalThis as unknown as { tillSentry?: unknown };
const envelopes: string[] = [];
const server = createServer(async (request, response) => {
  let text = "";
  for await (const part of request) text += part;
  envelopes.push(text);
  response.writeHead(200, { "Content-Type": "application/json" }).end("{}");
});
let dsn = "";

before(async () => {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  dsn = `http://key@127.0.0.1:${(server.address() as AddressInfo).port}/1`;
});
after(() => {
  server.closeAllConnections();
  server.close();
});

async function client(value: string) {
  delete holder.tillSentry;
  process.env.SENTRY_DSN = value;
  process.env.SENTRY_ENVIRONMENT = "staging";
  process.env.APP_VERSION = "v1.2.3-test";
  return sentry();
}

test("without a DSN nothing is made and nothing is sent", async () => {
  assert.equal(await client(""), undefined);
  report(new Error("nobody hears this"), {});
  trace("payment create", Date.now(), Date.now(), true);
  await new Promise((done) => setTimeout(done, 50));
  assert.deepEqual(envelopes, []);
});

test("a DSN that is none breaks no payment", async () => {
  await client("nonsense");
  report(new Error("lost"), {});
});

test("an error arrives with its tags and without e-mail addresses; info and noise stay here", async () => {
  const made = await client(dsn);
  assert.ok(made);
  report(new PaymentError(503, "STORE_UNAVAILABLE", "for layla@shop.example"), { tags: { type: "STORE_UNAVAILABLE" }, extra: { order_id: "O1" } });
  report(new Error("ResizeObserver loop limit exceeded"), {});
  await sentry();
  made.core.captureMessage("Payment captured", "info");
  await made.client.flush(2000);
  const sent = envelopes.filter((one) => one.includes('"type":"event"'));
  assert.equal(sent.length, 1);
  const event = JSON.parse(sent[0]!.split("\n")[2]!) as Record<string, unknown> & { tags: object; extra: object };
  assert.deepEqual([event.environment, event.release], ["staging", "v1.2.3-test"]);
  assert.deepEqual(event.tags, { payment_method: "paypal", type: "STORE_UNAVAILABLE" });
  assert.equal((event.extra as { order_id: string }).order_id, "O1");
  assert.ok(!sent[0]!.includes("@shop.example"));
  assert.match(sent[0]!, /"filename":".*report\.test\.ts"/);
});

test("a tenth of the payments is traced", async () => {
  const made = await client(dsn);
  envelopes.length = 0;
  for (let count = 0; count < 300; count += 1) trace("payment capture", Date.now() - 120, Date.now(), true);
  await sentry();
  await made!.client.flush(2000);
  const traced = envelopes.filter((one) => one.includes('"type":"transaction"') && one.includes("payment capture"));
  assert.ok(traced.length > 0 && traced.length < 100, String(traced.length));
});

test("e-mail addresses leave whatever is reported", () => {
  const clean = JSON.stringify(scrubbed({ message: "for layla@shop.example", extra: [{ a: "x.y+z@mail.shop.example" }] }));
  assert.ok(!clean.includes("@"));
});
