import type { ReactNode } from "react";
import "./globals.css";

export default function Root({ children }: { children: ReactNode }) {
  return children;
}
