/** The order store. A failed call is a DirectusError; a store that can't be reached is `away`. */
import { config } from "./config.ts";

const TIMEOUT_MS = 8000;

export type Row = Record<string, unknown> & { id: string };

export class DirectusError extends Error {
  readonly code: string;
  readonly field: string;
  readonly away: boolean;

  constructor(code: string, field = "", away = false) {
    super(`directus: ${code}${field ? ` ${field}` : ""}`);
    this.code = code;
    this.field = field;
    this.away = away;
  }
}

async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  let answer: Response;
  try {
    answer = await fetch(`${config.directusUrl}${path}`, {
      method,
      headers: { Authorization: `Bearer ${config.directusToken}`, ...(body === undefined ? {} : { "Content-Type": "application/json" }) },
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch {
    throw new DirectusError("UNREACHABLE", "", true);
  }
  const document = (await answer.json().catch(() => ({}))) as {
    data?: T;
    errors?: { extensions?: { code?: string; field?: string; collection?: string } }[];
  };
  if (answer.ok) return document.data as T;
  const extensions = document.errors?.[0]?.extensions;
  throw new DirectusError(extensions?.code ?? `HTTP_${answer.status}`, extensions?.field ?? "", answer.status >= 500);
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
