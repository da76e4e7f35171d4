/** The Content-Security-Policy of a page. Analytics sources are there only when analytics is on. */
const ANALYTICS = ["https://www.googletagmanager.com", "https://*.google-analytics.com", "https://*.analytics.google.com"];

export function contentPolicy(nonce: string, analytics: boolean): string {
  const measured = analytics ? ` ${ANALYTICS.join(" ")}` : "";
  return [
    "default-src 'self'",
    // 'self' serves browsers that don't know 'strict-dynamic'.
    `script-src 'self' 'nonce-${nonce}' 'strict-dynamic'`,
    `style-src 'self' 'nonce-${nonce}'`,
    `img-src 'self' data:${measured}`,
    `connect-src 'self'${measured}`,
    "font-src 'self'",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
  ].join("; ");
}
