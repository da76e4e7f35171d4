/** PayPal's REST API: Orders v2 and webhook signatures. Repeats only what is safe to repeat, with the same request id. */
import { config } from "./config.ts";
import { metrics } from "./metrics.ts";
import * as token from "./paypal-token.ts";
import { PayPalError } from "./paypal-token.ts";

export { PayPalError };

const TRIES = 3;
/** Longest wait for one answer, and for all tries of a call together. */
const TIMEOUT_MS = 6000;
const DEADLINE_MS = 9000;
const FIRST_PAUSE_MS = 250;

export type Amount = { currency_code: string; value: string };
export type Capture = { id: string; status: string; amount: Amount };
export type Order = {
  id: string;
  status: string;
  links?: { rel: string; href: string }[];
  purchase_units?: { payments?: { captures?: Capture[] } }[];
};

type Call = { method: "GET" | "POST"; path: string; requestId?: string; body?: string };
type Failure = { name?: string; debug_id?: string; details?: { issue?: string }[] };

function passes(error: PayPalError): boolean {
  return error.status === 0 || error.status === 401 || error.status === 429 || error.status >= 500 || error.issue === "PREVIOUS_REQUEST_IN_PROGRESS";
}

async function call<T>(asked: Call): Promise<T> {
  const deadline = performance.now() + DEADLINE_MS;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await once<T>(asked, Math.min(TIMEOUT_MS, deadline - performance.now()));
    } catch (error) {
      if (!(error instanceof PayPalError) || !passes(error) || attempt === TRIES) throw error;
      // A token that PayPal has forgotten is replaced without waiting.
      const pause = error.status === 401 ? 0 : Math.max(FIRST_PAUSE_MS * 2 ** (attempt - 1), error.retryAfterMs);
      if (performance.now() + pause > deadline - 500) throw error;
      metrics.retries.inc({ reason: error.status === 0 ? "network" : String(error.status) });
      await new Promise((done) => setTimeout(done, pause));
    }
  }
}

async function once<T>(asked: Call, timeoutMs: number): Promise<T> {
  const signal = AbortSignal.timeout(Math.max(1, Math.round(timeoutMs)));
  const bearer = await token.get(signal);
  const { answer, document } = await token.exchange<T & Failure>(asked.path, {
    method: asked.method,
    headers: {
      Authorization: `Bearer ${bearer}`,
      "Content-Type": "application/json",
      Prefer: "return=representation",
      ...(asked.requestId ? { "PayPal-Request-Id": asked.requestId } : {}),
    },
    body: asked.body,
    signal,
  });
  if (answer.ok) return document;
  if (answer.status === 401) token.forget(bearer);
  const issue = document.details?.[0]?.issue ?? document.name ?? "UNKNOWN";
  throw new PayPalError(answer.status, issue, document.debug_id, token.retryAfterMs(answer));
}

/** `reference` is our attempt's id: PayPal keeps it on the order and its capture. */
export function createOrder(requestId: string, reference: string, amount: Amount, locale: string): Promise<Order> {
  const request = {
    intent: "CAPTURE",
    purchase_units: [{ custom_id: reference, amount }],
    payment_source: {
      paypal: {
        experience_context: {
          user_action: "PAY_NOW",
          shipping_preference: "NO_SHIPPING",
          payment_method_preference: "IMMEDIATE_PAYMENT_REQUIRED",
          locale: locale === "ar" ? "ar-EG" : "en-US",
          return_url: `${config.siteUrl}/${locale}/success`,
          cancel_url: `${config.siteUrl}/${locale}/cancel`,
        },
      },
    },
  };
  return call({ method: "POST", path: "/v2/checkout/orders", requestId, body: JSON.stringify(request) });
}

export function captureOrder(requestId: string, id: string): Promise<Order> {
  return call({ method: "POST", path: `/v2/checkout/orders/${id}/capture`, requestId, body: "{}" });
}

export function getOrder(id: string): Promise<Order> {
  return call({ method: "GET", path: `/v2/checkout/orders/${id}` });
}

export function captureOf(order: Order): Capture | undefined {
  return order.purchase_units?.[0]?.payments?.captures?.[0];
}

export function approveUrl(order: Order): string {
  return order.links?.find((link) => link.rel === "payer-action" || link.rel === "approve")?.href ?? "";
}

/** Ask PayPal whether it signed this webhook. The event is sent back byte for byte, as the signature covers its bytes. */
export async function signed(headers: Headers, rawEvent: string): Promise<boolean> {
  const fields = {
    auth_algo: headers.get("paypal-auth-algo"),
    cert_url: headers.get("paypal-cert-url"),
    transmission_id: headers.get("paypal-transmission-id"),
    transmission_sig: headers.get("paypal-transmission-sig"),
    transmission_time: headers.get("paypal-transmission-time"),
    webhook_id: config.paypalWebhookId,
  };
  if (Object.values(fields).some((value) => !value)) return false;
  const body = `${JSON.stringify(fields).slice(0, -1)},"webhook_event":${rawEvent}}`;
  try {
    const answer = await call<{ verification_status?: string }>({ method: "POST", path: "/v1/notifications/verify-webhook-signature", body });
    return answer.verification_status === "SUCCESS";
  } catch (error) {
    // PayPal finds the fields themselves malformed: the sender's fault, not an outage.
    if (error instanceof PayPalError && (error.status === 400 || error.status === 422)) return false;
    throw error;
  }
}

/** Whether PayPal answers at all. */
export async function reachable(timeoutMs: number): Promise<boolean> {
  const answer = await fetch(`${config.paypalUrl}/v1/health`, { cache: "no-store", signal: AbortSignal.timeout(timeoutMs) });
  await answer.arrayBuffer();
  return answer.status < 500;
}
