import { Cart } from "@/components/cart";
import { TEXTS, type Locale } from "@/lib/texts";
import { titled } from "@/lib/titled";

export const generateMetadata = titled("cart");

export default async function Page({ params }: { params: Promise<{ locale: Locale }> }) {
  const { locale } = await params;
  const texts = TEXTS[locale];
  return (
    <>
      <h1>{texts.cart}</h1>
      <Cart locale={locale} texts={texts} />
    </>
  );
}
