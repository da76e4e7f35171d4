import type { NextConfig } from "next";

// Nothing of an environment is baked in: one build runs in lab, staging and production.
const config: NextConfig = {
  output: "standalone",
  outputFileTracingRoot: import.meta.dirname,
  poweredByHeader: false,
  compress: false,
  images: { unoptimized: true },
};

export default config;
