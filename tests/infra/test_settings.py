"""Each bad input is one sentence that names the key, the value and the next command."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from infra.settings import KEYS, SECRET_KEYS, SettingsError, read

from .conftest import as_config, filled_in, stack_file

Break = Callable[[dict[str, Any]], Any]
STACKS = ("lab", "staging", "production")
OFFSITE = {"endpoint": "s3.example", "bucket": "shop-backups", "region": "example-1"}
PROVIDER = {"provider": "ddns", "options": {"ddns_server": "192.0.2.53"}}
TOKEN = '{"auth_token": "hmac-sha256:till:a2V5"}'
NO_ETCD = ["edge", "app", "database", "nameserver", "backup_repository"]


def check(stack: str, settings: dict[str, Any], encrypted: tuple[str, ...] = SECRET_KEYS) -> str:
    with pytest.raises(SettingsError) as raised:
        read(stack, as_config(settings), encrypted)
    return str(raised.value)


@pytest.mark.parametrize("stack", STACKS)
def test_filled_in_stack_files_are_accepted(stack: str) -> None:
    settings = read(stack, as_config(filled_in(stack)), SECRET_KEYS)
    assert settings.environment == stack
    assert [host.name for host in settings.hosts] == ["alpha", "bravo", "ops"]
    assert "canary-paypal" not in repr(settings)


def test_stack_files_have_the_same_keys_in_the_same_order() -> None:
    orders = {stack: list(stack_file(stack)) for stack in STACKS}
    assert orders["lab"] == orders["staging"] == orders["production"] == list(KEYS)


@pytest.mark.parametrize("stack", ["staging", "production"])
def test_committed_examples_are_refused_until_they_are_replaced(stack: str) -> None:
    message = check(stack, stack_file(stack))
    assert "hosts[0].hostKey = 'replace-me'" in message
    assert "ssh-keyscan" in message


def test_placeholder_credentials_are_refused(production: dict[str, Any]) -> None:
    message = check("production", production | {"paypalClientId": "replace-me", "paypalClientSecret": "replace-me"})
    assert "till:paypalClientId = 'replace-me': still the placeholder" in message
    assert "pulumi config set --secret till:paypalClientSecret -s production" in message


def test_a_secret_in_clear_is_refused_and_not_shown(production: dict[str, Any]) -> None:
    message = check("production", production, encrypted=())
    assert "till:paypalClientSecret = [REDACTED]: stands unencrypted" in message
    assert "canary-paypal" not in message


def test_keys_of_the_second_repository_stay_encrypted_and_unsaid(production: dict[str, Any]) -> None:
    given = {"backupOffsite": OFFSITE, "backupOffsiteAccessKey": "canary-a", "backupOffsiteSecretKey": "canary-s"}
    settings = read("production", as_config(production | given), SECRET_KEYS)
    assert settings.backup_offsite is not None and settings.backup_offsite.port == 443
    assert "canary" not in repr(settings)
    message = check("production", production | given, encrypted=("paypalClientSecret",))
    assert "till:backupOffsiteSecretKey = [REDACTED]: stands unencrypted" in message
    assert "canary" not in message


def test_channels_stay_encrypted_and_unsaid(production: dict[str, Any]) -> None:
    given = {"notify": ["slack://canary-a/b/c", "mailtos://user:canary-b@mail.example"]}
    settings = read("production", as_config(production | given), SECRET_KEYS)
    assert len(settings.notify) == 2
    assert "canary" not in repr(settings)
    assert read("production", as_config(production), SECRET_KEYS).notify == ()
    encrypted = ("paypalClientSecret",)
    for wrong, reason in (
        (given, "till:notify = [REDACTED]: stands unencrypted"),
        ({"notify": ["slack://replace-me/canary"]}, "till:notify = [REDACTED]: still the placeholder"),
        ({"notify": ["canary without a scheme"]}, "till:notify[0] = [REDACTED]: not an address like slack://"),
        ({"notify": "slack://canary"}, "till:notify = [REDACTED]: "),
    ):
        message = check("production", production | wrong, encrypted=encrypted)
        assert reason in message
        assert "canary" not in message


def test_a_providers_credentials_stay_encrypted_and_unsaid(production: dict[str, Any]) -> None:
    given = {"dnsProvider": PROVIDER, "dnsProviderCredentials": '{"auth_token": "canary-token"}'}
    settings = read("production", as_config(production | given), SECRET_KEYS)
    assert settings.dns_provider is not None and settings.dns_provider.options == PROVIDER["options"]
    assert "canary" not in repr(settings)
    message = check("production", production | given, encrypted=("paypalClientSecret",))
    assert "till:dnsProviderCredentials = [REDACTED]: stands unencrypted" in message
    assert "pulumi config set --secret till:dnsProviderCredentials -s production" in message
    assert "canary" not in message


@pytest.mark.parametrize("text", ["canary", '{"auth_token": 1}', "[]", "{}", '{"auth_token": ""}', '{"canary": "x"}'])
def test_credentials_of_another_shape_are_refused_and_not_shown(staging: dict[str, Any], text: str) -> None:
    message = check("staging", staging | {"dnsProvider": PROVIDER, "dnsProviderCredentials": text})
    assert "till:dnsProviderCredentials = [REDACTED]: " in message
    assert "canary" not in message


def host(settings: dict[str, Any], position: int = 0, **changes: Any) -> dict[str, Any]:
    changed: dict[str, Any] = settings["hosts"][position]
    changed.update(changes)
    return changed


@pytest.mark.parametrize(
    ("broken", "key", "value"),
    [
        (lambda s: s.update(shopNam="x"), "shopNam", "did you mean till:shopName?"),
        (lambda s: s.pop("zone"), "zone", "missing"),
        (lambda s: s.update(environment="prod"), "environment", "'prod'"),
        (lambda s: s.update(zone="Shop.example."), "zone", "'Shop.example.'"),
        (lambda s: s.update(shopName="shop.elsewhere.example"), "shopName", "outside of the zone"),
        (lambda s: s.update(hosts=[]), "hosts", "at least 1"),
        (lambda s: s.update(hosts="alpha"), "hosts", "'alpha'"),
        (lambda s: host(s, 1, name="alpha"), "hosts[1].name", "the name of hosts[0], too"),
        (lambda s: host(s, address="192.0.2.300"), "hosts[0].address", "not an IP address"),
        (lambda s: s["hosts"][0].pop("address"), "hosts[0].address", "missing for host alpha"),
        (lambda s: s["hosts"][2].pop("hostKey"), "hosts[2].hostKey", "ssh-keyscan"),
        (lambda s: host(s, hostKey="ssh-ed25519 AAAA"), "hosts[0].hostKey", "not a public host key"),
        (lambda s: host(s, 1, address="192.0.2.11"), "hosts[1].address", "the place of host alpha, too"),
        (lambda s: host(s, port=70000), "hosts[0].port", "70000"),
        (lambda s: host(s, user="Robert'); --"), "hosts[0].user", "Robert"),
        (lambda s: host(s, adress="192.0.2.1"), "hosts[0].adress", "no such setting of a host"),
        (lambda s: host(s, roles=["edge", "database", "etcd", "nameserver"]), "hosts[0].roles", "role app"),
        (lambda s: host(s, roles=["edge", "app", "cache"]), "hosts[0].roles[2]", "'cache'"),
        (lambda s: host(s, roles=["edge", "app", "etcd", "resolver"]), "hosts[0].roles", "till:outside only"),
        (lambda s: host(s, roles=["edge", "app"]), "hosts", "2 etcd members"),
        (lambda s: [host(s, i, roles=NO_ETCD) for i in range(3)], "hosts", "0 etcd"),
        (
            lambda s: s["hosts"][2]["roles"].remove("backup_repository"),
            "hosts",
            "no host has the role backup_repository",
        ),
        (
            lambda s: [host(s, i, roles=["edge", "app", "etcd"]) for i in range(3)],
            "hosts",
            "no host has the role database",
        ),
        (lambda s: s.update(backupOffsite={"bucket": "b"}), "backupOffsite.endpoint", "Field required"),
        (
            lambda s: s.update(backupOffsite=OFFSITE | {"endpoint": "https://s3.example"}),
            "backupOffsite.endpoint",
            "no scheme",
        ),
        (lambda s: s.update(backupOffsite=OFFSITE | {"key": "x"}), "backupOffsite.key", "of the second repository"),
        (lambda s: s.update(backupOffsite=OFFSITE | {"caPem": "file.pem"}), "backupOffsite.caPem", "pattern"),
        (lambda s: s.update(backupOffsite=OFFSITE), "backupOffsiteAccessKey", "names a bucket"),
        (
            lambda s: s.update(backupOffsite=OFFSITE, backupOffsiteAccessKey="AK", backupOffsiteSecretKey="replace-me"),
            "backupOffsiteSecretKey",
            "still the placeholder",
        ),
        (lambda s: s.update(backupOffsiteSecretKey="canary"), "backupOffsiteSecretKey", "names no bucket"),
        (lambda s: s.update(dnsProvider=PROVIDER), "dnsProviderCredentials", "names a provider"),
        (lambda s: s.update(dnsProviderCredentials=TOKEN), "dnsProviderCredentials", "names no provider"),
        (
            lambda s: s.update(dnsProvider=PROVIDER, dnsProviderCredentials="replace-me"),
            "dnsProviderCredentials",
            "still the placeholder",
        ),
        (
            lambda s: s.update(dnsProvider=PROVIDER | {"provider": "cloudflair"}, dnsProviderCredentials=TOKEN),
            "dnsProvider.provider",
            "did you mean cloudflare?",
        ),
        (
            lambda s: s.update(dnsProvider=PROVIDER | {"provider": "auto"}, dnsProviderCredentials=TOKEN),
            "dnsProvider.provider",
            "no provider of dns-lexicon",
        ),
        (
            lambda s: s.update(dnsProvider=PROVIDER | {"provider": "route53"}, dnsProviderCredentials=TOKEN),
            "dnsProvider.provider",
            "dns-lexicon[route53]",
        ),
        (
            lambda s: s.update(dnsProvider=PROVIDER | {"options": {"ddns_servr": "x"}}, dnsProviderCredentials=TOKEN),
            "dnsProvider.options = 'ddns_servr'",
            "it knows auth_token, ddns_server",
        ),
        (
            lambda s: s.update(dnsProvider=PROVIDER | {"options": {"auth_token": "x"}}, dnsProviderCredentials=TOKEN),
            "dnsProvider.options",
            "belongs to till:dnsProviderCredentials",
        ),
        (
            lambda s: s.update(dnsProvider=PROVIDER | {"nameservers": ["https://ns"]}, dnsProviderCredentials=TOKEN),
            "dnsProvider.nameservers[0]",
            "neither a domain name nor an IP address",
        ),
        (
            lambda s: s.update(dnsProvider=PROVIDER | {"token": "x"}, dnsProviderCredentials=TOKEN),
            "dnsProvider.token",
            "no such setting of the DNS provider",
        ),
        (
            lambda s: s.update(dnsProvider=PROVIDER, dnsProviderCredentials=TOKEN, dnssec="true"),
            "dnssec",
            "the provider's to sign",
        ),
        (
            lambda s: (s.update(dnsProvider=PROVIDER, dnsProviderCredentials=TOKEN), host(s, address="2001:db8::1")),
            "hosts[0].address",
            "A records",
        ),
        (lambda s: s.update(paypalMode="live"), "paypalMode", "must never take real payments"),
        (lambda s: s.update(paypalMode="simulator"), "outside", "needs the host that runs the simulator"),
        (lambda s: s.update(paypalWebhookId=""), "paypalWebhookId", "empty"),
        (lambda s: s.update(acmeDirectoryUrl="http://acme.example"), "acmeDirectoryUrl", "https://"),
        (lambda s: s.update(acmeEmail="nobody"), "acmeEmail", "'nobody'"),
        (lambda s: s.update(settlementRatePerOmr="two"), "settlementRatePerOmr", "'two'"),
        (lambda s: s.update(settlementCurrency="usd"), "settlementCurrency", "'usd'"),
        (lambda s: s.update(hostCertificateRenewDays="400"), "hostCertificateRenewDays", "400"),
        (lambda s: s.update(labSubnet="198.18.0.0/16"), "labSubnet", "/24"),
        (lambda s: s.update(labHttpsPort="https"), "labHttpsPort", "'https'"),
        (lambda s: s.update(labHostMemoryMb="12"), "labHostMemoryMb", "12"),
    ],
)
def test_bad_input_names_key_value_and_next_command(
    staging: dict[str, Any], broken: Break, key: str, value: str
) -> None:
    broken(staging)
    message = check("staging", staging)
    lines = [line for line in message.splitlines() if f"till:{key}" in line]
    assert lines, message
    assert value in lines[0]
    assert re.search(r"Next: \S+", lines[0])
    assert "Pulumi.staging.yaml" in message


@pytest.mark.parametrize("mode", ["simulator", "sandbox"])
def test_production_takes_live_payments_only(production: dict[str, Any], mode: str) -> None:
    message = check("production", production | {"paypalMode": mode})
    assert f"till:paypalMode = '{mode}'" in message
    assert "pulumi config set till:paypalMode live -s production" in message


def test_production_has_no_outside(production: dict[str, Any]) -> None:
    outside = {"name": "outside", "address": "192.0.2.99", "hostKey": production["hosts"][0]["hostKey"]}
    assert "till:outside = 'outside'" in check("production", production | {"outside": outside})


def test_a_lab_host_has_no_address(lab: dict[str, Any]) -> None:
    host(lab, address="192.0.2.1")
    assert "Pulumi makes a lab's hosts" in check("lab", lab)


def test_all_unknown_and_missing_keys_are_listed_together(lab: dict[str, Any]) -> None:
    lab.pop("gaId")
    message = check("lab", lab | {"zonne": "x"})
    assert "2 settings can't be used; nothing was changed" in message
    assert "till:gaId" in message
    assert "till:zonne" in message
