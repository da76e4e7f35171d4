/** What /api/health tells of the store, and how often the store is asked for it. */
import assert from "node:assert/strict";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, beforeEach, test } from "node:test";
import { health } from "../src/lib/health.ts";

/** Longer than an answer is kept. */
const KEPT_MS = 600;
type Answer = (response: ServerResponse) => void;
const well: Answer = (response) => void response.writeHead(200).end("{}");
const unwell: Answer = (response) => void response.writeHead(503).end("{}");
const silent: Answer = () => undefined;

let answers: Record<string, Answer> = {};
let asked: string[] = [];
const server = createServer((request, response) => {
  asked.push(request.url ?? "");
  (answers[request.url ?? ""] ?? well)(response);
});

before(async () => {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const here = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  Object.assign(process.env, { DIRECTUS_INTERNAL_URL: here, PAYPAL_API_URL: here });
});
beforeEach(async () => {
  await new Promise((over) => setTimeout(over, KEPT_MS));
  [answers, asked] = [{}, []];
});
after(() => {
  server.closeAllConnections();
  server.close();
});

const ofStore = () => asked.filter((path) => path.startsWith("/server/"));

test("a store that is well is asked one question, whoever asks meanwhile", async () => {
  const told = await Promise.all([health(), health(), health()]);
  assert.deepEqual(told.map((one) => one.http), [200, 200, 200]);
  assert.equal(told[0]!.health.checks.database.ok && told[0]!.health.checks.directus.ok, true);
  assert.deepEqual(ofStore(), ["/server/health"]);
});

test("a store that tells that its database is away is there itself", async () => {
  answers = { "/server/health": unwell };
  const { http, health: told } = await health();
  assert.deepEqual([http, told.checks.database.ok, told.checks.directus.ok], [503, false, true]);
});

test("a store whose database hangs is told apart from one that is away", async () => {
  answers = { "/server/health": silent };
  const began = performance.now();
  const { http, health: told } = await health();
  assert.deepEqual([http, told.checks.database.ok, told.checks.directus.ok], [503, false, true]);
  assert.ok(performance.now() - began < 2000);
});

test("a store that is away is away with its database", async () => {
  answers = { "/server/health": silent, "/server/ping": silent };
  const { http, health: told } = await health();
  assert.deepEqual([http, told.checks.database.ok, told.checks.directus.ok], [503, false, false]);
});
