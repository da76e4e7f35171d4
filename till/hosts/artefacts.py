"""What hosts get from the controller besides releases: paths in the cache, made by the set-up."""

from __future__ import annotations

from till.errors import UsageError
from tools import apprise, directus, host_package, paths, patroni
from tools.pins import version


def variables() -> dict[str, str]:
    """Inventory variables that name the artefacts; raises UsageError when the set-up has not made one."""
    found = {
        "till_node_archive": paths.node_archive(),
        "till_directus_bundle": directus.bundle(),
        "till_patroni_wheels": patroni.wheels(),
        "till_apprise": apprise.packages(),
        "till_host_package": host_package.wheel(),
    }
    missing = [str(path) for path in found.values() if not path.is_file()]
    if missing:
        raise UsageError(f"not made yet: {', '.join(missing)}", "make tools")
    return {
        **{name: str(path) for name, path in found.items()},
        "till_node_version": version("node"),
        "till_directus_version": directus.directus_version(),
    }
