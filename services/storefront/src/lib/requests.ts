/** Measures every request of the server by Node's own diagnostics channel; nothing of Next.js is patched. */
import { subscribe } from "node:diagnostics_channel";
import type { IncomingMessage, ServerResponse } from "node:http";
import { metrics } from "./metrics.ts";

const API = new Set(["health", "version", "metrics", "payments/paypal/create-order", "payments/paypal/capture-order", "payments/paypal/webhook"]);
const PAGES = new Set(["", "cart", "checkout", "success", "cancel", "error"]);
const METHODS = new Set(["GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"]);

/** The route of a path: a small set, whatever clients ask for. */
export function route(url: string): string {
  const path = url.replace(/[?#].*$/, "").replace(/(.)\/+$/, "$1");
  if (path.startsWith("/_next/")) return "/_next";
  if (path === "/") return "/";
  if (path.startsWith("/api/") && API.has(path.slice(5))) return path;
  const page = /^\/(?:en|ar)(?:\/(.*))?$/.exec(path);
  if (page && PAGES.has(page[1] ?? "")) return page[1] ? `/[locale]/${page[1]}` : "/[locale]";
  return "other";
}

const holder = globalThis as unknown as { tillRequestsMeasured?: boolean };

export function measure(): void {
  if (holder.tillRequestsMeasured) return;
  holder.tillRequestsMeasured = true;
  subscribe("http.server.request.start", (message) => {
    const { request, response } = message as { request: IncomingMessage; response: ServerResponse };
    const began = performance.now();
    // Next.js rewrites request.url on the way: the client's own is read now.
    const labels = { method: METHODS.has(request.method ?? "") ? request.method! : "other", route: route(request.url ?? "") };
    response.once("close", () => {
      const status = response.writableFinished ? String(response.statusCode) : "aborted";
      metrics.requests.observe({ ...labels, status }, (performance.now() - began) / 1000);
    });
  });
}
