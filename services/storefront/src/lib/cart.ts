"use client";
/** The cart lives in the browser; it is emptied when an order is paid, and by nothing else. */
import { useEffect, useState } from "react";

export type Entry = { sku: string; quantity: number };
const KEY = "till-cart";
const CHANGED = "till-cart-changed";

export function read(): Entry[] {
  try {
    const entries: unknown = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(entries) ? (entries as Entry[]) : [];
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
  if (there) there.quantity = Math.min(99, there.quantity + 1);
  else entries.push({ sku, quantity: 1 });
  write(entries);
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
