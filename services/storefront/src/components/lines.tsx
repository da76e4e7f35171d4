"use client";
import { LARGEST_QUANTITY, setQuantity, write, type Entry } from "@/lib/cart";
import { find } from "@/lib/catalogue";
import { format, lineTotal, sumOmr, type Line } from "@/lib/money";
import type { Locale, Texts } from "@/lib/texts";

function priced(entries: Entry[], locale: Locale): Line[] {
  return entries.flatMap(({ sku, quantity }) => {
    const product = find(sku);
    if (!product) return [];
    return [{ sku, name: product.name[locale], quantity, unit_price_omr: product.price_omr, line_total_omr: lineTotal(product.price_omr, quantity) }];
  });
}

type Props = { entries: Entry[]; locale: Locale; texts: Texts; fixed?: boolean };

/** The lines of a cart and their total; `fixed` when nothing can be changed any more. */
export function Lines({ entries, locale, texts, fixed }: Props) {
  const lines = priced(entries, locale);
  return (
    <table>
      <thead>
        <tr>
          <th scope="col">{texts.product}</th>
          <th scope="col">{texts.quantity}</th>
          <th scope="col" className="amount">
            {texts.amount}
          </th>
          {fixed ? null : <td />}
        </tr>
      </thead>
      <tbody>
        {lines.map((line) => (
          <tr key={line.sku} data-testid={`line-${line.sku}`}>
            <th scope="row">{line.name}</th>
            <td>{fixed ? <Count line={line} locale={locale} /> : <Quantity line={line} entries={entries} texts={texts} />}</td>
            <td className="amount">{format(line.line_total_omr, "OMR", locale)}</td>
            {fixed ? null : (
              <td>
                <button
                  type="button"
                  className="plain"
                  aria-label={`${texts.remove}: ${line.name}`}
                  data-testid={`remove-${line.sku}`}
                  onClick={() => write(entries.filter((entry) => entry.sku !== line.sku))}
                >
                  {texts.remove}
                </button>
              </td>
            )}
          </tr>
        ))}
      </tbody>
      <tfoot>
        <tr>
          <th scope="row" colSpan={2}>
            {texts.total}
          </th>
          <td className="amount total" data-testid="order-total">
            {format(sumOmr(lines), "OMR", locale)}
          </td>
          {fixed ? null : <td />}
        </tr>
      </tfoot>
    </table>
  );
}

function Count({ line, locale }: { line: Line; locale: Locale }) {
  return <>{new Intl.NumberFormat(locale === "ar" ? "ar-OM" : "en-OM").format(line.quantity)}</>;
}

function Quantity({ line, entries, texts }: { line: Line; entries: Entry[]; texts: Texts }) {
  return (
    <input
      type="number"
      min={1}
      max={LARGEST_QUANTITY}
      className="quantity"
      aria-label={`${texts.quantity}: ${line.name}`}
      data-testid={`quantity-${line.sku}`}
      value={line.quantity}
      onChange={(event) => write(setQuantity(entries, line.sku, event.target.valueAsNumber))}
    />
  );
}
