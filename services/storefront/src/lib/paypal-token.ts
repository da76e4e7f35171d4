/** One exchange with PayPal, and the access token that exchanges need: kept until shortly before it ends, asked for once. */
import { config } from "./config.ts";

const MARGIN_MS = 60_000;
const LONGEST_RETRY_AFTER_MS = 2000;

export class PayPalError extends Error {
  readonly status: number;
  readonly issue: string;
  readonly debugId: string;
  readonly retryAfterMs: number;

  /** `status` is 0 when PayPal did not answer. */
  constructor(status: number, issue: string, debugId = "", retryAfterMs = 0) {
    super(`paypal: ${status} ${issue}${debugId ? ` (debug id ${debugId})` : ""}`);
    this.status = status;
    this.issue = issue;
    this.debugId = debugId;
    this.retryAfterMs = retryAfterMs;
  }
}

/** Answer and JSON document (empty when there is none). Raises PayPalError with status 0 when the answer did not arrive. */
export async function exchange<T>(path: string, init: RequestInit): Promise<{ answer: Response; document: T }> {
  try {
    const answer = await fetch(`${config.paypalUrl}${path}`, { ...init, cache: "no-store", redirect: "error" });
    const text = await answer.text();
    return { answer, document: parsed<T>(text) };
  } catch {
    throw new PayPalError(0, "UNREACHABLE");
  }
}

function parsed<T>(text: string): T {
  try {
    const document: unknown = JSON.parse(text);
    return (typeof document === "object" && document !== null ? document : {}) as T;
  } catch {
    // An error page of something in between.
    return {} as T;
  }
}

export function retryAfterMs(answer: Response): number {
  const seconds = Number(answer.headers.get("retry-after") ?? 0);
  return Number.isFinite(seconds) ? Math.min(Math.max(0, seconds * 1000), LONGEST_RETRY_AFTER_MS) : 0;
}

let kept: { value: string; until: number } | undefined;
let asked: Promise<string> | undefined;

/** The token; many callers share one request for it. */
export function get(signal: AbortSignal): Promise<string> {
  if (kept && kept.until > Date.now()) return Promise.resolve(kept.value);
  asked ??= ask(signal).finally(() => (asked = undefined));
  return asked;
}

/** PayPal did not know this token; a newer one stays. */
export function forget(value: string): void {
  if (kept?.value === value) kept = undefined;
}

async function ask(signal: AbortSignal): Promise<string> {
  const basic = Buffer.from(`${config.paypalClientId}:${config.paypalClientSecret}`).toString("base64");
  const { answer, document } = await exchange<{ access_token?: string; expires_in?: number }>("/v1/oauth2/token", {
    method: "POST",
    headers: { Authorization: `Basic ${basic}`, "Content-Type": "application/x-www-form-urlencoded" },
    body: "grant_type=client_credentials",
    signal,
  });
  // 403: with another status than a token's 401, wrong credentials are not tried again.
  if (answer.status === 401) throw new PayPalError(403, "CLIENT_AUTHENTICATION_FAILED");
  if (!answer.ok || !document.access_token) throw new PayPalError(answer.status, "NO_TOKEN", "", retryAfterMs(answer));
  kept = { value: document.access_token, until: Date.now() + (document.expires_in ?? 0) * 1000 - MARGIN_MS };
  return kept.value;
}
