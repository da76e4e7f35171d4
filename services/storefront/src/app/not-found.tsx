import { headers } from "next/headers";
import { TEXTS } from "@/lib/texts";

export default async function NotFound() {
  // Asking for the request makes the page dynamic, so that its scripts carry the request's nonce.
  const arabic = /^\s*ar\b/i.test((await headers()).get("accept-language") ?? "");
  const locale = arabic ? "ar" : "en";
  const texts = TEXTS[locale];
  return (
    <html lang={locale} dir={arabic ? "rtl" : "ltr"}>
      <body>
        <main>
          <h1>404</h1>
          <p>{texts.notFound}</p>
          <a className="button" href={`/${locale}`}>
            {texts.backToShop}
          </a>
        </main>
      </body>
    </html>
  );
}
