// What is asked of every slot each second, answered before Next.js: there a few bytes take 6 ms of a core.
const http = require("node:http");

const METHODS = new Set(["GET", "HEAD"]);
const CHECKS = {
  "/api/version": async () => ["application/json", JSON.stringify({ version: process.env.APP_VERSION || "v0.0.0-dev" })],
  "/api/metrics": async () => {
    // The one registry of the process (src/lib/metrics.ts), once the server has begun.
    const { registry } = globalThis.tillMetrics;
    return [registry.contentType, await registry.metrics()];
  },
};

function answer(check, response) {
  check().then(
    ([type, body]) => response.writeHead(200, { "Content-Type": type, "Cache-Control": "no-store" }).end(body),
    () => response.writeHead(503, { "Cache-Control": "no-store" }).end(),
  );
}

/** Servers that are made from now on answer the checks themselves; all else goes on to their listener. */
exports.answerChecks = function answerChecks() {
  const { createServer } = http;
  http.createServer = (...settings) => {
    const listener = settings.pop();
    return createServer(...settings, (request, response) => {
      const path = request.url.replace(/\?.*$/, "");
      const check = METHODS.has(request.method) && Object.hasOwn(CHECKS, path) ? CHECKS[path] : undefined;
      return check ? answer(check, response) : listener(request, response);
    });
  };
};
