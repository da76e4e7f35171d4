"""Dynamic providers of the internal CA: made and renewed here, keys kept in the stack's encrypted state."""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult


def days_left(not_after: str) -> float:
    """Days from now to `not_after` (ISO 8601); below zero once it has passed."""
    import datetime

    left = datetime.datetime.fromisoformat(not_after) - datetime.datetime.now(datetime.UTC)
    return left.total_seconds() / 86_400


class AuthorityProvider(ResourceProvider):
    """Inputs: name, days, renew_days; outputs besides: certificate_pem, private_key_pem (secret), not_after."""

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        replaces = [key for key in ("name", "days") if _olds.get(key) != _news.get(key)]
        if days_left(_olds["not_after"]) < float(_news["renew_days"]):
            replaces.append("not_after")
        later = _olds.get("renew_days") != _news.get("renew_days")
        return DiffResult(changes=bool(replaces) or later, replaces=replaces)

    def create(self, props: dict[str, Any]) -> CreateResult:
        from infra.components import x509

        made = x509.authority(props["name"], int(props["days"]))
        return CreateResult(made["serial"], {**props, **made})

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        return UpdateResult({**_olds, "renew_days": _news["renew_days"]})


class Authority(Resource, module="till", name="Authority"):
    """A self-signed CA (EC P-256); replaced, with every certificate it issued, before it expires."""

    certificate_pem: pulumi.Output[str]
    private_key_pem: pulumi.Output[str]

    def __init__(
        self, resource_name: str, *, name: str, days: int, renew_days: int, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        props = {"name": name, "days": str(days), "renew_days": str(renew_days)}
        made = dict.fromkeys(("serial", "certificate_pem", "private_key_pem", "not_after"))
        super().__init__(AuthorityProvider(), resource_name, {**props, **made}, _secret(opts, "private_key_pem"))


class HostCertificateProvider(ResourceProvider):
    """Inputs: name, alternative_names (DNS names and addresses), days, renew_days, ca_certificate_pem,
    ca_private_key_pem; outputs besides: certificate_pem, private_key_pem (secret), not_after."""

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        keys = ("name", "alternative_names", "days", "renew_days", "ca_certificate_pem")
        changed = any(_olds.get(key) != _news.get(key) for key in keys)
        due = days_left(_olds["not_after"]) < float(_news["renew_days"])
        return DiffResult(changes=changed or due)

    def create(self, props: dict[str, Any]) -> CreateResult:
        from infra.components import x509

        made = x509.issue(props)
        return CreateResult(made["serial"], {**props, **made})

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        from infra.components import x509

        return UpdateResult({**_news, **x509.issue(_news)})


class HostCertificate(Resource, module="till", name="HostCertificate"):
    """A host's certificate for server and client use; issued anew, key included, when due or renamed."""

    certificate_pem: pulumi.Output[str]
    private_key_pem: pulumi.Output[str]

    def __init__(
        self,
        resource_name: str,
        *,
        alternative_names: pulumi.Input[list[pulumi.Input[str]]],
        days: int,
        renew_days: int,
        authority: Authority,
        name: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        props: dict[str, Any] = {
            "name": name,
            "alternative_names": alternative_names,
            "days": str(days),
            "renew_days": str(renew_days),
            "ca_certificate_pem": authority.certificate_pem,
            "ca_private_key_pem": authority.private_key_pem,
        }
        made = dict.fromkeys(("serial", "certificate_pem", "private_key_pem", "not_after"))
        secret = _secret(opts, "private_key_pem", "ca_private_key_pem")
        super().__init__(HostCertificateProvider(), resource_name, {**props, **made}, secret)


def _secret(opts: pulumi.ResourceOptions | None, *outputs: str) -> pulumi.ResourceOptions:
    hidden = pulumi.ResourceOptions(additional_secret_outputs=list(outputs))
    merged: pulumi.ResourceOptions = pulumi.ResourceOptions.merge(opts, hidden)
    return merged
