/** PayPal's REST API: token, Orders v2, webhook signatures. Repeats only what is safe to repeat, with the same request id. */
import { config } from "./config.ts";
import { metrics } from "./metrics.ts";

const TIMEOUT_MS = 8000;
const TRIES = 3;
const TOKEN_MARGIN_MS = 60_000;

export type Capture = { id: string; status: string; amount: { currency_code: string; value: string } };
export type Order = {
  id: string;
  status: string;
  links?: { rel: string; href: string }[];
  purchase_units?: { payments?: { captures?: Capture[] } }[];
};

export class PayPalError extends Error {
  readonly status: number;
  readonly issue: string;
  readonly debugId: string;

  /** `status` is 0 when PayPal did not answer. */
  constructor(status: number, issue: string, debugId = "") {
    super(`paypal: ${status} ${issue}`);
    this.status = status;
    this.issue = issue;
    this.debugId = debugId;
  }
}

let token: { value: string; until: number } | undefined;

async function accessToken(): Promise<string> {
  if (token && token.until > Date.now()) return token.value;
  const basic = Buffer.from(`${config.paypalClientId}:${config.paypalClientSecret}`).toString("base64");
  const answer = await once("/v1/oauth2/token", {
    method: "POST",
    headers: { Authorization: `Basic ${basic}`, "Content-Type": "application/x-www-form-urlencoded" },
    body: "grant_type=client_credentials",
  });
  const body = (await answer.json().catch(() => ({}))) as { access_token?: string; expires_in?: number };
  if (!answer.ok || !body.access_token) throw new PayPalError(answer.status, "AUTHENTICATION_FAILURE");
  token = { value: body.access_token, until: Date.now() + (body.expires_in ?? 0) * 1000 - TOKEN_MARGIN_MS };
  return token.value;
}

async function once(path: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(`${config.paypalUrl}${path}`, { ...init, cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch {
    throw new PayPalError(0, "UNREACHABLE");
  }
}

async function call<T>(method: string, path: string, requestId?: string, body?: string): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await answered<T>(method, path, requestId, body);
    } catch (error) {
      const passing = error instanceof PayPalError && (error.status === 0 || error.status === 429 || error.status >= 500);
      if (!passing || attempt === TRIES) throw error;
      metrics.retries.inc();
      await new Promise((done) => setTimeout(done, 200 * 2 ** attempt));
    }
  }
}

async function answered<T>(method: string, path: string, requestId?: string, body?: string): Promise<T> {
  const answer = await once(path, {
    method,
    headers: {
      Authorization: `Bearer ${await accessToken()}`,
      "Content-Type": "application/json",
      Prefer: "return=representation",
      ...(requestId ? { "PayPal-Request-Id": requestId } : {}),
    },
    body,
  });
  const document = (await answer.json().catch(() => ({}))) as T & { name?: string; debug_id?: string; details?: { issue?: string }[] };
  if (answer.ok) return document;
  if (answer.status === 401) token = undefined;
  throw new PayPalError(answer.status, document.details?.[0]?.issue ?? document.name ?? "UNKNOWN", document.debug_id);
}

export function createOrder(requestId: string, reference: string, currency: string, value: string, locale: string): Promise<Order> {
  const request = {
    intent: "CAPTURE",
    purchase_units: [{ custom_id: reference, amount: { currency_code: currency, value } }],
    payment_source: {
      paypal: {
        experience_context: {
          user_action: "PAY_NOW",
          locale: locale === "ar" ? "ar-EG" : "en-US",
          return_url: `${config.siteUrl}/${locale}/success`,
          cancel_url: `${config.siteUrl}/${locale}/cancel`,
        },
      },
    },
  };
  return call("POST", "/v2/checkout/orders", requestId, JSON.stringify(request));
}

export function captureOrder(requestId: string, id: string): Promise<Order> {
  return call("POST", `/v2/checkout/orders/${id}/capture`, requestId, "{}");
}

export function getOrder(id: string): Promise<Order> {
  return call("GET", `/v2/checkout/orders/${id}`);
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
  const answer = await call<{ verification_status?: string }>("POST", "/v1/notifications/verify-webhook-signature", undefined, body);
  return answer.verification_status === "SUCCESS";
}

/** Whether PayPal answers at all. */
export async function reachable(timeoutMs: number): Promise<boolean> {
  const answer = await fetch(`${config.paypalUrl}/v1/health`, { cache: "no-store", signal: AbortSignal.timeout(timeoutMs) });
  await answer.arrayBuffer();
  return answer.status < 500;
}
