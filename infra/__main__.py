"""What exists in a stack: settings -> components -> contract."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pulumi

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # `pulumi` starts this file inside infra/

from infra import settings as stack_settings
from infra.components.payment_service import PaymentService, PaymentServiceArgs
from infra.lab import docker, identity
from infra.stack_config import given_secrets, read_config, read_ssh_private_key

try:
    settings = stack_settings.read(pulumi.get_stack(), *read_config())
    if settings.environment == "lab":
        docker.cgroup_version()
    ssh_private_key = read_ssh_private_key(settings)
except (stack_settings.SettingsError, docker.DockerError, OSError) as error:
    raise pulumi.RunError(str(error)) from None

service = PaymentService(
    "till",
    PaymentServiceArgs(
        settings=settings,
        given_secrets=given_secrets(),
        lab=identity.lab_id(pulumi.get_stack()),
        lab_image=os.environ.get("TILL_LAB_IMAGE") or settings.lab_image,
        ssh_private_key=ssh_private_key,
    ),
)

pulumi.export("contract", service.contract)
pulumi.export("urls", service.urls)
pulumi.export("hosts", service.host_names)
