import { Checkout } from "@/components/checkout";
import { TEXTS, type Locale } from "@/lib/texts";
import { titled } from "@/lib/titled";

export const generateMetadata = titled("checkout");

export default async function Page({ params }: { params: Promise<{ locale: Locale }> }) {
  const { locale } = await params;
  const texts = TEXTS[locale];
  return (
    <>
      <h1>{texts.checkout}</h1>
      <Checkout locale={locale} texts={texts} />
    </>
  );
}
