"""The buyer's page: approve or cancel."""

from __future__ import annotations

from html import escape
from typing import Any

FRAME = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>PayPal simulator</title>
<style>body{{font:16px/1.5 sans-serif;max-width:28rem;margin:4rem auto;padding:0 1rem}}
button{{font:inherit;padding:.6rem 1.4rem;margin-right:.6rem}}</style>
</head><body><h1>PayPal simulator</h1>
{inner}
</body></html>"""

CHOICE = """<p>No money moves here. Pay <strong data-testid="amount">{amount}</strong>?</p>
<form method="post" action="/checkoutnow"><input type="hidden" name="token" value="{token}">
<button name="choice" value="approve" data-testid="approve">Approve</button>
<button name="choice" value="cancel" data-testid="cancel">Cancel</button></form>"""


def checkout(order: dict[str, Any]) -> str:
    """The page of an order."""
    amount = order["purchase_units"][0]["amount"]
    shown = escape(f"{amount['value']} {amount['currency_code']}")
    return FRAME.format(inner=CHOICE.format(amount=shown, token=escape(order["id"])))


def told(sentence: str) -> str:
    """A page with a sentence."""
    return FRAME.format(inner=f'<p data-testid="message">{escape(sentence)}</p>')
