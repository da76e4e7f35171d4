/** What is answered before Next.js, and that all else goes on to it. */
import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";

const load = createRequire(import.meta.url);
const http = load("node:http") as { createServer: typeof createServer };
const shared = globalThis as unknown as { tillMetrics?: unknown };
let server: Server;
let url = "";

before(async () => {
  process.env.APP_VERSION = "v1.2.3-paypal";
  (load("../scripts/checks.js") as { answerChecks: () => void }).answerChecks();
  server = http.createServer((request, response) => void response.writeHead(404).end(`next: ${request.method} ${request.url}`));
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
after(() => {
  server.closeAllConnections();
  server.close();
});

test("the release is told at once", async () => {
  const answer = await fetch(`${url}/api/version?any`);
  assert.deepEqual([answer.status, await answer.json()], [200, { version: "v1.2.3-paypal" }]);
  assert.equal(answer.headers.get("cache-control"), "no-store");
  assert.equal((await fetch(`${url}/api/version`, { method: "HEAD" })).status, 200);
});

test("metrics are those of the process, once it has any", async () => {
  assert.equal((await fetch(`${url}/api/metrics`)).status, 503);
  shared.tillMetrics = { registry: { contentType: "text/plain; version=0.0.4", metrics: async () => "till_release_info 1\n" } };
  const answer = await fetch(`${url}/api/metrics`);
  assert.deepEqual([answer.status, await answer.text()], [200, "till_release_info 1\n"]);
  assert.match(answer.headers.get("content-type") ?? "", /version=0\.0\.4/);
});

test("every other question is for Next.js", async () => {
  for (const path of ["/en", "/api/health", "/api/versions", "/api/%76ersion", "/constructor"])
    assert.equal(await (await fetch(`${url}${path}`)).text(), `next: GET ${path}`);
  assert.equal(await (await fetch(`${url}/api/version`, { method: "POST" })).text(), "next: POST /api/version");
});
