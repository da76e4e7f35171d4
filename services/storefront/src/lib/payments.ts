/**
 * The road of a payment: attempt stored, PayPal asked, money captured, order committed, and only then acknowledged
 * (docs/adr/0006). This is its first half; capture.ts is the second.
 */
import { createHash, randomUUID } from "node:crypto";
import { config } from "./config.ts";
import * as directus from "./directus.ts";
import { DirectusError, isTaken, type Row } from "./directus.ts";
import { PaymentError } from "./errors.ts";
import type { Notes } from "./http.ts";
import { log } from "./log.ts";
import { charge } from "./money.ts";
import * as paypal from "./paypal.ts";
import type { Cart } from "./validate.ts";

export type Created = {
  order_id: string;
  total_omr: string;
  charge: { currency: string; amount: string };
  approve_url: string;
  /** "created", or "completed" when this payment was made before and only its answer was lost. */
  payment_status: string;
};

/** Two carts are the same when what is sold, at which prices and to whom is the same. */
function fingerprint(cart: Cart): string {
  return createHash("sha256").update(JSON.stringify([cart.lines, cart.customer, cart.locale])).digest("hex");
}

async function attemptFor(key: string, cart: Cart): Promise<Row> {
  const row = {
    idempotency_key: key,
    status: "started",
    cart: { lines: cart.lines, fingerprint: fingerprint(cart) },
    customer: cart.customer,
    locale: cart.locale,
    total_omr: cart.totalOmr,
    rate_per_omr: config.ratePerOmr,
    charge_currency: config.settlementCurrency,
    charge_amount: charge(cart.totalOmr, config.ratePerOmr, config.settlementCurrency),
  };
  try {
    return await directus.create("payment_attempts", row);
  } catch (error) {
    if (!isTaken(error)) throw error;
  }
  const there = await directus.findBy("payment_attempts", "idempotency_key", key);
  if (!there) throw new DirectusError("LOST_ATTEMPT", "payment_attempts", true);
  if ((there.cart as { fingerprint?: string }).fingerprint !== fingerprint(cart))
    throw new PaymentError(409, "IDEMPOTENCY_KEY_REUSED", "this Idempotency-Key was used for another cart");
  return there;
}

/** Begin a payment. The same key with the same cart ends where the first call did; without a key each call is a new payment. */
export async function create(cart: Cart, key: string | undefined, notes: Notes = {}): Promise<Created> {
  const attempt = await attemptFor(key ?? randomUUID(), cart);
  notes.attempt_id = attempt.id;
  const amount = payable({ currency_code: String(attempt.charge_currency), value: String(attempt.charge_amount) });
  // PayPal forgets request ids after hours: a payment that was made is not begun again.
  if (attempt.status === "completed") return created(attempt, String(attempt.paypal_order_id), "", amount);
  const order = await paypal.createOrder(String(attempt.idempotency_key), attempt.id, amount, cart.locale);
  notes.order_id = order.id;
  // Without the id on the attempt nothing could be captured, so it is written before the buyer is sent away.
  if (attempt.paypal_order_id !== order.id) await directus.update("payment_attempts", attempt.id, { paypal_order_id: order.id, status: "created" });
  log("info", "order_created", { ...notes, amount_omr: attempt.total_omr, charge: amount });
  return created(attempt, order.id, paypal.approveUrl(order), amount);
}

function created(attempt: Row, orderId: string, approveUrl: string, amount: paypal.Amount): Created {
  return {
    order_id: orderId,
    total_omr: String(attempt.total_omr),
    charge: { currency: amount.currency_code, amount: amount.value },
    approve_url: approveUrl,
    payment_status: attempt.status === "completed" ? "completed" : "created",
  };
}

/** The store keeps two decimals for every currency; PayPal wants the currency's own. */
function payable(amount: paypal.Amount): paypal.Amount {
  return { ...amount, value: charge(amount.value, "1", amount.currency_code) };
}
