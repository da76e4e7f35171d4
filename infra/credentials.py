"""What credentials that people gave must be: there, no placeholder, and encrypted in the stack file."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from infra import dns_providers
from infra.problem import Problem

if TYPE_CHECKING:
    from infra.settings import Settings

PLACEHOLDER = re.compile(r"(?i)replace-?me|change-?me|your[_-]|^todo$|^x+$")

# An option of such a name must not stand in clear.
SECRET_OPTION = re.compile(r"token|secret|pass|psw|key")
EXAMPLE = '{"auth_token": "..."}'


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


def dns_provider(stack: str, settings: Settings, secret_keys: Collection[str]) -> Iterator[Problem]:
    place, text = "dnsProviderCredentials", settings.dns_provider_credentials.get_secret_value()
    following = f"pulumi config set --secret till:{place} -s {stack}"
    if settings.dns_provider is None:
        if text:
            yield Problem(place, text, "set, and till:dnsProvider names no provider", "set till:dnsProvider, too")
        return
    faults = list(_given(stack, place, text, "empty, and till:dnsProvider names a provider", secret_keys))
    faults += _provider(stack, settings.dns_provider.provider)
    if faults:
        yield from faults
        return
    provider, understood = settings.dns_provider.provider, dns_providers.options(settings.dns_provider.provider)
    knows = f"{provider} does not know; it knows {', '.join(sorted(understood))}"
    for option, value in settings.dns_provider.options.items():
        if option not in understood:
            yield Problem("dnsProvider.options", option, f"holds an option that {knows}", _edit(stack))
        elif value and SECRET_OPTION.search(option):
            reason = f"holds {option} in clear; it belongs to till:{place}"
            yield Problem("dnsProvider.options", None, reason, f"{following}, and {_edit(stack)}")
    try:
        given = credentials_of(text)
    except ValueError as reason:
        yield Problem(place, text, str(reason), f"{following} (asks for it)")
        return
    # Neither names nor values are said: a slip of the hand may have made a name of a secret.
    if not set(given) <= understood:
        yield Problem(place, text, f"holds an option that {knows}", f"{following} (asks for it)")


def credentials_of(text: str) -> dict[str, str]:
    """A DNS provider's credentials by option, from the setting's JSON; its ValueError says nothing of them."""
    try:
        given = json.loads(text)
    except ValueError:
        given = None
    if (
        not isinstance(given, dict)
        or not given
        or not all(value and isinstance(value, str) for value in given.values())
    ):
        raise ValueError(f"not a JSON object of texts such as {EXAMPLE}")
    return given


def _provider(stack: str, provider: str) -> Iterator[Problem]:
    there = dns_providers.known().get(provider)
    if there is None:
        near = difflib.get_close_matches(provider, dns_providers.known(), n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(dns_providers.known())}"
        yield Problem("dnsProvider.provider", provider, f"no provider of dns-lexicon{hint}", _edit(stack))
    elif not there:
        following = f"write dns-lexicon[{provider}] into tools/requirements.in, then make requirements tools"
        yield Problem("dnsProvider.provider", provider, "what it needs besides dns-lexicon is not installed", following)


def _edit(stack: str) -> str:
    return f"edit till:dnsProvider in Pulumi.{stack}.yaml"


def _given(stack: str, key: str, value: str, empty: str, secret_keys: Collection[str] | None) -> Iterator[Problem]:
    """What is wrong with a value: `empty` is the reason why it must not be so ("": it may); None: it is no secret."""
    following = f"pulumi config set {'' if secret_keys is None else '--secret '}till:{key} -s {stack}"
    if PLACEHOLDER.search(value):
        yield Problem(key, value, "still the placeholder", following)
    elif not value and empty:
        yield Problem(key, None, empty, following)
    elif value and secret_keys is not None and key not in secret_keys:
        yield Problem(key, value, "stands unencrypted in the stack file", following)
