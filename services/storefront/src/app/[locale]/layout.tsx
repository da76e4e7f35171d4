import { headers } from "next/headers";
import Link from "next/link";
import { notFound } from "next/navigation";
import type { Metadata } from "next";
import type { ReactNode } from "react";
import { Analytics } from "@/components/analytics";
import { CartLink } from "@/components/cart-link";
import { LanguageSwitch } from "@/components/language-switch";
import { config } from "@/lib/config";
import { TEXTS, isLocale } from "@/lib/texts";

export const dynamic = "force-dynamic";

type Params = { params: Promise<{ locale: string }> };

export async function generateMetadata({ params }: Params): Promise<Metadata> {
  const { locale } = await params;
  const texts = TEXTS[isLocale(locale) ? locale : "en"];
  return { title: { default: texts.shop, template: `%s · ${texts.shop}` }, description: texts.about };
}

export default async function Layout({ children, params }: Params & { children: ReactNode }) {
  const { locale } = await params;
  if (!isLocale(locale)) notFound();
  const texts = TEXTS[locale];
  const nonce = (await headers()).get("x-nonce") ?? "";
  return (
    <html lang={locale} dir={locale === "ar" ? "rtl" : "ltr"}>
      <body>
        <a className="skip" href="#content">
          {texts.skip}
        </a>
        <header>
          <Link className="shop" href={`/${locale}`}>
            {texts.shop}
          </Link>
          <nav>
            <CartLink locale={locale} label={texts.cart} />
            <LanguageSwitch locale={locale} label={texts.language} />
          </nav>
        </header>
        <main id="content">
          <noscript>
            <p className="error">{texts.noScript}</p>
          </noscript>
          {children}
        </main>
        {config.analyticsId ? <Analytics id={config.analyticsId} nonce={nonce} /> : null}
      </body>
    </html>
  );
}
