import { headers } from "next/headers";
import Link from "next/link";
import { notFound } from "next/navigation";
import type { ReactNode } from "react";
import { LanguageSwitch } from "@/components/language-switch";
import { config } from "@/lib/config";
import { TEXTS, isLocale } from "@/lib/texts";

export const dynamic = "force-dynamic";
export const metadata = { title: "Souq" };

export default async function Layout({ children, params }: { children: ReactNode; params: Promise<{ locale: string }> }) {
  const { locale } = await params;
  if (!isLocale(locale)) notFound();
  const texts = TEXTS[locale];
  const nonce = (await headers()).get("x-nonce") ?? undefined;
  return (
    <html lang={locale} dir={locale === "ar" ? "rtl" : "ltr"}>
      <body>
        <header>
          <Link className="shop" href={`/${locale}`}>
            {texts.shop}
          </Link>
          <Link href={`/${locale}/cart`} data-testid="go-to-cart">
            {texts.cart}
          </Link>
          <LanguageSwitch locale={locale} label={texts.language} />
        </header>
        <main>{children}</main>
        {config.analyticsId ? (
          <script nonce={nonce} async src={`https://www.googletagmanager.com/gtag/js?id=${encodeURIComponent(config.analyticsId)}`} />
        ) : null}
      </body>
    </html>
  );
}
