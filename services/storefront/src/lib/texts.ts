/** Every sentence of the shop, in both languages. */
export const LOCALES = ["en", "ar"] as const;
export type Locale = (typeof LOCALES)[number];

export function isLocale(value: string): value is Locale {
  return (LOCALES as readonly string[]).includes(value);
}

const en = {
  shop: "Souq", cart: "Cart", checkout: "Checkout", add: "Add to cart", added: "Added", empty: "Your cart is empty.",
  quantity: "Quantity", remove: "Remove", total: "Total", toCart: "Go to cart", toCheckout: "Go to checkout", name: "Name", email: "E-mail",
  pay: "Pay with PayPal", paying: "Opening PayPal…", confirming: "Confirming your payment…", thanks: "Thank you. Your order is paid.",
  orderNumber: "Order number", transaction: "Transaction", cancelled: "The payment was cancelled. Your cart is as it was.", backToCart: "Back to cart",
  backToShop: "Back to the shop", failed: "The payment did not go through.", tryAgain: "Try again", paidWith: "You pay through PayPal in another currency; the rate is on the order.",
  declined: "PayPal declined the payment. Please choose another way to pay.", unavailable: "PayPal can't be reached at the moment. You were not charged twice; please try again.",
  notApproved: "The payment was not approved.", invalid: "Please check what you entered.", network: "The connection was lost. Please try again.", busy: "One moment, please try again.", language: "العربية",
};

const ar: typeof en = {
  shop: "سوق", cart: "السلة", checkout: "إتمام الشراء", add: "أضف إلى السلة", added: "أضيف", empty: "سلتك فارغة.",
  quantity: "الكمية", remove: "إزالة", total: "المجموع", toCart: "إلى السلة", toCheckout: "إتمام الشراء", name: "الاسم", email: "البريد الإلكتروني",
  pay: "ادفع عبر باي بال", paying: "جارٍ فتح باي بال…", confirming: "جارٍ تأكيد الدفع…", thanks: "شكرًا لك. تم دفع طلبك.",
  orderNumber: "رقم الطلب", transaction: "رقم العملية", cancelled: "أُلغي الدفع. سلتك كما كانت.", backToCart: "العودة إلى السلة",
  backToShop: "العودة إلى المتجر", failed: "لم تتم عملية الدفع.", tryAgain: "حاول مرة أخرى", paidWith: "يتم الدفع عبر باي بال بعملة أخرى، والسعر مذكور في الطلب.",
  declined: "رفض باي بال عملية الدفع. يرجى اختيار وسيلة دفع أخرى.", unavailable: "تعذر الوصول إلى باي بال حاليًا. لم يُخصم منك مرتين، يرجى المحاولة مرة أخرى.",
  notApproved: "لم تتم الموافقة على الدفع.", invalid: "يرجى التحقق مما أدخلته.", network: "انقطع الاتصال. يرجى المحاولة مرة أخرى.", busy: "لحظة من فضلك، حاول مرة أخرى.", language: "English",
};

export const TEXTS: Record<Locale, typeof en> = { en, ar };
export type Texts = typeof en;

/** The sentence for an error code of the API. */
export function errorText(texts: Texts, code: string): string {
  if (code === "INSTRUMENT_DECLINED") return texts.declined;
  if (code === "ORDER_NOT_APPROVED") return texts.notApproved;
  if (code.startsWith("INVALID") || code === "AMOUNT_TOO_LARGE") return texts.invalid;
  if (code === "RATE_LIMITED") return texts.busy;
  if (code === "NETWORK") return texts.network;
  return texts.unavailable;
}
