"use client";
/** Calls of the payment API from the browser; a failure is its code. */

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

/** One key per cart: a second click, or a click after the way back, finds the payment that was begun. */
export async function keyOf(cart: unknown): Promise<string> {
  const begun = sessionStorage.getItem("till-payment");
  const text = JSON.stringify(cart);
  const known = begun ? (JSON.parse(begun) as { key: string; text: string }) : undefined;
  if (known?.text === text) return known.key;
  const key = crypto.randomUUID();
  sessionStorage.setItem("till-payment", JSON.stringify({ key, text }));
  return key;
}

export function forgetKey(): void {
  sessionStorage.removeItem("till-payment");
}
