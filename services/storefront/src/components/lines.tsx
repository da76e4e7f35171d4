"use client";
import { find } from "@/lib/catalogue";
import { write, type Entry } from "@/lib/cart";
import { format, lineTotal, sumOmr, type Line } from "@/lib/money";
import type { Locale, Texts } from "@/lib/texts";

export function priced(entries: Entry[], locale: Locale): Line[] {
  return entries.flatMap((entry) => {
    const product = find(entry.sku);
    if (!product) return [];
    const line_total_omr = lineTotal(product.price_omr, entry.quantity);
    return [{ sku: entry.sku, name: product.name[locale], quantity: entry.quantity, unit_price_omr: product.price_omr, line_total_omr }];
  });
}

export function Lines({ entries, locale, texts, fixed }: { entries: Entry[]; locale: Locale; texts: Texts; fixed?: boolean }) {
  const lines = priced(entries, locale);
  return (
    <table>
      <tbody>
        {lines.map((line) => (
          <tr key={line.sku} data-testid={`line-${line.sku}`}>
            <td>{line.name}</td>
            <td>× {line.quantity}</td>
            <td className="amount">{format(line.line_total_omr, "OMR", locale)}</td>
            {fixed ? null : (
              <td>
                <button type="button" className="plain" onClick={() => write(entries.filter((entry) => entry.sku !== line.sku))}>
                  {texts.remove}
                </button>
              </td>
            )}
          </tr>
        ))}
        <tr>
          <th colSpan={2}>{texts.total}</th>
          <th className="amount" data-testid="order-total">
            {format(sumOmr(lines), "OMR", locale)}
          </th>
          {fixed ? null : <th />}
        </tr>
      </tbody>
    </table>
  );
}
