import type { Metadata } from "next";
import { TEXTS, isLocale, type Texts } from "./texts";

/** A page's generateMetadata: its title in the page's language. */
export function titled(text: keyof Texts) {
  return async ({ params }: { params: Promise<{ locale: string }> }): Promise<Metadata> => {
    const { locale } = await params;
    return { title: TEXTS[isLocale(locale) ? locale : "en"][text] };
  };
}
