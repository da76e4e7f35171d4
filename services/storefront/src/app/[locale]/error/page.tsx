import Link from "next/link";
import { TEXTS, errorText, type Locale } from "@/lib/texts";
import { titled } from "@/lib/titled";

type Props = { params: Promise<{ locale: Locale }>; searchParams: Promise<{ code?: string | string[] }> };

export const generateMetadata = titled("checkout");

export default async function Page({ params, searchParams }: Props) {
  const { locale } = await params;
  const { code } = await searchParams;
  const texts = TEXTS[locale];
  return (
    <>
      <h1>{texts.failed}</h1>
      <p className="error" role="alert" data-testid="error-message">
        {errorText(texts, typeof code === "string" ? code : "")}
      </p>
      <Link className="button" href={`/${locale}/checkout`}>
        {texts.tryAgain}
      </Link>
    </>
  );
}
