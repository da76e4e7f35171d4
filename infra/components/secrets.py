"""Every password and key that nobody has to choose, made by pulumi-random and different in each stack."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_random as random

PASSWORD_LENGTH = 40
PASSWORDS = (
    "postgres_superuser_password",
    "postgres_replication_password",
    "postgres_rewind_password",
    "postgres_directus_password",
    "patroni_rest_password",
    "directus_key",
    "directus_secret",
    "directus_admin_password",
    "directus_api_token",
    "nameserver_api_key",
    "backup_cipher_key",
    "backup_offsite_cipher_key",
    "config_backup_key",
)
KEY_BYTES = 32
# A number of 32 bytes is a private key of DNSSEC's algorithm 13 (RFC 6605), but for one in 2^32.
KEYS = ("nameserver_tsig_key", "nameserver_dnssec_key", "storefront_session_key", "server_actions_key")
SIMULATOR = ("paypal_client_id", "paypal_client_secret", "paypal_webhook_id")
# Of what stands in for people's channels.
WEBHOOK = "webhook_password"


@dataclass(frozen=True)
class SecretsArgs:
    """`given`: secrets that people chose, by name; `simulated_paypal`: make PayPal's credentials, too; `outside`: a
    host plays the world outside, with a webhook that wants a password."""

    given: dict[str, pulumi.Output[str]]
    simulated_paypal: bool
    outside: bool


class Secrets(pulumi.ComponentResource):
    """`values`: name -> secret; `simulator`: PayPal's credentials for the simulator, empty when it is not used."""

    values: dict[str, pulumi.Output[str]]
    simulator: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, args: SecretsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("till:secrets:Secrets", name, None, opts)
        passwords = {key: self._password(name, key) for key in PASSWORDS}
        keys = {
            key: random.RandomBytes(f"{name}-{key}", length=KEY_BYTES, opts=pulumi.ResourceOptions(parent=self)).base64
            for key in KEYS
        }
        self.simulator = {key: self._password(name, key) for key in SIMULATOR} if args.simulated_paypal else {}
        made = {**passwords, **keys}
        if args.simulated_paypal:
            made["paypal_client_secret"] = self.simulator["paypal_client_secret"]
        if args.outside:
            made[WEBHOOK] = self._password(name, WEBHOOK)
        self.values = {key: pulumi.Output.secret(value) for key, value in {**args.given, **made}.items()}
        self.register_outputs({})

    def _password(self, name: str, key: str) -> pulumi.Output[str]:
        # Letters and digits only: the value passes through env files, URLs and SQL unquoted.
        made = random.RandomPassword(
            f"{name}-{key}", length=PASSWORD_LENGTH, special=False, opts=pulumi.ResourceOptions(parent=self)
        )
        return made.result
