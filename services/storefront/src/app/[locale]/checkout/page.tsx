import { Checkout } from "@/components/checkout";
import { TEXTS, type Locale } from "@/lib/texts";

export default async function Page({ params }: { params: Promise<{ locale: Locale }> }) {
  const { locale } = await params;
  return <Checkout locale={locale} texts={TEXTS[locale]} />;
}
