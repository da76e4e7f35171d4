"use client";
/** Calls of the payment API from the browser; a failure is its code. */
import { write } from "./cart";

const PENDING = "till-payment";
/** PayPal keeps an unapproved order for three hours; a payment begun longer ago is begun anew. */
const PENDING_MS = 60 * 60 * 1000;
const TRANSIENT = new Set(["NETWORK", "STORE_UNAVAILABLE", "PAYPAL_UNAVAILABLE", "PAYPAL_BUSY", "RATE_LIMITED", "UNKNOWN", "INTERNAL"]);

export function isTransient(code: string): boolean {
  return TRANSIENT.has(code);
}

export async function post<T>(path: string, body: unknown, headers: Record<string, string> = {}): Promise<T> {
  let answer: Response;
  try {
    answer = await fetch(`/api/payments/paypal/${path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...headers },
      body: JSON.stringify(body),
    });
  } catch {
    throw new Error("NETWORK");
  }
  if (answer.status === 429) throw new Error("RATE_LIMITED");
  const document = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(document?.error?.code ?? "UNKNOWN");
  return document as T;
}

type Pending = { key: string; digest: string; begun: number; orderId?: string };

function pending(): Pending | undefined {
  try {
    return (JSON.parse(localStorage.getItem(PENDING) ?? "null") as Pending | null) ?? undefined;
  } catch {
    return undefined;
  }
}

/** One key per order: a second click, another tab or the way back find the payment that was begun. */
export async function keyOf(order: unknown): Promise<string> {
  const bytes = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(JSON.stringify(order)));
  // Only a digest is kept, as the order names the buyer.
  const digest = Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");
  const known = pending();
  if (known?.digest === digest && Date.now() - known.begun < PENDING_MS) return known.key;
  const key = crypto.randomUUID();
  localStorage.setItem(PENDING, JSON.stringify({ key, digest, begun: Date.now() }));
  return key;
}

export function begun(orderId: string): void {
  const known = pending();
  if (known) localStorage.setItem(PENDING, JSON.stringify({ ...known, orderId }));
}

/** The next payment is a new one. */
export function forgetKey(): void {
  localStorage.removeItem(PENDING);
}

/** The cart of this order was paid. A page that is opened again later leaves a newer cart alone. */
export function paid(orderId: string): void {
  if (pending()?.orderId !== orderId) return;
  write([]);
  forgetKey();
}
