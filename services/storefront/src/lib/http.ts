/** What the payment routes share: reading a body, telling an error, measuring. */
import { randomUUID } from "node:crypto";
import { config } from "./config.ts";
import { DirectusError } from "./directus.ts";
import { PaymentError } from "./errors.ts";
import { log } from "./log.ts";
import { metrics } from "./metrics.ts";
import { PayPalError } from "./paypal.ts";
import { report, trace } from "./report.ts";
import { SESSION, session } from "./session.ts";

const MAX_BODY_BYTES = 64 * 1024;
const RETRY_AFTER_S = 2;

/** The body's text. Raises 413 before more than the limit is read, 400 when it is not UTF-8. */
export async function text(request: Request): Promise<string> {
  const large = new PaymentError(413, "BODY_TOO_LARGE", `the body may have at most ${MAX_BODY_BYTES} bytes`);
  if (Number(request.headers.get("content-length") ?? 0) > MAX_BODY_BYTES) throw large;
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of (request.body ?? []) as unknown as AsyncIterable<Uint8Array>) {
    size += part.byteLength;
    if (size > MAX_BODY_BYTES) throw large;
    parts.push(part);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(parts));
  } catch {
    throw new PaymentError(400, "INVALID_ENCODING", "the body is not UTF-8");
  }
}

export function json(raw: string): unknown {
  try {
    return JSON.parse(raw);
  } catch {
    throw new PaymentError(400, "INVALID_JSON", "the body is not JSON");
  }
}

export async function body(request: Request): Promise<unknown> {
  const type = (request.headers.get("content-type") ?? "").split(";")[0]?.trim().toLowerCase();
  if (type !== "application/json") throw new PaymentError(415, "UNSUPPORTED_MEDIA_TYPE", "send application/json");
  return json(await text(request));
}

/** A browser tells where a post comes from; other sites may not post here. Programs send neither header. */
export function sameOrigin(request: Request): void {
  const site = request.headers.get("sec-fetch-site");
  const origin = request.headers.get("origin");
  const ours = [new URL(config.siteUrl).host, request.headers.get("host")];
  const foreign = (site !== null && site !== "same-origin" && site !== "none") || (origin !== null && !ours.includes(hostOf(origin)));
  if (foreign) throw new PaymentError(403, "CROSS_SITE", "posts from other sites are refused");
}

function hostOf(origin: string): string {
  return URL.canParse(origin) ? new URL(origin).host : "";
}

/** The answer that a failure gets; never more than a code and a sentence. */
export function told(error: unknown): PaymentError {
  if (error instanceof PaymentError) return error;
  if (error instanceof PayPalError)
    return error.status === 429
      ? new PaymentError(503, "PAYPAL_BUSY", "PayPal is busy; try again in a moment")
      : new PaymentError(502, "PAYPAL_UNAVAILABLE", "PayPal can't be reached; you are charged once only, try again");
  if (error instanceof DirectusError) return new PaymentError(503, "STORE_UNAVAILABLE", "the order store can't be reached; you are charged once only, try again");
  return new PaymentError(500, "INTERNAL", "something went wrong on our side");
}

/** Ids that belong to a step's log lines, as far as they became known. */
export type Notes = Record<string, string>;

/** Run a payment step; every error becomes a status, a code and a sentence. */
export async function step(name: string, request: Request, work: (notes: Notes) => Promise<Response>): Promise<Response> {
  const end = metrics.duration.startTimer({ step: name });
  const began = Date.now();
  const notes: Notes = {};
  let answer: Response;
  try {
    sameOrigin(request);
    answer = await work(notes);
    metrics.payments.inc({ step: name, outcome: "success" });
  } catch (error) {
    answer = failed(name, error, notes);
  }
  end();
  trace(`payment ${name}`, began, Date.now(), answer.status < 500);
  answer.headers.set("Cache-Control", "no-store");
  // The edge limits payment calls by session; PayPal's webhook has none.
  if (name !== "webhook" && !SESSION.test(request.headers.get("cookie") ?? "")) answer.headers.append("Set-Cookie", session(randomUUID()));
  return answer;
}

function failed(name: string, error: unknown, notes: Notes): Response {
  const known = told(error);
  const outcome = known.status >= 500 ? "error" : known.status === 422 ? "declined" : "refused";
  metrics.payments.inc({ step: name, outcome });
  metrics.errors.inc({ step: name, code: known.code });
  const detail = error instanceof PayPalError || error instanceof DirectusError ? error.message : undefined;
  const stack = known.code === "INTERNAL" && error instanceof Error ? error.stack : undefined;
  const level = known.status < 500 ? (outcome === "declined" ? "warn" : "info") : known.code === "AMOUNT_MISMATCH" ? "critical" : "error";
  log(level, `${name}_failed`, { ...notes, error_type: known.code, status: known.status, detail, stack });
  if (known.status >= 500) report(error, { tags: { type: known.code, step: name }, extra: notes });
  const headers: Record<string, string> = known.status === 502 || known.status === 503 ? { "Retry-After": String(RETRY_AFTER_S) } : {};
  return Response.json({ error: { code: known.code, message: known.message }, ...known.extra }, { status: known.status, headers });
}
