"""Directus as files: what the snapshot promises about money, and what decides about access and about deletions."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLE = Path(__file__).parents[2] / "playbooks" / "roles" / "directus"
SNAPSHOT = yaml.safe_load((ROLE / "files" / "schema.yml").read_text())
ACCESS = yaml.safe_load((ROLE / "files" / "access.yml").read_text())
COLUMNS: dict[tuple[str, str], dict[str, Any]] = {
    (field["collection"], field["field"]): field["schema"] for field in SNAPSHOT["fields"] if "schema" in field
}


def node(module: str, expression: str) -> Any:
    """The value of a JavaScript `expression` in which `m` is the role's module."""
    binary = shutil.which("node")
    if not binary:
        pytest.fail("node is not on PATH: run `make tools`")
    path = (ROLE / "files" / module).as_uri()
    script = f"import * as m from {json.dumps(path)}; console.log(JSON.stringify({expression}))"
    done = subprocess.run(
        [binary, "--input-type=module", "--eval", script], capture_output=True, text=True, check=True, timeout=30
    )
    return json.loads(done.stdout)


def test_one_version_in_lock_default_and_snapshot() -> None:
    lock = json.loads((ROLE / "files" / "package-lock.json").read_text())
    default = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())["directus_version"]
    assert lock["packages"]["node_modules/directus"]["version"] == default == SNAPSHOT["directus"]


@pytest.mark.parametrize(
    ("column", "scale"),
    [("total_omr", 3), ("unit_price_omr", 3), ("line_total_omr", 3), ("charge_amount", 2), ("rate_per_omr", 6)],
)
def test_money_is_exact(column: str, scale: int) -> None:
    found = [schema for (_, name), schema in COLUMNS.items() if name == column]
    assert found
    for schema in found:
        assert (schema["data_type"], schema["numeric_scale"], schema["is_nullable"]) == ("numeric", scale, False)


def test_times_carry_their_zone() -> None:
    times = [schema["data_type"] for (_, name), schema in COLUMNS.items() if name.endswith("_at")]
    assert times
    assert set(times) == {"timestamp with time zone"}


@pytest.mark.parametrize(
    ("collection", "field"),
    [
        ("orders", "payment_intent_id"),
        ("orders", "paypal_order_id"),
        ("customers", "email"),
        ("payment_attempts", "idempotency_key"),
        ("payment_attempts", "paypal_order_id"),
    ],
)
def test_a_payment_is_recorded_once(collection: str, field: str) -> None:
    assert COLUMNS[collection, field]["is_unique"]


def test_what_was_paid_cannot_be_deleted() -> None:
    assert "delete" not in ACCESS["actions"]
    assert {relation["schema"]["on_delete"] for relation in SNAPSHOT["relations"]} == {"NO ACTION"}
    assert set(ACCESS["collections"]) == {collection["collection"] for collection in SNAPSHOT["collections"]}


def test_permissions_in_line_need_nothing() -> None:
    existing = [
        {"id": i, "collection": collection, "action": action, "fields": ["*"], "permissions": None}
        for i, (collection, action) in enumerate((c, a) for c in ACCESS["collections"] for a in ACCESS["actions"])
    ]
    plan = node("directus_access.mjs", f"m.permissionPlan({json.dumps(existing)}, {json.dumps(ACCESS)})")
    assert plan == {"create": [], "remove": []}


def test_permissions_too_wide_or_too_narrow_are_replaced() -> None:
    existing = [
        {"id": 1, "collection": "orders", "action": "delete", "fields": ["*"]},
        {"id": 2, "collection": "orders", "action": "read", "fields": ["id"]},
        {
            "id": 3,
            "collection": "orders",
            "action": "create",
            "fields": ["*"],
            "permissions": {"locale": {"_eq": "en"}},
        },
    ]
    access = {"collections": ["orders"], "actions": ["create", "read"]}
    plan = node("directus_access.mjs", f"m.permissionPlan({json.dumps(existing)}, {json.dumps(access)})")
    assert [permission["id"] for permission in plan["remove"]] == [1, 2, 3]
    assert plan["create"] == [{"collection": "orders", "action": "create"}, {"collection": "orders", "action": "read"}]


def test_deletions_are_reported_and_never_applied() -> None:
    diff = {
        "fields": [
            {"collection": "orders", "field": "note", "diff": [{"kind": "D"}]},
            {"collection": "orders", "field": "locale", "diff": [{"kind": "E"}]},
        ]
    }
    parts = node("directus_schema.mjs", f"m.split({json.dumps(diff)})")
    assert parts["kept"] == ["fields orders note"]
    assert parts["changes"] == ["fields orders locale"]
    assert [entry["field"] for entry in parts["applied"]["fields"]] == ["locale"]


@pytest.mark.parametrize("role", ["directus", "nodejs"])
def test_argument_specs_equal_defaults(role: str) -> None:
    folder = ROLE.parent / role
    defaults = yaml.safe_load((folder / "defaults" / "main.yml").read_text())
    options = yaml.safe_load((folder / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    assert {name: option["default"] for name, option in options.items()} == defaults
