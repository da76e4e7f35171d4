import { Success } from "@/components/success";
import { TEXTS, type Locale } from "@/lib/texts";

type Props = { params: Promise<{ locale: Locale }>; searchParams: Promise<{ token?: string }> };

export default async function Page({ params, searchParams }: Props) {
  const { locale } = await params;
  const { token } = await searchParams;
  return <Success locale={locale} texts={TEXTS[locale]} orderId={token ?? ""} />;
}
