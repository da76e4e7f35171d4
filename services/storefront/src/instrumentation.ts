/** Runs once when the server starts. */
export async function register(): Promise<void> {
  if (process.env.NEXT_RUNTIME !== "nodejs") return;
  const { measure } = await import("./lib/requests.ts");
  const { sentry } = await import("./lib/report.ts");
  measure();
  await sentry();
}

/** What pages and routes did not handle themselves. */
export async function onRequestError(error: unknown, request: { path: string; method: string }): Promise<void> {
  if (process.env.NEXT_RUNTIME !== "nodejs") return;
  const { log } = await import("./lib/log.ts");
  const { report } = await import("./lib/report.ts");
  const { route } = await import("./lib/requests.ts");
  const where = route(request.path);
  log("error", "request_failed", { method: request.method, route: where, error_type: error instanceof Error ? error.name : "unknown", stack: error instanceof Error ? error.stack : undefined });
  report(error, { tags: { type: "request", route: where } });
}
