import Link from "next/link";
import { TEXTS, type Locale } from "@/lib/texts";
import { titled } from "@/lib/titled";

export const generateMetadata = titled("checkout");

export default async function Page({ params }: { params: Promise<{ locale: Locale }> }) {
  const { locale } = await params;
  const texts = TEXTS[locale];
  return (
    <>
      <h1>{texts.checkout}</h1>
      <p data-testid="cancelled">{texts.cancelled}</p>
      <Link className="button" href={`/${locale}/cart`}>
        {texts.backToCart}
      </Link>
    </>
  );
}
