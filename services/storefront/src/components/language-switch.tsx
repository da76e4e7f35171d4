"use client";
import { usePathname, useSearchParams } from "next/navigation";
import type { Locale } from "@/lib/texts";

export function LanguageSwitch({ locale, label }: { locale: Locale; label: string }) {
  const other = locale === "en" ? "ar" : "en";
  const query = useSearchParams().toString();
  const path = usePathname().replace(/^\/(en|ar)/, `/${other}`);
  // A whole page, as language and direction stand on the document.
  return (
    <a href={query ? `${path}?${query}` : path} lang={other} hrefLang={other} data-testid="language-switch">
      {label}
    </a>
  );
}
