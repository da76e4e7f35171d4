"use client";
import Link from "next/link";
import { useCart } from "@/lib/cart";
import type { Locale } from "@/lib/texts";

export function CartLink({ locale, label }: { locale: Locale; label: string }) {
  const count = (useCart() ?? []).reduce((sum, entry) => sum + entry.quantity, 0);
  return (
    <Link href={`/${locale}/cart`} data-testid="go-to-cart">
      {label}
      {count ? <span className="count"> {new Intl.NumberFormat(locale === "ar" ? "ar-OM" : "en-OM").format(count)}</span> : null}
    </Link>
  );
}
