/** What every payment route does around its work. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DirectusError } from "../src/lib/directus.ts";
import { bad } from "../src/lib/errors.ts";
import { body, sameOrigin, step, told } from "../src/lib/http.ts";
import { PayPalError } from "../src/lib/paypal-token.ts";

process.env.NEXT_PUBLIC_SITE_URL = "https://shop.example";
process.env.LOG_LEVEL = "critical";

function post(text: string | Uint8Array, headers: Record<string, string> = {}): Request {
  return new Request("https://shop.example/api/payments/paypal/create-order", {
    method: "POST",
    body: text as BodyInit,
    headers: { "Content-Type": "application/json", Host: "shop.example", ...headers },
  });
}

const status = (error: unknown) => told(error).status;

for (const [why, request, expected] of [
  ["no JSON", post("{"), 400],
  ["no UTF-8", post(new Uint8Array([0x22, 0xff, 0x22])), 400],
  ["another type", post("{}", { "Content-Type": "text/plain" }), 415],
  ["a type that only begins like JSON", post("{}", { "Content-Type": "application/jsonp" }), 415],
  ["too large", post(`"${"x".repeat(70_000)}"`), 413],
  ["said to be too large", post("{}", { "Content-Length": "70000" }), 413],
] as const) {
  test(`a body refused: ${why}`, () => assert.rejects(body(request), (error) => status(error) === expected));
}

test("a body with a charset is read", async () => {
  assert.deepEqual(await body(post('{"a":"ليلى"}', { "Content-Type": "Application/JSON; charset=utf-8" })), { a: "ليلى" });
});

for (const [headers, allowed] of [
  [{}, true],
  [{ Origin: "https://shop.example", "Sec-Fetch-Site": "same-origin" }, true],
  [{ Origin: "https://evil.example" }, false],
  [{ Origin: "null" }, false],
  [{ Origin: "https://shop.example.evil.example" }, false],
  [{ "Sec-Fetch-Site": "cross-site" }, false],
  [{ "Sec-Fetch-Site": "same-site", Origin: "https://admin.example" }, false],
] as const) {
  test(`a post with ${JSON.stringify(headers)} is ${allowed ? "taken" : "refused"}`, () => {
    const ask = () => sameOrigin(post("{}", headers as Record<string, string>));
    if (allowed) ask();
    else assert.throws(ask, (error) => status(error) === 403);
  });
}

test("failures become statuses, and say nothing of what is inside", async () => {
  for (const [error, expected, retry] of [
    [bad("INVALID_ITEMS", "no"), 400, null],
    [new PayPalError(500, "X"), 502, "2"],
    [new PayPalError(0, "UNREACHABLE"), 502, "2"],
    [new PayPalError(429, "X"), 503, "2"],
    [new DirectusError("HTTP_500", "", true), 503, "2"],
    [new Error("password=hunter2"), 500, null],
  ] as const) {
    const answer = await step("create", post("{}"), () => Promise.reject(error));
    assert.deepEqual([answer.status, answer.headers.get("retry-after")], [expected, retry]);
    assert.ok(!(await answer.text()).includes("hunter2"));
  }
});

test("a session is given to who has none", async () => {
  const work = () => Promise.resolve(Response.json({}));
  const cookie = (await step("create", post("{}"), work)).headers.get("set-cookie") ?? "";
  assert.match(cookie, /^till_session=[0-9a-f-]{36}; Path=\/; HttpOnly; Secure; SameSite=Lax$/);
  assert.equal((await step("create", post("{}", { Cookie: "a=b; till_session=x" }), work)).headers.get("set-cookie"), null);
  assert.equal((await step("webhook", post("{}"), work)).headers.get("set-cookie"), null);
});
