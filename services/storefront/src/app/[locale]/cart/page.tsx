import { Cart } from "@/components/cart";
import { TEXTS, type Locale } from "@/lib/texts";

export default async function Page({ params }: { params: Promise<{ locale: Locale }> }) {
  const { locale } = await params;
  return <Cart locale={locale} texts={TEXTS[locale]} />;
}
