"""Reads what Pulumi and the user's machine hand to the program; the checks are in `settings`."""

from __future__ import annotations

from pathlib import Path

import pulumi
from pulumi.runtime.config import CONFIG, is_config_secret

from infra.settings import Settings

NAMESPACE = "till:"
GIVEN = {
    "sentry_dsn": "sentryDsn",
    "paypal_client_secret": "paypalClientSecret",
    "backup_offsite_access_key": "backupOffsiteAccessKey",
    "backup_offsite_secret_key": "backupOffsiteSecretKey",
    "notify": "notify",
}


def read_config() -> tuple[dict[str, str], frozenset[str]]:
    """The stack's settings without their namespace, and which of them are encrypted in the stack file."""
    values = {
        key.removeprefix(NAMESPACE): str(value) for key, value in CONFIG.get().items() if key.startswith(NAMESPACE)
    }
    return values, frozenset(key for key in values if is_config_secret(NAMESPACE + key))


def given_secrets() -> dict[str, pulumi.Output[str]]:
    """The secrets that people chose, by the contract's names; an empty one stays empty."""
    config = pulumi.Config("till")
    return {name: config.get_secret(key) or pulumi.Output.secret("") for name, key in GIVEN.items()}


def read_ssh_private_key(settings: Settings) -> pulumi.Output[str]:
    """The user's key for hosts that exist already; empty where ssh-agent holds it or a lab makes its own.

    Raises OSError with a next command when the file can't be read.
    """
    if settings.environment == "lab" or not settings.ssh_private_key_file:
        return pulumi.Output.secret("")
    path = Path(settings.ssh_private_key_file).expanduser()
    try:
        return pulumi.Output.secret(path.read_text())
    except OSError as error:
        raise OSError(
            f"till:sshPrivateKeyFile = {str(path)!r}: {error.strerror}. "
            "Next: pulumi config set till:sshPrivateKeyFile PATH (empty to use ssh-agent)"
        ) from None
