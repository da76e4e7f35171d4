"use client";
import Link from "next/link";
import { useRouter } from "next/navigation";
import { useEffect, useState, type FormEvent } from "react";
import { useCart } from "@/lib/cart";
import { begun, keyOf, post } from "@/lib/pay";
import { errorText, type Locale, type Texts } from "@/lib/texts";
import { Lines } from "./lines";

type Created = { order_id: string; approve_url: string; payment_status: string };

export function Checkout({ locale, texts }: { locale: Locale; texts: Texts }) {
  const entries = useCart();
  const router = useRouter();
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState("");

  // The browser's way back from PayPal may show this page as it was left.
  useEffect(() => {
    const shown = (event: PageTransitionEvent) => event.persisted && setBusy(false);
    addEventListener("pageshow", shown);
    return () => removeEventListener("pageshow", shown);
  }, []);

  async function pay(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const order = { items: entries, customer: { name: form.get("name"), email: form.get("email") }, locale };
    setBusy(true);
    setFailure("");
    try {
      const created = await post<Created>("create-order", order, { "Idempotency-Key": await keyOf(order) });
      begun(created.order_id);
      if (created.payment_status === "completed") router.push(`/${locale}/success?token=${encodeURIComponent(created.order_id)}`);
      else location.assign(created.approve_url);
    } catch (error) {
      setFailure(errorText(texts, (error as Error).message));
      setBusy(false);
    }
  }

  if (entries === undefined) return <p aria-busy="true" />;
  if (entries.length === 0) return <Empty locale={locale} texts={texts} />;
  return (
    <>
      <Lines entries={entries} locale={locale} texts={texts} fixed />
      <form onSubmit={pay}>
        <label htmlFor="name">{texts.name}</label>
        <input id="name" name="name" autoComplete="name" required maxLength={100} data-testid="customer-name" />
        <label htmlFor="email">{texts.email}</label>
        <input id="email" name="email" type="email" autoComplete="email" required maxLength={254} dir="ltr" data-testid="customer-email" />
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
          <Link href={`/${locale}/cart`}>{texts.backToCart}</Link>
        </div>
      </form>
    </>
  );
}

export function Empty({ locale, texts }: { locale: Locale; texts: Texts }) {
  return (
    <>
      <p data-testid="cart-empty">{texts.empty}</p>
      <Link className="button" href={`/${locale}`}>
        {texts.backToShop}
      </Link>
    </>
  );
}
