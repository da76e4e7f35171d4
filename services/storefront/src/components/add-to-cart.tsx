"use client";
import { useState } from "react";
import { add } from "@/lib/cart";

type Props = { sku: string; name: string; label: string; added: string };

export function AddToCart({ sku, name, label, added }: Props) {
  const [count, setCount] = useState(0);
  return (
    <>
      <button
        type="button"
        aria-label={`${label}: ${name}`}
        data-testid={`add-to-cart-${sku}`}
        onClick={() => {
          add(sku);
          setCount(count + 1);
        }}
      >
        {label}
      </button>
      <span className="soft" role="status">
        {count ? `${added} (${count})` : ""}
      </span>
    </>
  );
}
