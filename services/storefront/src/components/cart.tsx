"use client";
import Link from "next/link";
import { useCart } from "@/lib/cart";
import type { Locale, Texts } from "@/lib/texts";
import { Lines } from "./lines";

export function Cart({ locale, texts }: { locale: Locale; texts: Texts }) {
  const entries = useCart();
  return (
    <>
      <h1>{texts.cart}</h1>
      {entries === undefined ? null : entries.length === 0 ? (
        <p>{texts.empty}</p>
      ) : (
        <>
          <Lines entries={entries} locale={locale} texts={texts} />
          <div className="actions">
            <Link className="button" href={`/${locale}/checkout`} data-testid="go-to-checkout">
              {texts.toCheckout}
            </Link>
          </div>
        </>
      )}
    </>
  );
}
