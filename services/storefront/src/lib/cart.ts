"use client";
/** The cart lives in the browser; it is emptied when its order is paid, and by nothing else. */
import { useEffect, useState } from "react";
import { find } from "./catalogue.ts";

export type Entry = { sku: string; quantity: number };
export const LARGEST_QUANTITY = 99;
const KEY = "till-cart";
const CHANGED = "till-cart-changed";

/** What can be bought of what was kept: an older release may have sold other things. */
export function sound(kept: unknown): Entry[] {
  if (!Array.isArray(kept)) return [];
  const entries = new Map<string, number>();
  for (const entry of kept as Partial<Entry>[]) {
    if (typeof entry?.sku !== "string" || !find(entry.sku) || !Number.isInteger(entry.quantity)) continue;
    entries.set(entry.sku, Math.min(LARGEST_QUANTITY, Math.max(1, entry.quantity!)));
  }
  return [...entries].map(([sku, quantity]) => ({ sku, quantity }));
}

export function read(): Entry[] {
  try {
    return sound(JSON.parse(localStorage.getItem(KEY) ?? "[]"));
  } catch {
    return [];
  }
}

export function write(entries: Entry[]): void {
  localStorage.setItem(KEY, JSON.stringify(entries));
  dispatchEvent(new Event(CHANGED));
}

export function add(sku: string): void {
  const entries = read();
  const there = entries.find((entry) => entry.sku === sku);
  write(there ? setQuantity(entries, sku, there.quantity + 1) : [...entries, { sku, quantity: 1 }]);
}

export function setQuantity(entries: Entry[], sku: string, quantity: number): Entry[] {
  const allowed = Math.min(LARGEST_QUANTITY, Math.max(1, Math.trunc(quantity) || 1));
  return entries.map((entry) => (entry.sku === sku ? { sku, quantity: allowed } : entry));
}

/** The entries, or undefined before the browser was asked. */
export function useCart(): Entry[] | undefined {
  const [entries, set] = useState<Entry[]>();
  useEffect(() => {
    const refresh = () => set(read());
    refresh();
    addEventListener(CHANGED, refresh);
    addEventListener("storage", refresh);
    return () => {
      removeEventListener(CHANGED, refresh);
      removeEventListener("storage", refresh);
    };
  }, []);
  return entries;
}
