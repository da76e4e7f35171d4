/** Exact money: decimals, never floats. OMR has three decimals; the charge has the settlement currency's. */
import Decimal from "decimal.js";

const OMR_DECIMALS = 3;
/** PayPal settles these without decimals (its list of currency codes). */
const WHOLE_CURRENCIES = new Set(["HUF", "JPY", "TWD"]);

export type Line = { sku: string; name: string; quantity: number; unit_price_omr: string; line_total_omr: string };

export function lineTotal(unitPriceOmr: string, quantity: number): string {
  return new Decimal(unitPriceOmr).times(quantity).toFixed(OMR_DECIMALS);
}

export function sumOmr(lines: readonly Line[]): string {
  return lines.reduce((sum, line) => sum.plus(line.line_total_omr), new Decimal(0)).toFixed(OMR_DECIMALS);
}

/** The charge for a total: total times rate (units per 1 OMR), rounded half up to the currency's minor unit. */
export function charge(totalOmr: string, ratePerOmr: string, currency: string): string {
  const decimals = WHOLE_CURRENCIES.has(currency) ? 0 : 2;
  return new Decimal(totalOmr).times(ratePerOmr).toFixed(decimals, Decimal.ROUND_HALF_UP);
}

export function exceeds(amount: string, limit: string): boolean {
  return new Decimal(amount).greaterThan(limit);
}

export function equals(amount: string, other: string): boolean {
  return new Decimal(amount).equals(other);
}

export function atLeast(amount: string, other: string): boolean {
  return new Decimal(amount).greaterThanOrEqualTo(other);
}

const BCP47: Record<string, string> = { en: "en-OM", ar: "ar-OM" };

/** For people, in their language; the decimals stay exact (a string is formatted as it is). */
export function format(amount: string, currency: string, locale: string): string {
  return new Intl.NumberFormat(BCP47[locale], { style: "currency", currency }).format(amount as `${number}`);
}

export function formatDate(at: string, locale: string): string {
  return new Intl.DateTimeFormat(BCP47[locale], { dateStyle: "long", timeStyle: "short", timeZone: "Asia/Muscat" }).format(new Date(at));
}
