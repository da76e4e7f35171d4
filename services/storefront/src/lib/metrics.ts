/** Prometheus metrics of the payments. One registry per process, also when modules are loaded twice. */
import { Counter, Histogram, Registry, collectDefaultMetrics } from "prom-client";

function make() {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  return {
    registry,
    payments: new Counter({ name: "till_payments_total", help: "Payment calls by step and outcome.", labelNames: ["step", "outcome"], registers }),
    duration: new Histogram({
      name: "till_payment_duration_seconds",
      help: "Time of payment calls.",
      labelNames: ["step"],
      buckets: [0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10],
      registers,
    }),
    retries: new Counter({ name: "till_paypal_retries_total", help: "Repeated calls to PayPal.", registers }),
    errors: new Counter({ name: "till_payment_errors_total", help: "Errors by code.", labelNames: ["code"], registers }),
    amount: new Histogram({ name: "till_payment_amount_omr", help: "Amounts of captured payments in OMR.", buckets: [1, 5, 10, 25, 50, 100, 500, 1000], registers }),
  };
}

const holder = globalThis as unknown as { tillMetrics?: ReturnType<typeof make> };
export const metrics = (holder.tillMetrics ??= make());
