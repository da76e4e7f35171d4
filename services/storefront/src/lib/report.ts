/**
 * Errors to Sentry, when a DSN is set at run time; else nothing is loaded and nothing is sent.
 * Built on Sentry's core, as its Next.js and Node packages collect requests, local variables and breadcrumbs by default:
 * what is not collected can't hold personal data.
 */
import type { ServerRuntimeClient } from "@sentry/core/server";
import { config } from "./config.ts";

const TRACES_SAMPLE_RATE = 0.1;
const IGNORED = ["ResizeObserver loop limit exceeded", "Non-Error promise rejection"];
const EMAIL = /[^\s@"'<>]+@[^\s@"'<>]+\.[^\s@"'<>]+/g;

type Context = { tags?: Record<string, string>; extra?: Record<string, unknown> };
type Core = typeof import("@sentry/core");
type Client = { core: Core; client: ServerRuntimeClient };

/** Without e-mail addresses, whatever text they came in. */
export function scrubbed<T>(value: T): T {
  return JSON.parse(JSON.stringify(value).replace(EMAIL, "[e-mail]")) as T;
}

async function make(): Promise<Client | undefined> {
  if (!config.sentryDsn) return undefined;
  const core = await import("@sentry/core");
  const server = await import("@sentry/core/server");
  const client = new server.ServerRuntimeClient({
    dsn: config.sentryDsn,
    environment: config.sentryEnvironment,
    release: config.release,
    tracesSampleRate: TRACES_SAMPLE_RATE,
    // Whole transactions, which servers of every age take.
    traceLifecycle: "static",
    sendDefaultPii: false,
    platform: "node",
    runtime: { name: "node", version: process.version },
    ignoreErrors: IGNORED,
    integrations: [core.eventFiltersIntegration(), core.linkedErrorsIntegration(), core.dedupeIntegration()],
    stackParser: core.createStackParser(server.nodeStackLineParser()),
    transport: (options) =>
      core.createTransport(options, async (request) => {
        const answer = await fetch(options.url, {
          method: "POST",
          body: request.body as BodyInit,
          headers: options.headers,
          cache: "no-store",
          signal: AbortSignal.timeout(5000),
        });
        await answer.arrayBuffer();
        return {
          statusCode: answer.status,
          headers: { "x-sentry-rate-limits": answer.headers.get("x-sentry-rate-limits"), "retry-after": answer.headers.get("retry-after") },
        };
      }),
    beforeSend: (event) => (event.level === "info" ? null : scrubbed(event)),
  });
  core.getCurrentScope().setClient(client);
  client.init();
  return { core, client };
}

const holder = globalThis as unknown as { tillSentry?: Promise<Client | undefined> };

/** The client, made at the first call. A bad DSN is told in the log and reports nothing. */
export function sentry(): Promise<Client | undefined> {
  return (holder.tillSentry ??= make().catch(() => undefined));
}

export function report(error: unknown, context: Context): void {
  void sentry().then((made) =>
    made?.core.withScope((scope) => {
      scope.setTags({ payment_method: "paypal", ...context.tags });
      scope.setExtras(context.extra ?? {});
      made.core.captureException(error);
    }),
  );
}

/** One sampled transaction: what was done, for how long, and whether it went well. */
export function trace(name: string, beganMs: number, endedMs: number, ok: boolean): void {
  void sentry().then((made) =>
    // A trace of its own: the sample is drawn once a trace, and a server's default trace never ends.
    made?.core.startNewTrace(() => {
      const span = made.core.startInactiveSpan({ name, op: "http.server", forceTransaction: true, startTime: beganMs / 1000 });
      span.setStatus({ code: ok ? 1 : 2 });
      span.end(endedMs / 1000);
    }),
  );
}
