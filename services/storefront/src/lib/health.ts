/** Whether what a payment needs answers. Cached for a moment, since several sites ask every second. */
import { config } from "./config.ts";
import * as directus from "./directus.ts";
import * as paypal from "./paypal.ts";

const DEADLINE_MS = 1500;
const CACHED_MS = 800;

type Check = { ok: boolean; latency_ms: number };
export type Health = { status: "ok" | "degraded"; version: string; release: string; checks: Record<"database" | "directus" | "paypal", Check> };

async function timed(ask: () => Promise<boolean>): Promise<Check> {
  const began = performance.now();
  const ok = await ask().catch(() => false);
  return { ok, latency_ms: Math.round(performance.now() - began) };
}

async function ask(): Promise<{ http: number; health: Health }> {
  const [database, store, payment] = await Promise.all([
    timed(() => directus.probe("/server/health", DEADLINE_MS)),
    timed(() => directus.probe("/server/ping", DEADLINE_MS)),
    timed(() => paypal.reachable(DEADLINE_MS)),
  ]);
  // PayPal's absence is the same at every site: it degrades, but moving traffic would not help.
  const serving = database.ok && store.ok;
  return {
    http: serving ? 200 : 503,
    health: {
      status: serving && payment.ok ? "ok" : "degraded",
      version: config.version,
      release: config.release,
      checks: { database, directus: store, paypal: payment },
    },
  };
}

let cached: { at: number; answer: ReturnType<typeof ask> } | undefined;

export function health(): ReturnType<typeof ask> {
  if (!cached || Date.now() - cached.at > CACHED_MS) cached = { at: Date.now(), answer: ask() };
  return cached.answer;
}
