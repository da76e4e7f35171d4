"""What credentials that people gave must be: there, no placeholder, and encrypted in the stack file."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from infra.problem import Problem

if TYPE_CHECKING:
    from infra.settings import Settings

PLACEHOLDER = re.compile(r"(?i)replace-?me|change-?me|your[_-]|^todo$|^x+$")


def paypal(stack: str, settings: Settings, secret_keys: Collection[str]) -> Iterator[Problem]:
    if settings.paypal_mode == "simulator":
        return
    given = {
        "paypalClientId": settings.paypal_client_id,
        "paypalClientSecret": settings.paypal_client_secret.get_secret_value(),
        "paypalWebhookId": settings.paypal_webhook_id,
        "sentryDsn": settings.sentry_dsn.get_secret_value(),
        "gaId": settings.ga_id,
    }
    for key, value in given.items():
        empty = f"empty, and paypalMode is {settings.paypal_mode}" if key.startswith("paypal") else ""
        secret = key in ("paypalClientSecret", "sentryDsn")
        yield from _given(stack, key, value, empty, secret_keys if secret else None)


def offsite(stack: str, settings: Settings, secret_keys: Collection[str]) -> Iterator[Problem]:
    given = {
        "backupOffsiteAccessKey": settings.backup_offsite_access_key.get_secret_value(),
        "backupOffsiteSecretKey": settings.backup_offsite_secret_key.get_secret_value(),
    }
    for key, value in given.items():
        if settings.backup_offsite is not None:
            yield from _given(stack, key, value, "empty, and till:backupOffsite names a bucket", secret_keys)
        elif value:
            yield Problem(key, value, "set, and till:backupOffsite names no bucket", "set till:backupOffsite, too")


def channels(stack: str, settings: Settings, secret_keys: Collection[str]) -> Iterator[Problem]:
    for address in settings.notify:
        yield from _given(stack, "notify", address.get_secret_value(), "", secret_keys)


def _given(stack: str, key: str, value: str, empty: str, secret_keys: Collection[str] | None) -> Iterator[Problem]:
    """What is wrong with a value: `empty` is the reason why it must not be so ("": it may); None: it is no secret."""
    following = f"pulumi config set {'' if secret_keys is None else '--secret '}till:{key} -s {stack}"
    if PLACEHOLDER.search(value):
        yield Problem(key, value, "still the placeholder", following)
    elif not value and empty:
        yield Problem(key, None, empty, following)
    elif value and secret_keys is not None and key not in secret_keys:
        yield Problem(key, value, "stands unencrypted in the stack file", following)
