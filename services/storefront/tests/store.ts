/** A Directus-shaped store in memory, for the errors that the real one gives only with a broken database. */
import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export type Row = Record<string, unknown> & { id: string };
/** Answers one request in the store's place; undefined lets it through. "lost" does the work and then answers 500. */
export type Fault = (method: string, collection: string) => number | "lost" | undefined;

const UNIQUE: Record<string, string[]> = {
  customers: ["email"],
  orders: ["payment_intent_id", "paypal_order_id"],
  payment_attempts: ["idempotency_key", "paypal_order_id"],
};

class Taken extends Error {}

export class Store {
  rows: Record<string, Row[]> = { customers: [], orders: [], payment_attempts: [] };
  writes: string[] = [];
  fault: Fault = () => undefined;
  readonly server: Server = createServer((request, response) => void this.handle(request, response));

  async listen(): Promise<string> {
    await new Promise<void>((done) => this.server.listen(0, "127.0.0.1", done));
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.server.closeAllConnections();
    this.server.close();
  }

  private async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "", "http://store");
    const [, , collection = "", id = ""] = url.pathname.split("/");
    let raw = "";
    for await (const part of request) raw += part;
    const tell = (status: number, document: unknown) => response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(document));
    if (url.pathname.startsWith("/server/")) return void tell(200, { status: "ok" });
    const fault = this.fault(request.method ?? "", collection);
    if (typeof fault === "number") return void tell(fault, { errors: [{ extensions: { code: "INTERNAL_SERVER_ERROR" } }] });
    try {
      const data = this.work(request.method ?? "", collection, id, url.searchParams, raw ? (JSON.parse(raw) as Record<string, unknown>) : {});
      if (fault === "lost") tell(500, { errors: [{ extensions: { code: "INTERNAL_SERVER_ERROR" } }] });
      else tell(200, { data });
    } catch (error) {
      if (!(error instanceof Taken)) throw error;
      tell(400, { errors: [{ extensions: { code: "RECORD_NOT_UNIQUE" } }] });
    }
  }

  private work(method: string, collection: string, id: string, query: URLSearchParams, body: Record<string, unknown>): unknown {
    if (method === "GET") {
      const [, field = ""] = /filter\[(\w+)\]/.exec([...query.keys()].join()) ?? [];
      return this.table(collection).filter((row) => row[field] === query.get(`filter[${field}][_eq]`));
    }
    this.writes.push(`${method} ${collection}`);
    if (method === "PATCH") return Object.assign(this.table(collection).find((row) => row.id === id)!, body);
    if (typeof body.customer_id !== "object") return this.insert(collection, body);
    // One transaction: the customer stays only when the order does.
    const customer = this.insert("customers", body.customer_id as Record<string, unknown>);
    try {
      return this.insert(collection, { ...body, customer_id: customer.id });
    } catch (error) {
      this.rows.customers = this.table("customers").filter((row) => row.id !== customer.id);
      throw error;
    }
  }

  private insert(collection: string, body: Record<string, unknown>): Row {
    const taken = (UNIQUE[collection] ?? []).some((field) => body[field] !== undefined && this.table(collection).some((row) => row[field] === body[field]));
    if (taken) throw new Taken();
    const row = { created_at: new Date().toISOString(), ...body, id: randomUUID() };
    this.table(collection).push(row);
    return row;
  }

  table(collection: string): Row[] {
    return this.rows[collection]!;
  }
}
