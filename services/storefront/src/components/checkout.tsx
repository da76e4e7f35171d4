"use client";
import { useState, type FormEvent } from "react";
import { useCart } from "@/lib/cart";
import { keyOf, post } from "@/lib/pay";
import { errorText, type Locale, type Texts } from "@/lib/texts";
import { Lines } from "./lines";

export function Checkout({ locale, texts }: { locale: Locale; texts: Texts }) {
  const entries = useCart();
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState("");

  async function pay(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const order = { items: entries, customer: { name: form.get("name"), email: form.get("email") }, locale };
    setBusy(true);
    setFailure("");
    try {
      const created = await post<{ approve_url: string }>("create-order", order, { "Idempotency-Key": await keyOf(order) });
      location.assign(created.approve_url);
    } catch (error) {
      setFailure(errorText(texts, (error as Error).message));
      setBusy(false);
    }
  }

  if (entries === undefined) return null;
  if (entries.length === 0) return <p>{texts.empty}</p>;
  return (
    <>
      <h1>{texts.checkout}</h1>
      <Lines entries={entries} locale={locale} texts={texts} fixed />
      <form onSubmit={pay}>
        <label htmlFor="name">{texts.name}</label>
        <input id="name" name="name" autoComplete="name" required maxLength={100} data-testid="customer-name" />
        <label htmlFor="email">{texts.email}</label>
        <input id="email" name="email" type="email" autoComplete="email" required dir="ltr" data-testid="customer-email" />
        <p className="soft">{texts.paidWith}</p>
        {failure ? (
          <p className="error" role="alert" data-testid="error-message">
            {failure}
          </p>
        ) : null}
        <div className="actions">
          <button disabled={busy} data-testid="pay-with-paypal">
            {busy ? texts.paying : texts.pay}
          </button>
        </div>
      </form>
    </>
  );
}
