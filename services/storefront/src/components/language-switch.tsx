"use client";
import { usePathname } from "next/navigation";
import type { Locale } from "@/lib/texts";

export function LanguageSwitch({ locale, label }: { locale: Locale; label: string }) {
  const other = locale === "en" ? "ar" : "en";
  const path = usePathname().replace(/^\/(en|ar)/, `/${other}`);
  return (
    <a href={path} lang={other} data-testid="language-switch">
      {label}
    </a>
  );
}
