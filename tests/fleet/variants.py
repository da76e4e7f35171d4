"""Releases of the storefront with a fault of their own, made from the one that is built: no second build."""

from __future__ import annotations

import time
from pathlib import Path

from tests.fleet.conftest import STACK, till
from till.paths import release_dir

BUILT = "v1.0.0-paypal"
DESCRIPTOR = """name: storefront-variant
runtime: nodejs-22
build: ["mkdir artefact", "tar -xzf built.tar.gz -C artefact", "cp fault.cjs artefact/"]
artefact: artefact
start: node --require ./fault.cjs start.js
health_path: /api/health
version_path: /api/version
metrics_path: /api/metrics
probe_paths: [/ar]
"""
# Every request of the server passes here, whatever serves it; `checks`: those that only Till and the edge ask.
FAULT = """const http = require("node:http");
const checks = new Set(["/api/health", "/api/version", "/api/metrics"]);
const emit = http.Server.prototype.emit;
const kept = [];
http.Server.prototype.emit = function (name, request, response) {
  if (name !== "request") return emit.apply(this, arguments);
  const path = request.url.replace(/[?#].*$/, ""), pass = () => emit.apply(this, arguments);
  const fail = (status) => { response.statusCode = status; response.end("broken on purpose"); return true; };
  %s
  return pass();
};
%s
"""
NOTHING = ""


def variant(folder: Path, within: str, besides: str = NOTHING, descriptor: str = NOTHING) -> str:
    """Build a release with JavaScript that runs in each request (`within`), and once (`besides`); its version.

    `descriptor`: further lines of its app.yml.
    """
    version = f"v1.3.{time.time_ns() % 10**9}-variant"
    source = folder / version
    source.mkdir(parents=True)
    (source / "app.yml").write_text(DESCRIPTOR + descriptor)
    (source / "fault.cjs").write_text(FAULT % (within, besides))
    (source / "built.tar.gz").write_bytes((release_dir(STACK, BUILT) / "artefact.tar.gz").read_bytes())
    code, told, messages = till("release", "build", STACK, "--version", version, "--source", str(source))
    assert code == 0, (told, messages[-2000:])
    return version
