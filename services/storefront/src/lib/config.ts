/** What the environment says. Read at run time by computed name, so that no build bakes it in. */

function text(name: string, fallback = ""): string {
  return process.env[name] || fallback;
}

export const config = {
  get release() {
    return text("APP_VERSION", "v0.0.0-dev");
  },
  /** The release without the leading v and its suffix: v1.0.0-paypal is version 1.0.0. */
  get version() {
    return this.release.replace(/^v/, "").replace(/-.*$/, "");
  },
  get siteUrl() {
    return text("NEXT_PUBLIC_SITE_URL", "http://localhost:3000").replace(/\/$/, "");
  },
  get directusUrl() {
    return text("DIRECTUS_INTERNAL_URL", text("NEXT_PUBLIC_DIRECTUS_URL", "http://127.0.0.1:8055")).replace(/\/$/, "");
  },
  get directusToken() {
    return text("DIRECTUS_API_TOKEN");
  },
  /** Longest time for one call to the order store, with its repetitions. */
  get directusDeadlineMs() {
    return Number(text("DIRECTUS_DEADLINE_MS", "8000"));
  },
  get paypalUrl() {
    const byMode = text("PAYPAL_MODE") === "live" ? "https://api-m.paypal.com" : "https://api-m.sandbox.paypal.com";
    return text("PAYPAL_API_URL", byMode).replace(/\/$/, "");
  },
  get paypalClientId() {
    return text("NEXT_PUBLIC_PAYPAL_CLIENT_ID");
  },
  get paypalClientSecret() {
    return text("PAYPAL_CLIENT_SECRET");
  },
  get paypalWebhookId() {
    return text("PAYPAL_WEBHOOK_ID");
  },
  get settlementCurrency() {
    return text("SETTLEMENT_CURRENCY", "USD");
  },
  get ratePerOmr() {
    return text("SETTLEMENT_RATE_PER_OMR", "2.600000");
  },
  get logLevel() {
    return text("LOG_LEVEL", "info").toLowerCase();
  },
  get sentryDsn() {
    return text("SENTRY_DSN");
  },
  get sentryEnvironment() {
    return text("SENTRY_ENVIRONMENT", "production");
  },
  get analyticsId() {
    return text("NEXT_PUBLIC_GA_ID");
  },
};
