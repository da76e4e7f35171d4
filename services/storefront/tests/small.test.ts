/** Small pure parts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { contentPolicy } from "../src/lib/policy.ts";
import { route } from "../src/lib/requests.ts";
import { TEXTS, errorText } from "../src/lib/texts.ts";

test("routes are few, whatever is asked for", () => {
  for (const [url, expected] of [
    ["/en", "/[locale]"],
    ["/ar/cart?x=1", "/[locale]/cart"],
    ["/en/success?token=SECRET", "/[locale]/success"],
    ["/", "/"],
    ["/?q", "/"],
    ["/_next/static/chunks/a.js", "/_next"],
    ["/api/health", "/api/health"],
    ["/api/payments/paypal/capture-order", "/api/payments/paypal/capture-order"],
    ["/api/nonsense", "other"],
    ["/wp-login.php", "other"],
    ["/en/../etc", "other"],
  ] as const)
    assert.equal(route(url), expected);
});

test("the policy has no unsafe word, and analytics only when it is on", () => {
  assert.ok(!contentPolicy("n", false).includes("unsafe"));
  assert.ok(!contentPolicy("n", false).includes("google"));
  assert.ok(contentPolicy("n", true).includes("google-analytics.com"));
});

test("both languages have a sentence for every error", () => {
  for (const texts of Object.values(TEXTS)) {
    assert.ok(Object.values(texts).every((sentence) => sentence.length > 0));
    for (const [code, key] of [
      ["INSTRUMENT_DECLINED", "declined"],
      ["TRANSACTION_REFUSED", "declined"],
      ["ORDER_NOT_APPROVED", "notApproved"],
      ["INVALID_EMAIL", "invalid"],
      ["AMOUNT_TOO_LARGE", "tooMuch"],
      ["STORE_UNAVAILABLE", "unavailable"],
      ["NETWORK", "network"],
      ["", "unavailable"],
    ] as const)
      assert.equal(errorText(texts, code), texts[key]);
  }
});
