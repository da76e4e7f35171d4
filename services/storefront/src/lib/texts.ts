/** Every sentence of the shop, in both languages. */
export const LOCALES = ["en", "ar"] as const;
export type Locale = (typeof LOCALES)[number];

export function isLocale(value: string): value is Locale {
  return (LOCALES as readonly string[]).includes(value);
}

const en = {
  shop: "Souq",
  about: "Dates, frankincense and handicraft from Oman.",
  skip: "Skip to the content",
  cart: "Cart",
  checkout: "Checkout",
  add: "Add to cart",
  added: "Added",
  empty: "Your cart is empty.",
  product: "Product",
  quantity: "Quantity",
  amount: "Amount",
  remove: "Remove",
  total: "Total",
  toCheckout: "Go to checkout",
  name: "Name",
  email: "E-mail",
  pay: "Pay with PayPal",
  paying: "Opening PayPal…",
  confirming: "Confirming your payment…",
  thanks: "Thank you. Your order is paid.",
  orderNumber: "Order number",
  transaction: "Transaction",
  charged: "Charged by PayPal",
  date: "Date",
  cancelled: "The payment was cancelled. Your cart is as it was.",
  backToCart: "Back to cart",
  backToShop: "Back to the shop",
  failed: "The payment did not go through.",
  unconfirmed: "Your payment is not confirmed yet.",
  tryAgain: "Try again",
  paidWith: "PayPal charges you in another currency; amount and rate are kept with your order.",
  declined: "PayPal declined the payment. Please choose another way to pay.",
  unavailable: "The payment can't be made at the moment. You are charged once at most; please try again.",
  notApproved: "The payment was not approved.",
  expired: "This payment has expired. Please pay again.",
  pending: "PayPal is still checking this payment. Your order follows when it is through.",
  unknownOrder: "This payment is not known here.",
  invalid: "Please check what you entered.",
  tooMuch: "The order is larger than can be paid at once.",
  network: "The connection was lost. Please try again.",
  busy: "One moment, please try again.",
  notFound: "This page does not exist.",
  noScript: "The cart and the payment need JavaScript.",
  language: "العربية",
};

const ar: typeof en = {
  shop: "سوق",
  about: "تمور ولبان وحرف يدوية من عُمان.",
  skip: "انتقل إلى المحتوى",
  cart: "السلة",
  checkout: "إتمام الشراء",
  add: "أضف إلى السلة",
  added: "أضيف",
  empty: "سلتك فارغة.",
  product: "المنتج",
  quantity: "الكمية",
  amount: "المبلغ",
  remove: "إزالة",
  total: "المجموع",
  toCheckout: "إتمام الشراء",
  name: "الاسم",
  email: "البريد الإلكتروني",
  pay: "ادفع عبر باي بال",
  paying: "جارٍ فتح باي بال…",
  confirming: "جارٍ تأكيد الدفع…",
  thanks: "شكرًا لك. تم دفع طلبك.",
  orderNumber: "رقم الطلب",
  transaction: "رقم العملية",
  charged: "المبلغ المخصوم عبر باي بال",
  date: "التاريخ",
  cancelled: "أُلغي الدفع. سلتك كما كانت.",
  backToCart: "العودة إلى السلة",
  backToShop: "العودة إلى المتجر",
  failed: "لم تتم عملية الدفع.",
  unconfirmed: "لم يتم تأكيد الدفع بعد.",
  tryAgain: "حاول مرة أخرى",
  paidWith: "يخصم باي بال المبلغ بعملة أخرى، ويُحفظ المبلغ وسعر الصرف مع طلبك.",
  declined: "رفض باي بال عملية الدفع. يرجى اختيار وسيلة دفع أخرى.",
  unavailable: "تعذر إتمام الدفع حاليًا. لن يُخصم المبلغ أكثر من مرة، يرجى المحاولة مرة أخرى.",
  notApproved: "لم تتم الموافقة على الدفع.",
  expired: "انتهت صلاحية عملية الدفع. يرجى الدفع من جديد.",
  pending: "لا يزال باي بال يراجع عملية الدفع. سيصلك الطلب بعد اكتمالها.",
  unknownOrder: "عملية الدفع هذه غير معروفة هنا.",
  invalid: "يرجى التحقق مما أدخلته.",
  tooMuch: "الطلب أكبر مما يمكن دفعه مرة واحدة.",
  network: "انقطع الاتصال. يرجى المحاولة مرة أخرى.",
  busy: "لحظة من فضلك، حاول مرة أخرى.",
  notFound: "هذه الصفحة غير موجودة.",
  noScript: "تتطلب السلة والدفع تفعيل جافاسكربت.",
  language: "English",
};

export const TEXTS: Record<Locale, typeof en> = { en, ar };
export type Texts = typeof en;

const BY_CODE: Record<string, keyof Texts> = {
  ORDER_NOT_APPROVED: "notApproved",
  ORDER_EXPIRED: "expired",
  CAPTURE_PENDING: "pending",
  UNKNOWN_ORDER: "unknownOrder",
  INVALID_ORDER_ID: "unknownOrder",
  AMOUNT_TOO_LARGE: "tooMuch",
  TOO_MANY_ITEMS: "tooMuch",
  UNKNOWN_SKU: "invalid",
  RATE_LIMITED: "busy",
  NETWORK: "network",
};
const OURS = new Set(["STORE_UNAVAILABLE", "PAYPAL_UNAVAILABLE", "PAYPAL_BUSY", "INTERNAL", "UNKNOWN", "AMOUNT_MISMATCH", "CROSS_SITE", "IDEMPOTENCY_KEY_REUSED"]);

/** The sentence for an error code of the API. What is neither ours nor the buyer's is PayPal's reason to decline. */
export function errorText(texts: Texts, code: string): string {
  const known = BY_CODE[code];
  if (known) return texts[known];
  if (code.startsWith("INVALID")) return texts.invalid;
  if (code === "" || OURS.has(code)) return texts.unavailable;
  return texts.declined;
}
