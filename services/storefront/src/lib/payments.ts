/**
 * The road of a payment: attempt stored, PayPal asked, money captured, order committed, and only then acknowledged.
 * An order that is already there is confirmed by a new committed write, never by a read alone (docs/adr/0006).
 */
import { createHash, randomUUID } from "node:crypto";
import { config } from "./config.ts";
import * as directus from "./directus.ts";
import { DirectusError, type Row } from "./directus.ts";
import { PaymentError } from "./errors.ts";
import { log } from "./log.ts";
import { metrics } from "./metrics.ts";
import { charge, type Line } from "./money.ts";
import * as paypal from "./paypal.ts";
import { PayPalError, type Capture } from "./paypal.ts";
import type { Cart, Customer } from "./validate.ts";

export type Created = { order_id: string; total_omr: string; charge: { currency: string; amount: string }; approve_url: string };
export type Captured = { order_id: string; directus_order_id: string; payment_status: "completed"; transaction_id: string };

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;

export function idempotencyKey(given: string | null): string {
  if (given === null) return randomUUID();
  if (!UUID.test(given)) throw new PaymentError(400, "INVALID_IDEMPOTENCY_KEY", "Idempotency-Key must be a UUID");
  return given.toLowerCase();
}

/** Two carts are the same when everything that is sold, to whom and at which rate is the same. */
function fingerprint(cart: Cart): string {
  return createHash("sha256").update(JSON.stringify([cart.lines, cart.customer, cart.locale])).digest("hex");
}

async function attemptFor(key: string, cart: Cart): Promise<Row> {
  const amount = charge(cart.totalOmr, config.ratePerOmr, config.settlementCurrency);
  const row = {
    idempotency_key: key,
    status: "started",
    cart: { lines: cart.lines, fingerprint: fingerprint(cart) },
    customer: cart.customer,
    locale: cart.locale,
    total_omr: cart.totalOmr,
    rate_per_omr: config.ratePerOmr,
    charge_currency: config.settlementCurrency,
    charge_amount: amount,
  };
  try {
    return await directus.create("payment_attempts", row);
  } catch (error) {
    if (!(error instanceof DirectusError) || error.code !== "RECORD_NOT_UNIQUE") throw error;
  }
  const there = await directus.findBy("payment_attempts", "idempotency_key", key);
  if (!there) throw new DirectusError("LOST_ATTEMPT", "", true);
  if ((there.cart as { fingerprint?: string }).fingerprint !== fingerprint(cart))
    throw new PaymentError(409, "IDEMPOTENCY_KEY_REUSED", "this Idempotency-Key was used for another cart");
  return there;
}

export async function create(cart: Cart, key: string): Promise<Created> {
  const attempt = await attemptFor(key, cart);
  // The same request id gives the same PayPal order, so a repeated call ends where the first one did.
  const order = await paypal.createOrder(key, attempt.id, String(attempt.charge_currency), String(attempt.charge_amount), cart.locale);
  if (attempt.paypal_order_id !== order.id) await directus.update("payment_attempts", attempt.id, { paypal_order_id: order.id, status: "created" });
  log("info", "order_created", { attempt_id: attempt.id, order_id: order.id, amount_omr: attempt.total_omr });
  return {
    order_id: order.id,
    total_omr: String(attempt.total_omr),
    charge: { currency: String(attempt.charge_currency), amount: String(attempt.charge_amount) },
    approve_url: paypal.approveUrl(order),
  };
}

async function captureAtPayPal(attempt: Row, orderId: string): Promise<Capture> {
  try {
    const capture = paypal.captureOf(await paypal.captureOrder(`capture-${attempt.id}`, orderId));
    if (capture) return capture;
  } catch (error) {
    if (!(error instanceof PayPalError)) throw error;
    if (error.issue === "ORDER_NOT_APPROVED") throw new PaymentError(409, "ORDER_NOT_APPROVED", "the buyer has not approved this payment");
    if (error.issue === "INSTRUMENT_DECLINED") {
      await directus.update("payment_attempts", attempt.id, { status: "declined", failure_code: error.issue });
      throw new PaymentError(422, "INSTRUMENT_DECLINED", "PayPal declined the payment; choose another way to pay", { payment_status: "declined" });
    }
    if (error.issue !== "ORDER_ALREADY_CAPTURED") throw error;
  }
  const capture = paypal.captureOf(await paypal.getOrder(orderId));
  if (!capture) throw new PayPalError(0, "CAPTURE_MISSING");
  return capture;
}

