"""Programs that roles put on hosts, loaded where there is no host."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

from till.paths import PLAYBOOKS


def load(role: str, name: str) -> ModuleType:
    """The program `name`.py of a role as a module, anew each time; what lies beside it on a host can be imported."""
    folder = PLAYBOOKS / "roles" / role / "files"
    for place in (PLAYBOOKS / "roles" / "etcd_client" / "files", folder):
        if str(place) not in sys.path:
            sys.path.insert(0, str(place))
    spec = importlib.util.spec_from_file_location(name.replace("-", "_"), folder / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    # Its dataclasses look their module up; programs that import each other go on with the first.
    sys.modules.setdefault(spec.name, module)
    spec.loader.exec_module(module)
    return module
