/** Is this a cart we can sell? Pure; every no is a 400 that names the field. */
import { find } from "./catalogue.ts";
import { bad } from "./errors.ts";
import { exceeds, lineTotal, sumOmr, type Line } from "./money.ts";

export const LIMITS = { lines: 50, quantity: 99, totalOmr: "10000.000", name: 100, email: 254 };

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export type Locale = "en" | "ar";
export type Customer = { name: string; email: string };
export type Cart = { lines: Line[]; totalOmr: string; customer: Customer; locale: Locale };

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Text that every part behind us can keep: no control characters, no halves of surrogate pairs. */
function isPlain(text: string): boolean {
  return !/\p{Cc}|\p{Cs}/u.test(text);
}

function lines(items: unknown, locale: Locale): Line[] {
  if (!Array.isArray(items) || items.length === 0) throw bad("INVALID_ITEMS", "items must be a list of {sku, quantity}, at least one");
  if (items.length > LIMITS.lines) throw bad("TOO_MANY_ITEMS", `items holds at most ${LIMITS.lines} lines`);
  const seen = new Set<string>();
  return items.map((item, index) => {
    if (!isObject(item) || typeof item.sku !== "string") throw bad("INVALID_ITEMS", `items[${index}].sku is missing`);
    const product = find(item.sku);
    if (!product) throw bad("UNKNOWN_SKU", `items[${index}].sku is not in the catalogue`);
    if (seen.has(product.sku)) throw bad("DUPLICATE_SKU", `items[${index}].sku appears twice`);
    seen.add(product.sku);
    const quantity = item.quantity;
    if (typeof quantity !== "number" || !Number.isInteger(quantity) || quantity < 1 || quantity > LIMITS.quantity)
      throw bad("INVALID_QUANTITY", `items[${index}].quantity must be a whole number from 1 to ${LIMITS.quantity}`);
    return {
      sku: product.sku,
      name: product.name[locale],
      quantity,
      unit_price_omr: product.price_omr,
      line_total_omr: lineTotal(product.price_omr, quantity),
    };
  });
}

function customer(value: unknown): Customer {
  if (!isObject(value)) throw bad("INVALID_CUSTOMER", "customer must be {name, email}");
  const name = typeof value.name === "string" ? value.name.trim() : "";
  const email = typeof value.email === "string" ? value.email.trim().toLowerCase() : "";
  if (!name || name.length > LIMITS.name || !isPlain(name)) throw bad("INVALID_NAME", `customer.name must have 1 to ${LIMITS.name} characters`);
  if (email.length > LIMITS.email || !isPlain(email) || !/^[^\s@"<>]+@[^\s@"<>]+\.[^\s@"<>]+$/.test(email)) throw bad("INVALID_EMAIL", "customer.email is not an e-mail address");
  return { name, email };
}

/** Check a create-order body; returns the priced cart. */
export function cart(body: unknown): Cart {
  if (!isObject(body)) throw bad("INVALID_BODY", "the body must be a JSON object with items, customer and locale");
  const locale = body.locale ?? "en";
  if (locale !== "en" && locale !== "ar") throw bad("INVALID_LOCALE", "locale is en or ar");
  const priced = lines(body.items, locale);
  const totalOmr = sumOmr(priced);
  if (exceeds(totalOmr, LIMITS.totalOmr)) throw bad("AMOUNT_TOO_LARGE", `the total may be at most ${LIMITS.totalOmr} OMR`);
  return { lines: priced, totalOmr, customer: customer(body.customer), locale };
}

/** Pick the Idempotency-Key (a UUID); undefined when none was sent. */
export function idempotencyKey(given: string | null): string | undefined {
  if (given === null) return undefined;
  if (!UUID.test(given)) throw bad("INVALID_IDEMPOTENCY_KEY", "Idempotency-Key must be a UUID");
  return given.toLowerCase();
}

/** Check a capture-order body; returns PayPal's order id. */
export function orderId(body: unknown): string {
  const id = isObject(body) ? body.order_id : undefined;
  if (typeof id !== "string" || !/^[A-Z0-9]{8,32}$/.test(id)) throw bad("INVALID_ORDER_ID", "order_id is not a PayPal order id");
  return id;
}
