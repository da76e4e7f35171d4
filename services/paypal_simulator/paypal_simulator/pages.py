"""The buyer's page: approve or cancel."""

from __future__ import annotations

from html import escape
from typing import Any

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>PayPal simulator</title>
<style>body{{font:16px/1.5 sans-serif;max-width:28rem;margin:4rem auto;padding:0 1rem}}button{{font:inherit;padding:.6rem 1.4rem;margin-right:.6rem}}</style>
</head><body><h1>PayPal simulator</h1>
<p>No money moves here. Pay <strong data-testid="amount">{amount}</strong>?</p>
<form method="post" action="/checkoutnow"><input type="hidden" name="token" value="{token}">
<button name="choice" value="approve" data-testid="approve">Approve</button>
<button name="choice" value="cancel" data-testid="cancel">Cancel</button></form>
</body></html>"""


def checkout(order: dict[str, Any]) -> str:
    """The page of an order."""
    amount = order["purchase_units"][0]["amount"]
    return PAGE.format(amount=escape(f"{amount['value']} {amount['currency_code']}"), token=escape(order["id"]))
