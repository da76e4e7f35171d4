"""Policy for hosts, as it stands in the playbooks' group variables."""

from __future__ import annotations

from till.policy import host_policy

POLICY = host_policy()
