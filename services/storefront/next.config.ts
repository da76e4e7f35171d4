import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { NextConfig } from "next";

/** Names what was built: pages of one release that meet a server of another reload instead of breaking. */
function sourceId(): string {
  const digest = createHash("sha256");
  const names = readdirSync(join(import.meta.dirname, "src"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  for (const name of [...names.sort(), join(import.meta.dirname, "package-lock.json")]) digest.update(readFileSync(name));
  return digest.digest("hex").slice(0, 16);
}

const id = sourceId();

// Nothing of an environment is baked in: one build runs in lab, staging and production.
const config: NextConfig = {
  output: "standalone",
  outputFileTracingRoot: import.meta.dirname,
  // No pictures are scaled, so the scaler and its libraries stay out of the artefact.
  outputFileTracingExcludes: { "*": ["node_modules/sharp/**", "node_modules/@img/**"] },
  deploymentId: id,
  generateBuildId: () => id,
  poweredByHeader: false,
  compress: false,
  images: { unoptimized: true },
};

export default config;
