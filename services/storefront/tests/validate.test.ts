import assert from "node:assert/strict";
import { test } from "node:test";
import { PaymentError } from "../src/lib/errors.ts";
import { LIMITS, cart, idempotencyKey, orderId } from "../src/lib/validate.ts";

const good = { items: [{ sku: "dates-1kg", quantity: 3 }], customer: { name: "ليلى O'Neill-Ødegård", email: "A@Shop.Example" }, locale: "ar" };

function code(body: unknown): string {
  try {
    cart(body);
  } catch (error) {
    assert.ok(error instanceof PaymentError);
    assert.equal(error.status, 400);
    return error.code;
  }
  return "accepted";
}

test("a good cart is priced from the catalogue", () => {
  const checked = cart(good);
  assert.equal(checked.totalOmr, "12.345");
  assert.equal(checked.customer.email, "a@shop.example");
});

test("a client's price is not looked at", () => {
  assert.equal(cart({ ...good, items: [{ sku: "dates-1kg", quantity: 1, unit_price_omr: "0.001" }] }).totalOmr, "4.115");
});

for (const [why, body, expected] of [
  ["nothing", undefined, "INVALID_BODY"],
  ["the guide's test body", { test: true }, "INVALID_ITEMS"],
  ["no lines", { ...good, items: [] }, "INVALID_ITEMS"],
  ["unknown product", { ...good, items: [{ sku: "gold", quantity: 1 }] }, "UNKNOWN_SKU"],
  ["a fraction", { ...good, items: [{ sku: "dates-1kg", quantity: 1.5 }] }, "INVALID_QUANTITY"],
  ["zero", { ...good, items: [{ sku: "dates-1kg", quantity: 0 }] }, "INVALID_QUANTITY"],
  ["too many", { ...good, items: [{ sku: "dates-1kg", quantity: 100 }] }, "INVALID_QUANTITY"],
  ["a product twice", { ...good, items: [good.items[0], good.items[0]] }, "DUPLICATE_SKU"],
  ["no e-mail", { ...good, customer: { name: "A", email: "nobody" } }, "INVALID_EMAIL"],
  ["no name", { ...good, customer: { name: " ", email: "a@shop.example" } }, "INVALID_NAME"],
  ["a name with a control character", { ...good, customer: { name: "A\u0000B", email: "a@shop.example" } }, "INVALID_NAME"],
  ["a name with half a surrogate pair", { ...good, customer: { name: "A\ud800", email: "a@shop.example" } }, "INVALID_NAME"],
  ["a name too long", { ...good, customer: { name: "A".repeat(LIMITS.name + 1), email: "a@shop.example" } }, "INVALID_NAME"],
  ["an e-mail with a control character", { ...good, customer: { name: "A", email: "a\u0000@shop.example" } }, "INVALID_EMAIL"],
  ["an e-mail with a name", { ...good, customer: { name: "A", email: "A <a@shop.example>" } }, "INVALID_EMAIL"],
  ["too many lines", { ...good, items: Array.from({ length: LIMITS.lines + 1 }, () => good.items[0]) }, "TOO_MANY_ITEMS"],
  ["a quantity as text", { ...good, items: [{ sku: "dates-1kg", quantity: "3" }] }, "INVALID_QUANTITY"],
  ["a list", [good], "INVALID_BODY"],
  ["another language", { ...good, locale: "fr" }, "INVALID_LOCALE"],
] as const) {
  test(`refused: ${why}`, () => assert.equal(code(body), expected));
}

test("an order id is PayPal's", () => {
  assert.equal(orderId({ order_id: "5O190127TN364715T" }), "5O190127TN364715T");
  for (const id of [undefined, "", "x", "../../etc", 5]) assert.throws(() => orderId({ order_id: id }), PaymentError);
});

test("an idempotency key is a UUID, or none", () => {
  assert.equal(idempotencyKey(null), undefined);
  assert.equal(idempotencyKey("0B5CA2B4-5C6F-4A58-9C66-111111111111"), "0b5ca2b4-5c6f-4a58-9c66-111111111111");
  for (const key of ["", "x", "0b5ca2b45c6f4a589c66111111111111"]) assert.throws(() => idempotencyKey(key), PaymentError);
});
