/**
 * The order store. A failed call is a DirectusError; a store that can't answer for the moment is `away`. A call waits
 * for one that is away until its deadline: the leading database moves to another host within seconds.
 */
import { config } from "./config.ts";
import { metrics } from "./metrics.ts";

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 500;

export type Row = Record<string, unknown> & { id: string };

export class DirectusError extends Error {
  readonly code: string;
  readonly where: string;
  readonly away: boolean;

  constructor(code: string, where = "", away = false) {
    super(`directus: ${code}${where ? ` at ${where}` : ""}`);
    this.code = code;
    this.where = where;
    this.away = away;
  }
}

export function isTaken(error: unknown): boolean {
  return error instanceof DirectusError && error.code === "RECORD_NOT_UNIQUE";
}

type Answer<T> = { data?: T; errors?: { extensions?: { code?: string } }[] };

/**
 * Every call may be repeated, also one that may have been done: rows are made with a key that is unique (attempts: the
 * idempotency key, orders: PayPal's transaction), so that a second one is RECORD_NOT_UNIQUE, and a change sets values.
 */
async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  const deadline = performance.now() + config.directusDeadlineMs;
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
    try {
      return await once<T>(method, path, body, deadline - performance.now());
    } catch (error) {
      if (!(error instanceof DirectusError) || !error.away || performance.now() + pause >= deadline) throw error;
      metrics.storeRetries.inc({ reason: error.code });
      await new Promise((done) => setTimeout(done, pause));
    }
  }
}

async function once<T>(method: string, path: string, body: unknown, timeoutMs: number): Promise<T> {
  const where = `${method} ${path.replace(/\?.*/, "")}`;
  let answer: Response;
  let document: Answer<T>;
  try {
    answer = await fetch(`${config.directusUrl}${path}`, {
      method,
      headers: { Authorization: `Bearer ${config.directusToken}`, ...(body === undefined ? {} : { "Content-Type": "application/json" }) },
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      signal: AbortSignal.timeout(Math.max(1, Math.round(timeoutMs))),
    });
    document = (await answer.json()) as Answer<T>;
  } catch {
    // Refused, reset, too slow or cut off in the middle: what it did is unknown.
    throw new DirectusError("UNREACHABLE", where, true);
  }
  if (answer.ok && document.data !== undefined) return document.data;
  // Directus's messages repeat values, which may be personal: only its code is kept.
  const code = document.errors?.[0]?.extensions?.code ?? `HTTP_${answer.status}`;
  throw new DirectusError(code, where, answer.status >= 500 || answer.status === 429);
}

export function create(collection: string, row: Record<string, unknown>): Promise<Row> {
  return call("POST", `/items/${collection}`, row);
}

export function update(collection: string, id: string, change: Record<string, unknown>): Promise<Row> {
  return call("PATCH", `/items/${collection}/${id}`, change);
}

export async function findBy(collection: string, field: string, value: string): Promise<Row | undefined> {
  const rows = await call<Row[]>("GET", `/items/${collection}?filter[${field}][_eq]=${encodeURIComponent(value)}&limit=1`);
  return rows[0];
}

/** Whether Directus answers (ping) and whether its database does (health). */
export async function probe(path: "/server/ping" | "/server/health", timeoutMs: number): Promise<boolean> {
  const answer = await fetch(`${config.directusUrl}${path}`, { cache: "no-store", signal: AbortSignal.timeout(timeoutMs) });
  await answer.arrayBuffer();
  return answer.ok;
}
