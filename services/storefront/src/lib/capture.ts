/**
 * The second half of a payment: money captured, order committed, and only then acknowledged. An order that is already
 * there is confirmed by a new committed write: after a failover a read may see a row that no other host has.
 */
import * as directus from "./directus.ts";
import { DirectusError, isTaken, type Row } from "./directus.ts";
import { PaymentError } from "./errors.ts";
import type { Notes } from "./http.ts";
import { log } from "./log.ts";
import { metrics } from "./metrics.ts";
import { equals, type Line } from "./money.ts";
import * as paypal from "./paypal.ts";
import { PayPalError, type Capture } from "./paypal.ts";
import type { Customer } from "./validate.ts";

export type Captured = {
  order_id: string;
  directus_order_id: string;
  payment_status: string;
  transaction_id: string;
  total_omr: string;
  charge: { currency: string; amount: string };
  created_at: string;
};

/** PayPal's words for "not with this way to pay" (Orders v2, capture errors). */
const DECLINES = new Set(["INSTRUMENT_DECLINED", "PAYER_CANNOT_PAY", "PAYER_ACCOUNT_RESTRICTED", "PAYER_ACCOUNT_LOCKED_OR_CLOSED", "TRANSACTION_REFUSED", "TRANSACTION_LIMIT_EXCEEDED", "COMPLIANCE_VIOLATION", "CARD_EXPIRED", "REDIRECT_PAYER_FOR_ALTERNATE_FUNDING"]);
const NOT_APPROVED = new Set(["ORDER_NOT_APPROVED", "PAYER_ACTION_REQUIRED"]);
const GONE = new Set(["INVALID_RESOURCE_ID", "RESOURCE_NOT_FOUND", "ORDER_EXPIRED"]);
/** A capture that took money: what the order's payment_status becomes. */
const PAID: Record<string, string> = { COMPLETED: "completed", PARTIALLY_REFUNDED: "partially_refunded", REFUNDED: "refunded" };
const RACES = 3;

export async function attemptOf(orderId: string): Promise<Row | undefined> {
  return directus.findBy("payment_attempts", "paypal_order_id", orderId);
}

/** Capture what the buyer approved, once however often it is asked. Raises PaymentError 404, 409, 422. */
export async function capture(orderId: string, notes: Notes = {}): Promise<Captured> {
  notes.order_id = orderId;
  const attempt = await attemptOf(orderId);
  if (!attempt) throw new PaymentError(404, "UNKNOWN_ORDER", "this shop has no such payment");
  notes.attempt_id = attempt.id;
  const before = attempt.status === "completed" ? await confirmed(attempt, orderId) : undefined;
  if (before) return before;
  // Nothing is charged while the store can't write.
  await directus.update("payment_attempts", attempt.id, { status: "capturing" });
  return commit(attempt, orderId, await captureAtPayPal(attempt, orderId), notes);
}

/** Bring an order into the store that PayPal says it has captured; moves no money. */
export async function finish(attempt: Row, orderId: string, notes: Notes): Promise<Captured> {
  notes.attempt_id = attempt.id;
  const before = attempt.status === "completed" ? await confirmed(attempt, orderId) : undefined;
  return before ?? commit(attempt, orderId, await captureFromPayPal(orderId), notes);
}

async function captureAtPayPal(attempt: Row, orderId: string): Promise<Capture> {
  try {
    const taken = paypal.captureOf(await paypal.captureOrder(`capture-${attempt.id}`, orderId));
    if (taken && taken.status !== "PENDING") return taken;
  } catch (error) {
    if (!(error instanceof PayPalError)) throw error;
    if (NOT_APPROVED.has(error.issue)) throw new PaymentError(409, "ORDER_NOT_APPROVED", "the buyer has not approved this payment");
    if (GONE.has(error.issue)) throw new PaymentError(409, "ORDER_EXPIRED", "this payment has expired; begin a new one");
    if (DECLINES.has(error.issue)) return declined(attempt, error.issue);
    if (error.issue !== "ORDER_ALREADY_CAPTURED") throw error;
  }
  return captureFromPayPal(orderId);
}

