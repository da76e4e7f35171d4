"""An app's descriptor, `app.yml`: how it is built, what comes out, how it starts and tells that it is well."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from till.errors import UsageError

DESCRIPTOR = "app.yml"


def _below(folder: str) -> str:
    # Anything else would ship what the build did not make, and `.` would leave no source to hash.
    parts = PurePosixPath(folder).parts
    if not parts or parts[0] == "/" or ".." in parts:
        raise ValueError("must be a folder below the app's own")
    return folder


class Service(BaseModel):
    """What a host and a deploy need to know of an app; the descriptor says it, the manifest hands it on.

    `smoke` says what a deploy does to prove it: `purchase` buys through the shop's API, `none` is for other apps.
    `probe_paths` are asked past the edge before anybody meets a release, besides the paths of health and version.
    `metrics_path` answers with Prometheus metrics where there is one. `migrations` says what the release does to the
    database: `expand` adds what the release before it does not mind, `contract` removes what an older one needs;
    `runs_beside` names the versions that do without it (till/rollout/migrations.py); `migrate` is the command that does
    it, run once, before any slot starts: what was done already it is to leave alone. `requires_env` names what must be
    in its environment and not empty. `assets_path` is how the paths of files begin whose names change with what is in
    them (hashed): both releases are asked for them, so that pages from before a switch go on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    start: str
    health_path: str
    version_path: str = ""
    probe_paths: list[str] = []
    metrics_path: str = ""
    assets_path: Annotated[str, Field(pattern=r"^(/[A-Za-z0-9._~/-]+/)?$")] = ""
    runtime: str = ""
    smoke: Literal["purchase", "none"] = "purchase"
    migrations: Literal["none", "expand", "contract"] = "none"
    migrate: str = ""
    runs_beside: list[str] = []
    requires_env: list[Annotated[str, Field(pattern=r"^[A-Z_][A-Z0-9_]*$")]] = []


class App(Service):
    """A descriptor. `runtime` (nodejs-22, go) is on PATH of the build; `artefact` is the folder that it leaves."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    build: list[str]
    artefact: Annotated[str, AfterValidator(_below)]
    test: list[str] = []

    @model_validator(mode="after")
    def _says_what_it_migrates(self) -> App:
        if self.migrate and self.migrations == "none":
            raise ValueError("migrate is there, so migrations must say what it does: expand or contract")
        return self


def describe(source: Path) -> App:
    """Read the descriptor of a source folder; raises UsageError naming file and field."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    path = source / DESCRIPTOR
    if not path.is_file():
        raise UsageError(f"{source} has no {DESCRIPTOR}", "write one: docs/runbooks/deploy.md, Any app")
    try:
        return App.model_validate(YAML(typ="safe").load(path.read_text()))
    except YAMLError as reason:
        mark = getattr(reason, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise UsageError(f"{where} is not YAML: {getattr(reason, 'problem', reason)}", f"mend {path}") from None
    except ValidationError as reason:
        told = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in reason.errors())
        raise UsageError(f"{path}: {told}", f"mend {path}") from None
