import assert from "node:assert/strict";
import { test } from "node:test";
import { PaymentError } from "../src/lib/errors.ts";
import { cart, orderId } from "../src/lib/validate.ts";

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
  ["another language", { ...good, locale: "fr" }, "INVALID_LOCALE"],
] as const) {
  test(`refused: ${why}`, () => assert.equal(code(body), expected));
}

test("an order id is PayPal's", () => {
  assert.equal(orderId({ order_id: "5O190127TN364715T" }), "5O190127TN364715T");
  for (const id of [undefined, "", "x", "../../etc", 5]) assert.throws(() => orderId({ order_id: id }), PaymentError);
});
