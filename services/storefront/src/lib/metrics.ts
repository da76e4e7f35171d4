/** Prometheus metrics. One registry per process, also when modules are loaded twice. */
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from "prom-client";
import { config } from "./config.ts";

function make() {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const info = new Gauge({ name: "till_release_info", help: "The release that runs.", labelNames: ["release"], registers });
  info.set({ release: config.release }, 1);
  return {
    registry,
    /** outcome: success, declined, refused (the client's fault), error (ours or PayPal's). */
    payments: new Counter({ name: "till_payments_total", help: "Payment calls by step and outcome.", labelNames: ["step", "outcome"], registers }),
    duration: new Histogram({
      name: "till_payment_duration_seconds",
      help: "Time of payment calls.",
      labelNames: ["step"],
      buckets: [0.05, 0.1, 0.25, 0.5, 0.75, 1, 2, 5, 10],
      registers,
    }),
    retries: new Counter({ name: "till_paypal_retries_total", help: "Repeated calls to PayPal by reason.", labelNames: ["reason"], registers }),
    storeRetries: new Counter({ name: "till_store_retries_total", help: "Repeated calls to the order store by reason.", labelNames: ["reason"], registers }),
    errors: new Counter({ name: "till_payment_errors_total", help: "Failed payment calls by code.", labelNames: ["step", "code"], registers }),
    amount: new Histogram({ name: "till_payment_amount_omr", help: "Amounts of captured payments in OMR.", buckets: [1, 5, 10, 25, 50, 100, 500, 1000, 5000], registers }),
    requests: new Histogram({
      name: "till_http_request_duration_seconds",
      help: "Requests by method, route and status.",
      labelNames: ["method", "route", "status"],
      buckets: [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 5, 10],
      registers,
    }),
  };
}

const holder = globalThis as unknown as { tillMetrics?: ReturnType<typeof make> };
export const metrics = (holder.tillMetrics ??= make());
