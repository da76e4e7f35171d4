"use client";
import Link from "next/link";
import { useCart } from "@/lib/cart";
import type { Locale, Texts } from "@/lib/texts";
import { Empty } from "./checkout";
import { Lines } from "./lines";

export function Cart({ locale, texts }: { locale: Locale; texts: Texts }) {
  const entries = useCart();
  if (entries === undefined) return <p aria-busy="true" />;
  if (entries.length === 0) return <Empty locale={locale} texts={texts} />;
  return (
    <>
      <Lines entries={entries} locale={locale} texts={texts} />
      <div className="actions">
        <Link className="button" href={`/${locale}/checkout`} data-testid="go-to-checkout">
          {texts.toCheckout}
        </Link>
        <Link href={`/${locale}`}>{texts.backToShop}</Link>
      </div>
    </>
  );
}
