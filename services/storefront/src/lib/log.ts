/** One JSON line per event. Ids and amounts only: no names, e-mail addresses, card or token data. */
import { config } from "./config.ts";

const LEVELS = { debug: 10, info: 20, warn: 30, error: 40, critical: 50 } as const;
export type Level = keyof typeof LEVELS;

export function log(level: Level, event: string, fields: Record<string, unknown> = {}): void {
  const lowest = LEVELS[config.logLevel as Level] ?? LEVELS.info;
  if (LEVELS[level] < lowest) return;
  process.stdout.write(`${JSON.stringify({ at: new Date().toISOString(), level, event, ...fields })}\n`);
}
