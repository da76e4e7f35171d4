/** What the shop sells. Prices are OMR as decimal texts. */
export type Product = { sku: string; name: { en: string; ar: string }; about: { en: string; ar: string }; price_omr: string };

export const CATALOGUE: readonly Product[] = [
  {
    sku: "dates-1kg",
    name: { en: "Khalas dates, 1 kg", ar: "تمر خلاص، ١ كجم" },
    about: { en: "This year's harvest.", ar: "من حصاد هذا العام." },
    price_omr: "4.115",
  },
  {
    sku: "frankincense-100g",
    name: { en: "Frankincense, 100 g", ar: "لبان، ١٠٠ جم" },
    about: { en: "Hojari, first grade.", ar: "لبان حوجري، درجة أولى." },
    price_omr: "7.250",
  },
  {
    sku: "khanjar-model",
    name: { en: "Khanjar, table model", ar: "مجسم خنجر" },
    about: { en: "Silver-plated, on a stand.", ar: "مطلي بالفضة على قاعدة." },
    price_omr: "38.900",
  },
];

export function find(sku: string): Product | undefined {
  return CATALOGUE.find((product) => product.sku === sku);
}
