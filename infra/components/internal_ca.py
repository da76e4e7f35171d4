"""The CA that hosts trust among themselves: Patroni, etcd, pgBackRest, syslog and all else that is not public."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from infra.components.certificates import Authority, HostCertificate


@dataclass(frozen=True)
class InternalCaArgs:
    """`subjects`: host name -> what its certificate is valid for (DNS names and addresses)."""

    name: str
    subjects: Mapping[str, tuple[pulumi.Input[str], ...]]
    ca_days: int
    certificate_days: int
    renew_days: int


class InternalCa(pulumi.ComponentResource):
    """A CA and one certificate for each host; outputs `ca_pem` and `certificates` (host name -> HostCertificate)."""

    ca_pem: pulumi.Output[str]
    certificates: dict[str, HostCertificate]

    def __init__(self, name: str, args: InternalCaArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("till:internal_ca:InternalCa", name, None, opts)
        # The CA outlives each certificate that it signs.
        authority = Authority(
            f"{name}-authority",
            name=args.name,
            days=args.ca_days,
            renew_days=args.certificate_days,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.ca_pem = authority.certificate_pem
        self.certificates = {
            host: HostCertificate(
                f"{name}-{host}",
                name=host,
                alternative_names=list(names),
                days=args.certificate_days,
                renew_days=args.renew_days,
                authority=authority,
                opts=pulumi.ResourceOptions(parent=self),
            )
            for host, names in args.subjects.items()
        }
        self.register_outputs({"ca_pem": self.ca_pem})
