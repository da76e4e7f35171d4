import { AddToCart } from "@/components/add-to-cart";
import { CATALOGUE } from "@/lib/catalogue";
import { format } from "@/lib/money";
import { TEXTS, type Locale } from "@/lib/texts";

export default async function Shop({ params }: { params: Promise<{ locale: Locale }> }) {
  const { locale } = await params;
  const texts = TEXTS[locale];
  return (
    <>
      <h1>{texts.shop}</h1>
      <p className="soft">{texts.about}</p>
      <ul className="grid">
        {CATALOGUE.map((product) => (
          <li className="card" key={product.sku}>
            <h2>{product.name[locale]}</h2>
            <span className="soft">{product.about[locale]}</span>
            <span className="price" data-testid={`price-${product.sku}`}>
              {format(product.price_omr, "OMR", locale)}
            </span>
            <AddToCart sku={product.sku} name={product.name[locale]} label={texts.add} added={texts.added} />
          </li>
        ))}
      </ul>
    </>
  );
}