async function customerId(customer: Customer, locale: unknown): Promise<string> {
  const there = await directus.findBy("customers", "email", customer.email);
  if (there) return there.id;
  try {
    return (await directus.create("customers", { ...customer, locale })).id;
  } catch (error) {
    if (!(error instanceof DirectusError) || error.code !== "RECORD_NOT_UNIQUE") throw error;
    const made = await directus.findBy("customers", "email", customer.email);
    if (!made) throw error;
    return made.id;
  }
}

/** Commit the order of a capture; the answer of the last write is the acknowledgement. */
async function commit(attempt: Row, orderId: string, capture: Capture): Promise<string> {
  const { lines } = attempt.cart as { lines: Line[] };
  let order: Row | undefined;
  try {
    order = await directus.create("orders", {
      payment_intent_id: capture.id,
      paypal_order_id: orderId,
      payment_status: "completed",
      customer_id: await customerId(attempt.customer as Customer, attempt.locale),
      total_omr: attempt.total_omr,
      charge_currency: attempt.charge_currency,
      charge_amount: attempt.charge_amount,
      rate_per_omr: attempt.rate_per_omr,
      locale: attempt.locale,
      items: lines,
    });
  } catch (error) {
    if (!(error instanceof DirectusError) || error.code !== "RECORD_NOT_UNIQUE") throw error;
    order = await directus.findBy("orders", "paypal_order_id", orderId);
    if (!order) throw new DirectusError("LOST_ORDER", "", true);
    // A row that was only read may be on one host alone: write it again.
    await directus.update("orders", order.id, { paypal_order_id: orderId });
  }
  await directus.update("payment_attempts", attempt.id, { status: "completed", order_id: order.id, failure_code: null });
  return order.id;
}

async function attemptOf(orderId: string): Promise<Row> {
  const attempt = await directus.findBy("payment_attempts", "paypal_order_id", orderId);
  if (!attempt) throw new PaymentError(404, "UNKNOWN_ORDER", "this shop has no such payment");
  return attempt;
}

export async function capture(orderId: string): Promise<Captured> {
  const attempt = await attemptOf(orderId);
  if (attempt.status !== "completed") await directus.update("payment_attempts", attempt.id, { status: "capturing" });
  const paid = await captureAtPayPal(attempt, orderId);
  if (paid.status !== "COMPLETED") throw new PaymentError(422, `CAPTURE_${paid.status}`, "PayPal did not complete the payment", { payment_status: paid.status.toLowerCase() });
  const id = await commit(attempt, orderId, paid);
  metrics.amount.observe(Number(attempt.total_omr));
  log("info", "payment_captured", { transaction_id: paid.id, amount_omr: attempt.total_omr, status: "completed", order_id: id });
  return { order_id: orderId, directus_order_id: id, payment_status: "completed", transaction_id: paid.id };
}

type Event = { event_type?: string; resource?: { id?: string; status?: string; supplementary_data?: { related_ids?: { order_id?: string } }; links?: { rel: string; href: string }[] } };

/** What a webhook says; unknown events are acknowledged and left alone. */
export async function notified(event: Event): Promise<string> {
  const resource = event.resource ?? {};
  const orderId = resource.supplementary_data?.related_ids?.order_id;
  if (event.event_type === "PAYMENT.CAPTURE.COMPLETED" && orderId) {
    await capture(orderId);
    return "captured";
  }
  if (event.event_type === "PAYMENT.CAPTURE.DENIED" && orderId) {
    const attempt = await attemptOf(orderId);
    await directus.update("payment_attempts", attempt.id, { status: "declined", failure_code: "CAPTURE_DENIED" });
    return "declined";
  }
  if (event.event_type === "PAYMENT.CAPTURE.REFUNDED") {
    const captureId = resource.links?.find((link) => link.rel === "up")?.href.split("/").pop() ?? "";
    const order = await directus.findBy("orders", "payment_intent_id", captureId);
    if (!order) throw new PaymentError(404, "UNKNOWN_ORDER", "no order has this capture");
    await directus.update("orders", order.id, { payment_status: "refunded" });
    return "refunded";
  }
  return "ignored";
}
