"use client";
import { useState } from "react";
import { add } from "@/lib/cart";

export function AddToCart({ sku, label, added }: { sku: string; label: string; added: string }) {
  const [count, setCount] = useState(0);
  return (
    <button
      type="button"
      data-testid={`add-to-cart-${sku}`}
      onClick={() => {
        add(sku);
        setCount(count + 1);
      }}
    >
      {count ? `${added} (${count})` : label}
    </button>
  );
}
