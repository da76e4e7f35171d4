/** What PayPal tells on its own. Each event may come several times, late, and for payments that are not this shop's. */
import { attemptOf, declined, finish } from "./capture.ts";
import * as directus from "./directus.ts";
import { PaymentError } from "./errors.ts";
import type { Notes } from "./http.ts";
import { log } from "./log.ts";
import { atLeast } from "./money.ts";
import type { Amount } from "./paypal.ts";

export type Event = {
  event_type?: string;
  resource?: {
    amount?: Amount;
    seller_payable_breakdown?: { total_refunded_amount?: Amount };
    supplementary_data?: { related_ids?: { order_id?: string } };
    links?: { rel: string; href: string }[];
  };
};
export type Done = "captured" | "declined" | "refunded" | "partially_refunded" | "unknown payment" | "ignored";

/** Do what the event asks for; unknown events are acknowledged and left alone. Safe to repeat. */
export async function notified(event: Event, notes: Notes): Promise<Done> {
  if (typeof event.event_type === "string") notes.event_type = event.event_type;
  switch (event.event_type) {
    case "PAYMENT.CAPTURE.COMPLETED":
      return settled(event, notes);
    case "PAYMENT.CAPTURE.DENIED":
      return denied(event, notes);
    case "PAYMENT.CAPTURE.REFUNDED":
      return refunded(event, notes);
    default:
      return "ignored";
  }
}

function unknown(notes: Notes): Done {
  // Acknowledged, or PayPal would repeat it for days; money without an attempt is for reconciliation to find.
  log("error", "webhook_unknown_payment", notes);
  return "unknown payment";
}

async function attemptIn(event: Event, notes: Notes) {
  notes.order_id = event.resource?.supplementary_data?.related_ids?.order_id ?? "";
  return notes.order_id ? attemptOf(notes.order_id) : undefined;
}

async function settled(event: Event, notes: Notes): Promise<Done> {
  const attempt = await attemptIn(event, notes);
  if (!attempt) return unknown(notes);
  await finish(attempt, notes.order_id!, notes);
  return "captured";
}

async function denied(event: Event, notes: Notes): Promise<Done> {
  const attempt = await attemptIn(event, notes);
  if (!attempt) return unknown(notes);
  if (attempt.status === "completed") return "ignored";
  try {
    return await declined(attempt, "CAPTURE_DENIED");
  } catch (error) {
    if (error instanceof PaymentError && error.status === 422) return "declined";
    throw error;
  }
}

async function refunded(event: Event, notes: Notes): Promise<Done> {
  const { amount, seller_payable_breakdown: breakdown, links } = event.resource ?? {};
  notes.transaction_id = links?.find((link) => link.rel === "up")?.href.split("/").pop() ?? "";
  const order = notes.transaction_id ? await directus.findBy("orders", "payment_intent_id", notes.transaction_id) : undefined;
  if (!order) return unknown(notes);
  const total = (breakdown?.total_refunded_amount ?? amount)?.value ?? "0";
  const status = order.payment_status === "refunded" || atLeast(total, String(order.charge_amount)) ? "refunded" : "partially_refunded";
  await directus.update("orders", order.id, { payment_status: status });
  return status;
}
