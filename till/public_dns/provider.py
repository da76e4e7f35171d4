"""The A records of service names in a zone that lives at a provider, through dns-lexicon. Nothing else is touched."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from infra import dns_providers
from infra.contract import Contract, DnsProvider
from till.errors import TillError
from till.policy import host_policy, thresholds
from till.public_dns.zone import KIND, Change, Record, differences, records
from till.redact import Redactor

Answer = TypeVar("Answer")
TOLD_CHARACTERS = 300
POLL_INTERVAL_S = 1


def read_records(contract: Contract, names: Collection[str]) -> list[Record]:
    """The A records of these names as the provider holds them; raises TillError when it does not say in time."""
    return _with(contract, lambda provider: _Zone(provider, names, ()).held())


def planned(contract: Contract, names: Collection[str], addresses: Collection[str]) -> list[str]:
    """What `converge` would change, as sentences; changes nothing."""

    def work(provider: Any) -> list[str]:
        zone = _Zone(provider, names, addresses)
        return [change.sentence(zone.ttl_s) for change in zone.differences()]

    return _with(contract, work)


def converge(contract: Contract, names: Collection[str], addresses: Collection[str]) -> list[str]:
    """Make each name lead to these addresses alone, and tell what was changed, as sentences; [] when it was so.

    Raises TillError when the provider refuses, does not answer in time, or holds something else afterwards.
    """

    def work(provider: Any) -> list[str]:
        zone = _Zone(provider, names, addresses)
        changes = zone.differences()
        zone.carry_out(changes)
        if changes:
            # Some modules don't hear a refusal, and some add a record with the old one's TTL: what counts stands there.
            zone.carry_out(zone.settled(but="retime"))
            zone.settled(but="")
        return [change.sentence(zone.ttl_s) for change in changes]

    return _with(contract, work)


class _Unchanged(Exception):
    """What still differs after all calls were accepted."""


class _Zone:
    """These names at an authenticated provider, and the addresses that they are to have."""

    def __init__(self, provider: Any, names: Collection[str], addresses: Collection[str]) -> None:
        self.provider, self.names, self.addresses = provider, names, addresses
        self.ttl_s: int = host_policy()["policy_provider_record_ttl_s"]

    def held(self) -> list[Record]:
        listed = [one for name in self.names for one in self.provider.list_records(KIND, name, None)]
        return records(listed, self.names)

    def differences(self) -> list[Change]:
        return differences(self.held(), self.names, self.addresses, self.ttl_s)

    def carry_out(self, changes: Collection[Change]) -> None:
        for change in changes:
            record = change.record
            if change.kind == "create":
                self.provider.create_record(KIND, record.name, record.address)
            elif change.kind == "retime":
                self.provider.update_record(record.identifier, KIND, record.name, record.address)
            else:
                self.provider.delete_record(record.identifier, KIND, record.name, record.address)

    def settled(self, but: str) -> list[Change]:
        """What differs once nothing but changes of that kind does; raises _Unchanged when it takes too long."""
        deadline = time.monotonic() + thresholds()["dns"]["provider_settle_s"]
        while True:
            changes = self.differences()
            if all(change.kind == but for change in changes):
                return changes
            if time.monotonic() > deadline:
                raise _Unchanged("; ".join(change.sentence(self.ttl_s) for change in changes))
            time.sleep(POLL_INTERVAL_S)


def _with(contract: Contract, work: Callable[[Any], Answer]) -> Answer:
    """Do something with the authenticated provider, in a thread: its modules wait for ever for an HTTP answer.

    After the deadline the thread is left behind; what the provider still does is seen by the next verb.
    """
    told = contract.dns_provider
    assert told is not None
    deadline_s = thresholds()["dns"]["provider_deadline_s"]
    answers: list[Answer] = []
    faults: list[Exception] = []

    def run() -> None:
        try:
            provider = _provider(told, contract.names.zone)
            provider.authenticate()
            try:
                answers.append(work(provider))
            finally:
                provider.cleanup()
        except Exception as reason:
            faults.append(reason)

    thread = threading.Thread(target=run, daemon=True)
    before = logging.root.manager.disable
    # Requests are logged with what they carry.
    logging.disable(logging.CRITICAL)
    try:
        thread.start()
        thread.join(deadline_s)
    finally:
        if not thread.is_alive():
            logging.disable(before)
    where = f"zone {contract.names.zone} at {told.provider}"
    if faults:
        raise TillError(f"{where}: {_words(faults[0], told)}", _next(contract, faults[0]))
    if not answers:
        raise TillError(f"{where}: no answer within {deadline_s} s", f"till status {contract.stack}")
    return answers[0]


def _provider(told: DnsProvider, zone: str) -> Any:
    """The library's class for a provider; environment and files of lexicon's own are not looked at."""
    from lexicon.config import ConfigResolver

    module = dns_providers.module(told.provider)
    if told.provider == "ddns":
        # Of 3.25.2: called with the parts of a record and defined for a whole one, so that no list ever succeeds.
        module._identifier = lambda *parts: " ".join(parts)  # type: ignore[attr-defined]
    secrets = {name: secret.get_secret_value() for name, secret in told.credentials.items()}
    settings = {
        "provider_name": told.provider,
        "domain": zone,
        "ttl": host_policy()["policy_provider_record_ttl_s"],
        # ddns looks for the zone among its own options.
        told.provider: {"domain": zone, **told.options, **secrets},
    }
    resolver = ConfigResolver()  # type: ignore[no-untyped-call]
    return module.Provider(resolver.with_dict(settings))


def _words(reason: Exception, told: DnsProvider) -> str:
    """What went wrong, without credentials: an answer of a provider may repeat them."""
    if isinstance(reason, _Unchanged):
        return f"it accepted the changes and did not make them: {reason}"
    values = [secret.get_secret_value() for secret in told.credentials.values()]
    # ddns has algorithm, name and key of TSIG in one value.
    redactor = Redactor(part for value in values for part in (value, *value.split(":")))
    words = " ".join(redactor.scrub(str(reason)).split())[:TOLD_CHARACTERS]
    # A value too short to be redacted hides the whole sentence.
    if not words or any(value in words for value in values):
        return type(reason).__name__
    return f"{type(reason).__name__}: {words}"


def _next(contract: Contract, reason: Exception) -> str:
    again = f"till provision {contract.stack} --tags nameserver"
    if isinstance(reason, _Unchanged):
        return (
            "compare the credentials' rights and the provider's lowest TTL with policy_provider_record_ttl_s"
            f" (playbooks/group_vars/all/policy.yml), then {again}"
        )
    return f"see that till:dnsProvider and till:dnsProviderCredentials are right, then {again}"
