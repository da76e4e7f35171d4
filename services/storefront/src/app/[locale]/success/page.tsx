import { Success } from "@/components/success";
import { TEXTS, type Locale } from "@/lib/texts";
import { titled } from "@/lib/titled";

type Props = { params: Promise<{ locale: Locale }>; searchParams: Promise<{ token?: string | string[] }> };

export const generateMetadata = titled("checkout");

export default async function Page({ params, searchParams }: Props) {
  const { locale } = await params;
  const { token } = await searchParams;
  return <Success locale={locale} texts={TEXTS[locale]} orderId={typeof token === "string" ? token : ""} />;
}
