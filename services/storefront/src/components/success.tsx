"use client";
import Link from "next/link";
import { useRouter } from "next/navigation";
import { useEffect, useRef, useState } from "react";
import { format, formatDate } from "@/lib/money";
import { forgetKey, isTransient, paid, post } from "@/lib/pay";
import { errorText, type Locale, type Texts } from "@/lib/texts";

type Order = { directus_order_id: string; transaction_id: string; total_omr: string; charge: { currency: string; amount: string }; created_at: string };

/** Long enough for a database that moves to another host. */
const PAUSES_MS = [1200, 1500, 2000, 3000, 4000, 5000, 5000];

/** Capture is idempotent, so what passes (a lost connection, a moment without the store) is tried again. */
async function captured(orderId: string): Promise<Order> {
  for (const pause of PAUSES_MS) {
    try {
      return await post<Order>("capture-order", { order_id: orderId });
    } catch (error) {
      if (!isTransient((error as Error).message)) throw error;
      await new Promise((done) => setTimeout(done, pause));
    }
  }
  return post<Order>("capture-order", { order_id: orderId });
}

export function Success({ locale, texts, orderId }: { locale: Locale; texts: Texts; orderId: string }) {
  const [order, setOrder] = useState<Order>();
  const [failure, setFailure] = useState("");
  const asked = useRef(false);
  const router = useRouter();

  useEffect(() => {
    // An effect may run twice; the payment is asked for once.
    if (asked.current) return;
    asked.current = true;
    captured(orderId)
      .then((made) => {
        paid(orderId);
        setOrder(made);
      })
      .catch((error: Error) => {
        if (isTransient(error.message)) return setFailure(error.message);
        // What PayPal refused for good would be refused again under the same key.
        forgetKey();
        router.replace(`/${locale}/error?code=${encodeURIComponent(error.message)}`);
      });
  }, [orderId, locale, router]);

  if (failure) return <Unconfirmed texts={texts} failure={failure} />;
  if (!order)
    return (
      <p role="status" aria-busy="true">
        {texts.confirming}
      </p>
    );
  return <Paid order={order} locale={locale} texts={texts} />;
}

function Unconfirmed({ texts, failure }: { texts: Texts; failure: string }) {
  return (
    <>
      <h1>{texts.unconfirmed}</h1>
      <p className="error" role="alert" data-testid="error-message">
        {errorText(texts, failure)}
      </p>
      <button type="button" onClick={() => location.reload()}>
        {texts.tryAgain}
      </button>
    </>
  );
}

function Paid({ order, locale, texts }: { order: Order; locale: Locale; texts: Texts }) {
  return (
    <>
      <h1 role="status">{texts.thanks}</h1>
      <dl>
        <dt>{texts.orderNumber}</dt>
        <dd>
          <bdi dir="ltr" data-testid="order-number">
            {order.directus_order_id}
          </bdi>
        </dd>
        <dt>{texts.total}</dt>
        <dd data-testid="order-total">{format(order.total_omr, "OMR", locale)}</dd>
        <dt>{texts.charged}</dt>
        <dd data-testid="order-charge">{format(order.charge.amount, order.charge.currency, locale)}</dd>
        <dt>{texts.date}</dt>
        <dd data-testid="order-date">{formatDate(order.created_at, locale)}</dd>
        <dt>{texts.transaction}</dt>
        <dd>
          <bdi dir="ltr" data-testid="transaction">
            {order.transaction_id}
          </bdi>
        </dd>
      </dl>
      <Link className="button" href={`/${locale}`}>
        {texts.backToShop}
      </Link>
    </>
  );
}
