/** Whether what a payment needs answers. Cached for a moment, since several ask at once. */
import { config } from "./config.ts";
import * as directus from "./directus.ts";
import * as paypal from "./paypal.ts";

const DEADLINE_MS = 1000;
/** The edge keeps a good answer for up to a second besides. */
const CACHED_MS = 500;
/** A store that has not told of its database by then is asked whether it is there at all. */
const PATIENCE_MS = 250;
/** PayPal is asked less often: it is not ours, and its answer moves no traffic. */
const PAYPAL_CACHED_MS = 5000;

type Check = { ok: boolean; latency_ms: number };
export type Health = { status: "ok" | "degraded"; version: string; release: string; checks: Record<"database" | "directus" | "paypal", Check> };
type Answer = { http: number; health: Health };

async function timed(ask: () => Promise<boolean>): Promise<Check> {
  const began = performance.now();
  const ok = await ask().catch(() => false);
  return { ok, latency_ms: Math.round(performance.now() - began) };
}

let ofPayPal: { at: number; last?: Check; asked: Promise<Check> } | undefined;

/** PayPal's last answer; a slow PayPal never makes the health check itself slow, but for the first one. */
function payPal(): Promise<Check> | Check {
  if (!ofPayPal || performance.now() - ofPayPal.at > PAYPAL_CACHED_MS) {
    const asking = { at: performance.now(), last: ofPayPal?.last, asked: timed(() => paypal.reachable(DEADLINE_MS)) };
    void asking.asked.then((check) => (asking.last = check));
    ofPayPal = asking;
  }
  return ofPayPal.last ?? ofPayPal.asked;
}

/** The database, and Directus before it. One question tells both: who answers that its database is away is there. */
async function stores(): Promise<[Check, Check]> {
  let answered = false;
  const database = timed(async () => {
    const ok = await directus.probe("/server/health", DEADLINE_MS);
    answered = true;
    return ok;
  });
  let patience: NodeJS.Timeout | undefined;
  await Promise.race([database, new Promise((over) => (patience = setTimeout(over, PATIENCE_MS)))]);
  clearTimeout(patience);
  if (answered) {
    const told = await database;
    return [told, { ok: true, latency_ms: told.latency_ms }];
  }
  return Promise.all([database, timed(() => directus.probe("/server/ping", DEADLINE_MS - PATIENCE_MS))]);
}

async function ask(): Promise<Answer> {
  const [[database, store], payment] = await Promise.all([stores(), payPal()]);
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

let cached: { at: number; answer: Promise<Answer> } | undefined;

export function health(): Promise<Answer> {
  if (!cached || performance.now() - cached.at > CACHED_MS) cached = { at: performance.now(), answer: ask() };
  return cached.answer;
}
