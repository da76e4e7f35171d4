"use client";
import Link from "next/link";
import { useRouter } from "next/navigation";
import { useEffect, useRef, useState } from "react";
import { write } from "@/lib/cart";
import { forgetKey, post } from "@/lib/pay";
import type { Locale, Texts } from "@/lib/texts";

type Paid = { directus_order_id: string; transaction_id: string };
const TRIES = 4;

/** Capture is idempotent, so what passes (a lost connection, a moment without the store) is tried again. */
async function captured(orderId: string): Promise<Paid> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await post<Paid>("capture-order", { order_id: orderId });
    } catch (error) {
      const passing = ["NETWORK", "STORE_UNAVAILABLE", "PAYPAL_UNAVAILABLE", "PAYPAL_BUSY", "RATE_LIMITED"].includes((error as Error).message);
      if (!passing || attempt === TRIES) throw error;
      await new Promise((done) => setTimeout(done, 1200 * attempt));
    }
  }
}

export function Success({ locale, texts, orderId }: { locale: Locale; texts: Texts; orderId: string }) {
  const [paid, setPaid] = useState<Paid>();
  const asked = useRef(false);
  const router = useRouter();

  useEffect(() => {
    if (asked.current) return;
    asked.current = true;
    captured(orderId)
      .then((order) => {
        write([]);
        forgetKey();
        setPaid(order);
      })
      .catch((error: Error) => {
        if (error.message === "INSTRUMENT_DECLINED") forgetKey();
        router.replace(`/${locale}/error?code=${encodeURIComponent(error.message)}`);
      });
  }, [orderId, locale, router]);

  if (!paid) return <p aria-live="polite">{texts.confirming}</p>;
  return (
    <>
      <h1>{texts.thanks}</h1>
      <p>
        {texts.orderNumber}: <strong data-testid="order-number">{paid.directus_order_id}</strong>
      </p>
      <p className="soft">
        {texts.transaction}: <span data-testid="transaction">{paid.transaction_id}</span>
      </p>
      <Link className="button" href={`/${locale}`}>
        {texts.backToShop}
      </Link>
    </>
  );
}
