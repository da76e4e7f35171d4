/** The whole road of a payment against the project's PayPal simulator, with a store whose faults can be chosen. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, afterEach, before, test } from "node:test";
import { capture } from "../src/lib/capture.ts";
import { DirectusError } from "../src/lib/directus.ts";
import { PaymentError } from "../src/lib/errors.ts";
import { create } from "../src/lib/payments.ts";
import { PayPalError } from "../src/lib/paypal-token.ts";
import { cart } from "../src/lib/validate.ts";
import { notified } from "../src/lib/webhook.ts";
import { CLIENT, Simulator } from "./simulator.ts";
import { Store } from "./store.ts";

const simulator = new Simulator();
const store = new Store();

before(async () => {
  Object.assign(process.env, {
    DIRECTUS_INTERNAL_URL: await store.listen(),
    PAYPAL_API_URL: await simulator.start(),
    NEXT_PUBLIC_PAYPAL_CLIENT_ID: CLIENT.id,
    PAYPAL_CLIENT_SECRET: CLIENT.secret,
    LOG_LEVEL: "critical",
    // Long enough for a fault that passes, short where one is to last.
    DIRECTUS_DEADLINE_MS: "1500",
    SETTLEMENT_CURRENCY: "USD",
    SETTLEMENT_RATE_PER_OMR: "2.600000",
  });
});
after(async () => {
  await simulator.stop();
  store.close();
});
afterEach(async () => {
  store.fault = () => undefined;
  await simulator.noFaults();
});

function order(quantity = 3, email = `${randomUUID()}@shop.example`) {
  return cart({ items: [{ sku: "dates-1kg", quantity }], customer: { name: "Layla", email }, locale: "en" });
}

async function approved(buyer = order()) {
  const made = await create(buyer, randomUUID());
  await simulator.approve(made.order_id);
  return made.order_id;
}

const ordersOf = (orderId: string) => store.table("orders").filter((row) => row.paypal_order_id === orderId);
const attemptOf = (orderId: string) => store.table("payment_attempts").find((row) => row.paypal_order_id === orderId)!;
const refusal = (status: number, code: string) => (error: unknown) => error instanceof PaymentError && error.status === status && error.code === code;

function event(kind: string, orderId: string, resource: object = {}) {
  return { event_type: kind, resource: { supplementary_data: { related_ids: { order_id: orderId } }, ...resource } };
}

test("a payment becomes one order with its customer, items and totals", async () => {
  const orderId = await approved(order(3, "layla@shop.example"));
  assert.equal(ordersOf(orderId).length, 0);
  const paid = await capture(orderId);
  const [row] = ordersOf(orderId);
  assert.ok(row);
  assert.equal(paid.payment_status, "completed");
  assert.equal(row.payment_intent_id, paid.transaction_id);
  assert.deepEqual([row.total_omr, row.charge_currency, row.charge_amount, row.rate_per_omr], ["12.345", "USD", "32.10", "2.600000"]);
  assert.deepEqual((row.items as { sku: string; line_total_omr: string }[]).map((line) => [line.sku, line.line_total_omr]), [["dates-1kg", "12.345"]]);
  assert.equal(store.table("customers").find((one) => one.id === row.customer_id)?.email, "layla@shop.example");
  const again = await capture(await approved(order(1, "layla@shop.example")));
  assert.equal(store.table("customers").filter((one) => one.email === "layla@shop.example").length, 1);
  assert.notEqual(again.directus_order_id, paid.directus_order_id);
});

test("the same key with the same cart is the same payment, with another cart a conflict", async () => {
  const [key, buyer] = [randomUUID(), order()];
  const first = await create(buyer, key);
  assert.deepEqual(await create(buyer, key), first);
  await assert.rejects(create({ ...buyer, ...order(4) }, key), refusal(409, "IDEMPOTENCY_KEY_REUSED"));
  await simulator.approve(first.order_id);
  await capture(first.order_id);
  const later = await create(buyer, key);
  assert.deepEqual([later.order_id, later.payment_status], [first.order_id, "completed"]);
});

test("racing calls of one key begin one payment", async () => {
  const [key, buyer] = [randomUUID(), order()];
  const made = await Promise.all(Array.from({ length: 4 }, () => create(buyer, key).catch((error: Error) => error)));
  const ids = new Set(made.flatMap((one) => (one instanceof Error ? [] : [one.order_id])));
  assert.equal(ids.size, 1);
  assert.equal(store.table("payment_attempts").filter((row) => row.idempotency_key === key).length, 1);
});

test("a capture repeated is confirmed by a new write, and charges once", async () => {
  const orderId = await approved();
  const first = await capture(orderId);
  const charged = (await simulator.captures()).length;
  store.writes = [];
  assert.deepEqual(await capture(orderId), first);
  assert.deepEqual(store.writes, ["PATCH payment_attempts"]);
  assert.equal((await simulator.captures()).length, charged);
});

test("not approved is 409, unknown is 404, and both leave no order", async () => {
  const { order_id } = await create(order(), randomUUID());
  await assert.rejects(capture(order_id), refusal(409, "ORDER_NOT_APPROVED"));
  await assert.rejects(capture("UNKNOWN0000000000"), refusal(404, "UNKNOWN_ORDER"));
  assert.equal(ordersOf(order_id).length, 0);
});

test("a declined payment is 422, noted on the attempt, and can be paid after all", async () => {
  const orderId = await approved();
  await simulator.fault({ path: `${orderId}/capture`, kind: "decline" });
  await assert.rejects(capture(orderId), refusal(422, "INSTRUMENT_DECLINED"));
  assert.deepEqual([attemptOf(orderId).status, attemptOf(orderId).failure_code], ["declined", "INSTRUMENT_DECLINED"]);
  assert.equal(ordersOf(orderId).length, 0);
  assert.equal((await capture(orderId)).payment_status, "completed");
  assert.deepEqual([attemptOf(orderId).status, attemptOf(orderId).failure_code], ["completed", null]);
});

test("nothing is charged while the store can't write", async () => {
  const orderId = await approved();
  const charged = (await simulator.captures()).length;
  store.fault = (method) => (method === "GET" ? undefined : 503);
  await assert.rejects(capture(orderId), (error) => error instanceof DirectusError && error.away);
  assert.equal((await simulator.captures()).length, charged);
});

test("the store lost after the charge: not acknowledged, and the retry completes it", async () => {
  const orderId = await approved();
  store.fault = (method, collection) => (method === "POST" && collection === "orders" ? 500 : undefined);
  await assert.rejects(capture(orderId), DirectusError);
  assert.equal(ordersOf(orderId).length, 0);
  const charged = (await simulator.captures()).length;
  store.fault = () => undefined;
  assert.equal((await capture(orderId)).payment_status, "completed");
  assert.equal((await simulator.captures()).length, charged);
});

test("an order whose answer was lost is confirmed by a write of its row, not by reading it", async () => {
  const orderId = await approved();
  store.fault = (method, collection) => (method === "POST" && collection === "orders" ? "lost" : undefined);
  store.writes = [];
  await capture(orderId);
  assert.deepEqual(store.writes, ["PATCH payment_attempts", "POST orders", "POST orders", "PATCH orders", "PATCH payment_attempts"]);
  assert.equal(ordersOf(orderId).length, 1);
});

test("a store that is away for a moment, at each call and also after it wrote, fails no payment and makes it once", async () => {
  const seen = new Map<string, number>();
  store.fault = (method, collection) => {
    const call = `${method} ${collection}`;
    seen.set(call, (seen.get(call) ?? 0) + 1);
    return seen.get(call) === 1 ? "lost" : seen.get(call) === 2 && method !== "POST" ? 503 : undefined;
  };
  const key = randomUUID();
  const { order_id } = await create(order(), key);
  await simulator.approve(order_id);
  const charged = (await simulator.captures()).length;
  assert.equal((await capture(order_id)).payment_status, "completed");
  assert.deepEqual([...seen.keys()].sort(), ["GET customers", "GET orders", "GET payment_attempts", "PATCH orders", "PATCH payment_attempts", "POST orders", "POST payment_attempts"]);
  assert.equal(ordersOf(order_id).length, 1);
  assert.equal(store.table("payment_attempts").filter((row) => row.idempotency_key === key).length, 1);
  assert.equal((await simulator.captures()).length, charged + 1);
});

test("an order that the store has lost is made again", async () => {
  const orderId = await approved();
  await capture(orderId);
  store.rows.orders = store.table("orders").filter((row) => row.paypal_order_id !== orderId);
  assert.equal((await capture(orderId)).payment_status, "completed");
  assert.equal(ordersOf(orderId).length, 1);
});

test("two first orders of one customer at once: one customer, two orders", async () => {
  const email = `${randomUUID()}@shop.example`;
  const ids = await Promise.all([approved(order(1, email)), approved(order(2, email))]);
  await Promise.all(ids.map((id) => capture(id)));
  assert.equal(store.table("customers").filter((row) => row.email === email).length, 1);
  assert.equal(ids.flatMap(ordersOf).length, 2);
});

test("another amount than was asked is never taken for paid", async () => {
  const orderId = await approved();
  attemptOf(orderId).charge_amount = "1.00";
  await assert.rejects(capture(orderId), refusal(500, "AMOUNT_MISMATCH"));
  assert.equal(ordersOf(orderId).length, 0);
});

test("PayPal failing, or its answer lost, is bridged with the same request id; failing on is told", async () => {
  const orderId = await approved();
  await simulator.fault({ path: `${orderId}/capture`, kind: "error", count: 2 });
  assert.equal((await capture(orderId)).payment_status, "completed");
  const lost = await approved();
  await simulator.fault({ path: `${lost}/capture`, kind: "timeout", delay_s: 0.1 });
  assert.equal((await capture(lost)).payment_status, "completed");
  const other = await approved();
  await simulator.fault({ path: `${other}/capture`, kind: "rate_limit", count: 9 });
  await assert.rejects(capture(other), (error) => error instanceof PayPalError && error.status === 429);
});

test("webhook: the order of a lost browser is finished, again and again the same", async () => {
  const orderId = await approved();
  store.fault = (method, collection) => (method === "POST" && collection === "orders" ? 500 : undefined);
  await assert.rejects(capture(orderId), DirectusError);
  store.fault = () => undefined;
  for (let time = 0; time < 2; time += 1) assert.equal(await notified(event("PAYMENT.CAPTURE.COMPLETED", orderId), {}), "captured");
  assert.equal(ordersOf(orderId).length, 1);
});

test("webhook: a refund in parts, then whole, and no late news takes it back", async () => {
  const orderId = await approved();
  const { transaction_id } = await capture(orderId);
  const refund = (value: string, total?: string) =>
    event("PAYMENT.CAPTURE.REFUNDED", orderId, {
      amount: { currency_code: "USD", value },
      links: [{ rel: "up", href: `https://api.paypal.example/v2/payments/captures/${transaction_id}` }],
      ...(total ? { seller_payable_breakdown: { total_refunded_amount: { currency_code: "USD", value: total } } } : {}),
    });
  assert.equal(await notified(refund("2.10", "2.10"), {}), "partially_refunded");
  assert.equal(await notified(refund("30.00", "32.10"), {}), "refunded");
  assert.equal(await notified(refund("2.10", "2.10"), {}), "refunded");
  assert.equal(await notified(event("PAYMENT.CAPTURE.COMPLETED", orderId), {}), "captured");
  assert.equal(await notified(event("PAYMENT.CAPTURE.DENIED", orderId), {}), "ignored");
  assert.equal(ordersOf(orderId)[0]?.payment_status, "refunded");
  assert.equal((await capture(orderId)).payment_status, "refunded");
});

test("webhook: denied is noted; what is not ours or not known is acknowledged", async () => {
  const { order_id } = await create(order(), randomUUID());
  assert.equal(await notified(event("PAYMENT.CAPTURE.DENIED", order_id), {}), "declined");
  assert.equal(attemptOf(order_id).status, "declined");
  assert.equal(await notified(event("PAYMENT.CAPTURE.COMPLETED", "NOTOURS0000000000"), {}), "unknown payment");
  assert.equal(await notified({ event_type: "BILLING.PLAN.CREATED" }, {}), "ignored");
  assert.equal(await notified({}, {}), "ignored");
});
