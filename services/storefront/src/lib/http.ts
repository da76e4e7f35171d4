/** What the payment routes share: reading a body, telling an error, measuring. */
import { config } from "./config.ts";
import { DirectusError } from "./directus.ts";
import { PaymentError } from "./errors.ts";
import { log } from "./log.ts";
import { metrics } from "./metrics.ts";
import { PayPalError } from "./paypal.ts";

const MAX_BODY_BYTES = 64 * 1024;

export async function body(request: Request): Promise<unknown> {
  if (!(request.headers.get("content-type") ?? "").toLowerCase().startsWith("application/json"))
    throw new PaymentError(415, "UNSUPPORTED_MEDIA_TYPE", "send application/json");
  const text = await request.text();
  if (text.length > MAX_BODY_BYTES) throw new PaymentError(413, "BODY_TOO_LARGE", `at most ${MAX_BODY_BYTES} bytes`);
  try {
    return JSON.parse(text);
  } catch {
    throw new PaymentError(400, "INVALID_JSON", "the body is not JSON");
  }
}

/** A browser tells where a post comes from; other sites may not post here. */
export function sameOrigin(request: Request): void {
  const origin = request.headers.get("origin");
  if (origin === null) return;
  const host = request.headers.get("x-forwarded-host") ?? request.headers.get("host");
  const allowed = new Set([new URL(config.siteUrl).host, host]);
  let from = "";
  try {
    from = new URL(origin).host;
  } catch {
    // "null" and nonsense are other sites.
  }
  if (!allowed.has(from)) throw new PaymentError(403, "CROSS_SITE", "posts from other sites are refused");
}

function told(error: unknown): PaymentError {
  if (error instanceof PaymentError) return error;
  if (error instanceof PayPalError)
    return error.status === 429
      ? new PaymentError(503, "PAYPAL_BUSY", "PayPal is busy; try again in a moment")
      : new PaymentError(502, "PAYPAL_UNAVAILABLE", "PayPal can't be reached; you were not charged twice, try again");
  if (error instanceof DirectusError) return new PaymentError(503, "STORE_UNAVAILABLE", "the order store can't be reached; try again, you are charged once only");
  return new PaymentError(500, "INTERNAL", "something went wrong on our side");
}

/** Run a payment step; every error becomes a status, a code and a sentence. */
export async function step(name: string, request: Request, work: () => Promise<Response>): Promise<Response> {
  const end = metrics.duration.startTimer({ step: name });
  try {
    sameOrigin(request);
    const answer = await work();
    metrics.payments.inc({ step: name, outcome: "success" });
    return answer;
  } catch (error) {
    const known = told(error);
    const outcome = known.status >= 500 ? "error" : known.status === 422 ? "declined" : "refused";
    metrics.payments.inc({ step: name, outcome });
    metrics.errors.inc({ code: known.code });
    const detail = error instanceof PayPalError || error instanceof DirectusError ? error.message : undefined;
    const stack = known.code === "INTERNAL" && error instanceof Error ? error.stack : undefined;
    log(known.status >= 500 ? "error" : "warn", `${name}_failed`, { error_type: known.code, status: known.status, detail, stack });
    return Response.json(
      { error: { code: known.code, message: known.message }, ...known.extra },
      { status: known.status, headers: known.status === 503 ? { "Retry-After": "2" } : {} },
    );
  } finally {
    end();
  }
}
