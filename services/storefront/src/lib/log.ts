/** One JSON line per event. Ids and amounts only: no names, e-mail addresses, card or token data. */
import { fstatSync } from "node:fs";
import { config } from "./config.ts";

const LEVELS = { debug: 10, info: 20, warn: 30, error: 40, critical: 50 } as const;
export type Level = keyof typeof LEVELS;

/** Priorities of sd-daemon(3): journald takes them off the line and keeps them as its own. */
const PRIORITIES: Record<Level, number> = { debug: 7, info: 6, warn: 4, error: 3, critical: 2 };

function isJournal(): boolean {
  const [device, inode] = (process.env.JOURNAL_STREAM ?? "").split(":");
  if (!device || !inode) return false;
  try {
    const stdout = fstatSync(1, { bigint: true });
    return String(stdout.dev) === device && String(stdout.ino) === inode;
  } catch {
    return false;
  }
}

const toJournal = isJournal();

export function log(level: Level, event: string, fields: Record<string, unknown> = {}): void {
  const lowest = LEVELS[config.logLevel as Level] ?? LEVELS.info;
  if (LEVELS[level] < lowest) return;
  const line = JSON.stringify({ at: new Date().toISOString(), level, event, release: config.release, ...fields });
  process.stdout.write(`${toJournal ? `<${PRIORITIES[level]}>` : ""}${line}\n`);
}
