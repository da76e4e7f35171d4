"""Components under Pulumi's mocks: which resources a stack has, whose children they are, which outputs are secret."""

from __future__ import annotations

import json
from typing import Any

import pulumi
import pytest

from infra.components import channels, payment_service, x509
from infra.contract import parse
from infra.settings import SECRET_KEYS, read

from .conftest import HOST_KEY, as_config, filled_in

Registered = dict[str, pulumi.runtime.MockResourceArgs]


class World(pulumi.runtime.Mocks):
    """Answers as the providers would, and remembers what was asked."""

    def __init__(self) -> None:
        self.registered: Registered = {}

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.registered[args.name] = args
        outputs = {key: value for key, value in args.inputs.items() if key != "__provider"}
        kind = args.typ.rpartition(":")[2]
        if kind == "RandomPassword":
            outputs["result"] = f"secret-of-{args.name}"
        elif kind == "RandomBytes":
            outputs["base64"] = f"base64-of-{args.name}"
        elif kind == "LabNetwork":
            outputs |= {"cidr": "198.18.7.0/24", "published_port": "28443"}
        elif kind == "LabHost":
            outputs |= {"host_key": HOST_KEY}
        elif kind == "SshKey":
            outputs |= {"private_key": "PRIVATE", "public_key": "ssh-ed25519 AAAA till"}
        elif kind == "SigningKey":
            outputs |= {"private_key_pem": "RELEASES-PRIVATE", "public_key_pem": "RELEASES-PUBLIC"}
        elif kind == "Authority":
            outputs |= x509.authority("test", 30)
        elif kind == "HostCertificate":
            outputs |= {"certificate_pem": f"PEM-{args.name}", "private_key_pem": f"KEY-{args.name}"}
        return f"{args.name}-id", outputs

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        return {}, None


async def build(stack: str) -> tuple[World, dict[str, Any], bool]:
    """The resources of a stack, its contract, and whether that is a secret."""
    world = World()
    pulumi.runtime.set_mocks(world, project="till", stack=stack)
    settings = read(stack, as_config(filled_in(stack)), SECRET_KEYS)
    given = {"sentry_dsn": pulumi.Output.secret(""), "paypal_client_secret": pulumi.Output.secret("canary-paypal")}
    service = payment_service.PaymentService(
        "till",
        payment_service.PaymentServiceArgs(settings, given, "0badcafe", "till-lab:test", pulumi.Output.secret("")),
    )
    text = await service.contract.future()
    assert text is not None
    return world, json.loads(parse(text).to_json()), await service.contract.is_secret()


async def test_a_lab_is_four_containers_and_a_network() -> None:
    world, contract, secret = await build("lab")
    hosts = {name: args.inputs for name, args in world.registered.items() if args.typ.endswith(":LabHost")}
    assert {str(inputs["address"]) for inputs in hosts.values()} == {f"198.18.7.{n}" for n in (11, 12, 13, 20)}
    published = {str(inputs["container"]): inputs["publish"] for inputs in hosts.values()}
    assert published.pop("till-0badcafe-alpha") == "28443"
    assert set(published.values()) == {"0"}
    assert secret
    assert contract["paypal"]["client_id"] == "secret-of-secrets-paypal_client_id"
    assert contract["ssh_private_key"] == "PRIVATE"


@pytest.mark.parametrize("stack", ["staging", "production"])
async def test_elsewhere_no_host_is_made(stack: str) -> None:
    world, contract, secret = await build(stack)
    assert not [args for args in world.registered.values() if "Lab" in args.typ or "SshKey" in args.typ]
    assert [host["address"] for host in contract["hosts"]] == [host["address"] for host in filled_in(stack)["hosts"]]
    assert contract["secrets"]["paypal_client_secret"]["current"] == "canary-paypal"
    assert contract["ssh_private_key"] is None
    assert secret


async def test_every_component_has_its_token_and_every_secret_is_there() -> None:
    world, contract, _ = await build("lab")
    components = {args.typ for args in world.registered.values() if args.typ.startswith("till:")}
    assert components == {
        "till:payment_service:PaymentService",
        "till:hosts:LabHosts",
        "till:internal_ca:InternalCa",
        "till:secrets:Secrets",
    }
    assert set(contract["secrets"]) >= {
        *("postgres_superuser_password", "postgres_replication_password", "postgres_rewind_password"),
        *("postgres_directus_password", "patroni_rest_password", "directus_key", "directus_secret"),
        *("directus_admin_password", "directus_api_token", "nameserver_api_key", "nameserver_tsig_key"),
        *("nameserver_dnssec_key",),
        *("storefront_session_key", "server_actions_key", "paypal_client_secret", "sentry_dsn", "backup_cipher_key"),
    }


@pytest.mark.parametrize("stack", ["lab", "production"])
async def test_every_stack_has_a_key_of_its_own_for_releases(stack: str) -> None:
    world, contract, _ = await build(stack)
    made = world.registered["release-key"]
    assert made.typ.endswith(":SigningKey")
    assert contract["release_key"] == {"private_key_pem": "RELEASES-PRIVATE", "public_key_pem": "RELEASES-PUBLIC"}


async def test_every_channel_is_a_secret_of_its_own_and_a_labs_is_its_webhook() -> None:
    _, contract, _ = await build("lab")
    password = contract["secrets"]["webhook_password"]["current"]
    assert contract["secrets"]["notify_channel_01"]["current"] == f"json://till:{password}@outside:8090/told"
    given = {"notify": '["slack://a/b/c", "mailtos://d"]', "other": "x", "webhook_password": "p"}
    told = channels.each_of_its_own(given, "outside")
    assert told == {
        "notify_channel_01": "slack://a/b/c", "notify_channel_02": "mailtos://d", "other": "x", "webhook_password": "p"
    }  # fmt: skip
    assert channels.each_of_its_own({"notify": "", "other": "x"}, "") == {"other": "x"}
    _, elsewhere, _ = await build("production")
    assert not [name for name in elsewhere["secrets"] if name.startswith("notify") or name == "webhook_password"]


async def test_certificates_cover_names_and_address() -> None:
    world, _, _ = await build("lab")
    alpha = world.registered["internal-ca-alpha"].inputs["alternative_names"]
    outside = world.registered["internal-ca-outside"].inputs["alternative_names"]
    assert alpha == ["alpha", "alpha.lab.test", "localhost", "198.18.7.11", "127.0.0.1"]
    assert {"paypal.lab.test", "acme.lab.test"} <= set(outside)