async function captureFromPayPal(orderId: string): Promise<Capture> {
  const taken = paypal.captureOf(await paypal.getOrder(orderId));
  if (!taken) throw new PayPalError(0, "CAPTURE_MISSING");
  return taken;
}

/** Note on the attempt that PayPal said no. Always raises 422. */
export async function declined(attempt: Row, issue: string): Promise<never> {
  await directus.update("payment_attempts", attempt.id, { status: "declined", failure_code: issue.slice(0, 64) });
  throw new PaymentError(422, issue, "PayPal declined the payment; choose another way to pay", { payment_status: "declined" });
}

/** Commit the order of a capture; the answer of the last write is the acknowledgement. */
async function commit(attempt: Row, orderId: string, taken: Capture, notes: Notes): Promise<Captured> {
  notes.transaction_id = taken.id;
  const status = PAID[taken.status];
  if (taken.status === "PENDING") throw new PaymentError(409, "CAPTURE_PENDING", "PayPal is still looking at this payment; the order follows when it is through", { payment_status: "pending" });
  if (!status) return declined(attempt, `CAPTURE_${taken.status}`);
  if (taken.amount.currency_code !== attempt.charge_currency || !equals(taken.amount.value, String(attempt.charge_amount)))
    throw new PaymentError(500, "AMOUNT_MISMATCH", "PayPal captured another amount than was asked; support will look at it");
  const { order, fresh } = await orderFor(attempt, orderId, taken, status);
  await directus.update("payment_attempts", attempt.id, { status: "completed", order_id: order.id, failure_code: null });
  if (fresh) metrics.amount.observe(Number(attempt.total_omr));
  log("info", fresh ? "payment_captured" : "payment_confirmed", { ...notes, customer_id: order.customer_id, directus_order_id: order.id, amount_omr: attempt.total_omr, status });
  return answer(order);
}

/** The committed order of a capture; `fresh` when this call made it. */
async function orderFor(attempt: Row, orderId: string, taken: Capture, status: string): Promise<{ order: Row; fresh: boolean }> {
  const { lines } = attempt.cart as { lines: Line[] };
  const buyer = attempt.customer as Customer;
  for (let race = 1; ; race += 1) {
    const customer = await directus.findBy("customers", "email", buyer.email);
    try {
      // Order, items and a new customer are one request, which Directus makes one transaction.
      const order = await directus.create("orders", {
        payment_intent_id: taken.id,
        paypal_order_id: orderId,
        payment_status: status,
        customer_id: customer?.id ?? { email: buyer.email, name: buyer.name, locale: attempt.locale },
        total_omr: attempt.total_omr,
        charge_currency: attempt.charge_currency,
        charge_amount: attempt.charge_amount,
        rate_per_omr: attempt.rate_per_omr,
        locale: attempt.locale,
        items: lines,
      });
      return { order, fresh: true };
    } catch (error) {
      if (!isTaken(error)) throw error;
      const there = await directus.findBy("orders", "paypal_order_id", orderId);
      if (there) return { order: await directus.update("orders", there.id, { paypal_order_id: orderId }), fresh: false };
      // Not the order was there, but another order of this customer made the customer first.
      if (race === RACES) throw new DirectusError("LOST_ORDER", "orders", true);
    }
  }
}

/** The order of a completed attempt, confirmed by a write; undefined when the store has lost it. */
async function confirmed(attempt: Row, orderId: string): Promise<Captured | undefined> {
  const order = await directus.findBy("orders", "paypal_order_id", orderId);
  if (!order) return undefined;
  await directus.update("payment_attempts", attempt.id, { status: "completed", order_id: order.id });
  return answer(order);
}

function answer(order: Row): Captured {
  return {
    order_id: String(order.paypal_order_id),
    directus_order_id: order.id,
    payment_status: String(order.payment_status),
    transaction_id: String(order.payment_intent_id),
    total_omr: String(order.total_omr),
    charge: { currency: String(order.charge_currency), amount: String(order.charge_amount) },
    created_at: String(order.created_at),
  };
}
