"""The whole of a stack: its hosts, its internal CA, its secrets, and the contract that tells the runner of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from infra import contract, credentials
from infra.components import channels
from infra.components.hosts import ExistingHosts, ExistingHostsArgs, HostFacts, LabHosts, LabHostsArgs
from infra.components.internal_ca import InternalCa, InternalCaArgs
from infra.components.secrets import Secrets, SecretsArgs
from infra.components.signing_key import SigningKey
from infra.settings import Settings

PAYPAL_API = {"sandbox": "https://api-m.sandbox.paypal.com", "live": "https://api-m.paypal.com"}
SIMULATOR_PORT = 8443
OUTSIDE = "outside"


@dataclass(frozen=True)
class PaymentServiceArgs:
    """`given_secrets`: the secrets that people chose, by the contract's names; `lab`: the id of a lab, `lab_image`: the
    image that the tools built, `ssh_private_key`: the user's own key where hosts exist already ("" for ssh-agent)."""

    settings: Settings
    given_secrets: dict[str, pulumi.Output[str]]
    lab: str
    lab_image: str
    ssh_private_key: pulumi.Output[str]


class PaymentService(pulumi.ComponentResource):
    """Output `contract`: the JSON text of infra.contract.Contract, secret; `urls` and `host_names` are public."""

    contract: pulumi.Output[str]
    urls: pulumi.Output[dict[str, str]]
    host_names: list[str]

    def __init__(self, name: str, args: PaymentServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("till:payment_service:PaymentService", name, None, opts)
        settings, child = args.settings, pulumi.ResourceOptions(parent=self)
        hosts = _hosts(args, child)
        ca = InternalCa("internal-ca", _ca_args(settings, hosts.facts), child)
        simulated, outside = settings.paypal_mode == "simulator", settings.outside is not None
        secrets = Secrets("secrets", SecretsArgs(args.given_secrets, simulated, outside), child)
        release_key = SigningKey("release-key", child)
        lab = isinstance(hosts, LabHosts)
        known = pulumi.Output.all(
            hosts={key: {"address": facts.address, "host_key": facts.host_key} for key, facts in hosts.facts.items()},
            ca_pem=ca.ca_pem,
            release_key={
                "public_key_pem": release_key.public_key_pem,
                "private_key_pem": release_key.private_key_pem,
            },
            certificates={
                host: {"certificate_pem": made.certificate_pem, "private_key_pem": made.private_key_pem}
                for host, made in ca.certificates.items()
            },
            secrets=secrets.values,
            simulator=secrets.simulator,
            ssh_private_key=hosts.private_key if isinstance(hosts, LabHosts) else args.ssh_private_key,
        )
        stack = pulumi.get_stack()
        self.contract = pulumi.Output.secret(
            known.apply(lambda values: compose(stack, settings, hosts.facts, values).to_json())
        )
        port = hosts.https_port if isinstance(hosts, LabHosts) else pulumi.Output.from_input("443")
        self.urls = port.apply(lambda number: urls(settings, number if lab else "443"))
        self.host_names = [host.name for host in settings.hosts]
        self.register_outputs({"contract": self.contract, "urls": self.urls, "host_names": self.host_names})


def _hosts(args: PaymentServiceArgs, child: pulumi.ResourceOptions) -> LabHosts | ExistingHosts:
    settings = args.settings
    if settings.environment != "lab":
        return ExistingHosts("hosts", ExistingHostsArgs(settings.hosts, settings.outside), child)
    lab = LabHostsArgs(
        hosts=settings.hosts,
        outside=settings.outside,
        lab=args.lab,
        subnet=settings.lab_subnet,
        https_port=str(settings.lab_https_port),
        image=args.lab_image,
        memory_mb=settings.lab_host_memory_mb,
    )
    return LabHosts("lab", lab, child)


def _ca_args(settings: Settings, facts: Mapping[str, HostFacts]) -> InternalCaArgs:
    paypal_name, acme_name = _outside_names(settings)
    subjects: dict[str, tuple[pulumi.Input[str], ...]] = {}
    for host, known in facts.items():
        also = (paypal_name, acme_name) if host == OUTSIDE else ()
        names = (host, f"{host}.{settings.zone}", "localhost", *also)
        subjects[host] = (*names, known.address, "127.0.0.1")
    return InternalCaArgs(
        name=f"Till internal CA of {settings.zone}",
        subjects=subjects,
        ca_days=settings.internal_ca_days,
        certificate_days=settings.host_certificate_days,
        renew_days=settings.host_certificate_renew_days,
    )


def _outside_names(settings: Settings) -> tuple[str, str]:
    return f"paypal.{settings.zone}", f"acme.{settings.zone}"


def compose(
    stack: str, settings: Settings, facts: Mapping[str, HostFacts], known: Mapping[str, Any]
) -> contract.Contract:
    """The contract of a stack from its settings and from what is known once its resources are made."""
    paypal_name, acme_name = _outside_names(settings)
    hosts = {
        name: contract.Host(
            name=name,
            address=known["hosts"][name]["address"],
            port=fact.port,
            user=fact.user,
            host_key=known["hosts"][name]["host_key"],
            site=fact.site,
            roles=fact.roles,
        )
        for name, fact in facts.items()
    }
    outside = hosts.pop(OUTSIDE, None)
    simulator = known["simulator"]
    own_acme = outside is not None and f"//{acme_name}:" in settings.acme_directory_url
    return contract.Contract(
        stack=stack,
        environment=settings.environment,
        hosts=tuple(hosts.values()),
        outside=contract.Outside(host=outside, paypal_name=paypal_name, acme_name=acme_name) if outside else None,
        names=contract.Names(
            zone=settings.zone,
            shop=settings.shop_name,
            admin=settings.admin_name,
            api=settings.api_name,
            dnssec=settings.dnssec,
        ),
        dns_provider=_dns_provider(settings),
        paypal=contract.PayPal(
            mode=settings.paypal_mode,
            api_url=PAYPAL_API.get(settings.paypal_mode, f"https://{paypal_name}:{SIMULATOR_PORT}"),
            client_id=simulator.get("paypal_client_id", settings.paypal_client_id),
            webhook_id=simulator.get("paypal_webhook_id", settings.paypal_webhook_id),
        ),
        acme=contract.Acme(
            directory_url=settings.acme_directory_url,
            email=settings.acme_email,
            ca_pem=known["ca_pem"] if own_acme else None,
        ),
        settlement=contract.Settlement(
            currency=settings.settlement_currency, rate_per_omr=settings.settlement_rate_per_omr
        ),
        backup_offsite=contract.Offsite(**settings.backup_offsite.model_dump()) if settings.backup_offsite else None,
        public_env={
            "NEXT_PUBLIC_GA_ID": settings.ga_id,
            "LOG_LEVEL": settings.log_level,
            "SENTRY_ENVIRONMENT": settings.environment,
        },
        ssh_private_key=known["ssh_private_key"] or None,
        release_key=contract.ReleaseKey.model_validate(known["release_key"]),
        internal_ca_pem=known["ca_pem"],
        host_certificates={
            name: contract.Certificate.model_validate(pems) for name, pems in known["certificates"].items()
        },
        secrets={
            name: contract.RotatedSecret(current=value)
            for name, value in channels.each_of_its_own(known["secrets"], OUTSIDE if outside else "").items()
        },
    )


def _dns_provider(settings: Settings) -> contract.DnsProvider | None:
    if settings.dns_provider is None:
        return None
    given = credentials.credentials_of(settings.dns_provider_credentials.get_secret_value())
    return contract.DnsProvider.model_validate({**settings.dns_provider.model_dump(), "credentials": given})


def urls(settings: Settings, https_port: str) -> dict[str, str]:
    """Where people reach the service; a lab publishes its port on this machine's loopback."""
    suffix = "" if https_port == "443" else f":{https_port}"
    names = {"shop": settings.shop_name, "admin": settings.admin_name, "api": settings.api_name}
    return {key: f"https://{name}{suffix}" for key, name in names.items()}
