"""pgBackRest's repositories of the benchmark: each a configuration of its own and one full backup of the source."""

from __future__ import annotations

import re
from dataclasses import dataclass

from benchmarks import settings
from benchmarks.container import WORK, Container
from benchmarks.database import SOURCE

RESTORED = f"{WORK}/restored"
TIMEOUT_S = 1800
# What is decided when a backup is made; anything else can be tried on a backup that is there.
OF_BACKUPS = ("compress-", "repo1-", "beta")

MAKE = f"""
mkdir -p {WORK}/conf {WORK}/repositories
install -d -o postgres -g postgres "{WORK}/repositories/$1"
install -d -o postgres -g postgres /var/spool/pgbackrest
install -m 0600 -o postgres -g postgres /dev/stdin "{WORK}/conf/$1.conf" <<'CONF'
CONFIGURATION
CONF
"""


@dataclass(frozen=True)
class Repository:
    """`name` is its configuration's file, and its folder unless `at` says where else it lies."""

    name: str
    stanza: str
    at: str = ""

    def argv(self, command: str, *options: str) -> list[str]:
        """A pgBackRest command on this repository."""
        where = [f"--config={WORK}/conf/{self.name}.conf", f"--repo1-path={self.folder}", "--log-level-file=off"]
        return ["pgbackrest", command, f"--stanza={self.stanza}", *where, *options]

    def restore(self, *options: str) -> list[str]:
        """The command that restores into RESTORED, as Till's own verbs and drills give it."""
        return self.argv("restore", f"--pg1-path={RESTORED}", "--archive-mode=off", *options)

    @property
    def folder(self) -> str:
        return self.at or f"{WORK}/repositories/{self.name}"


def till_conf(cipher_key: str) -> str:
    """Till's own configuration, for one host."""
    return settings.pgbackrest_conf(SOURCE, cipher_key)


def default_conf(stanza: str) -> str:
    """A configuration that leaves everything to pgBackRest's defaults."""
    return f"[global]\n[{stanza}]\npg1-path={SOURCE}\n"


def with_options(conf: str, options: dict[str, str]) -> str:
    """The configuration with some options of [global] set otherwise, or besides. Pure."""
    for name, value in options.items():
        line = f"{name}={value}"
        conf, found = re.subn(rf"^{re.escape(name)}=.*$", line, conf, flags=re.MULTILINE)
        if not found:
            conf = conf.replace("[global]\n", f"[global]\n{line}\n", 1)
    return conf


def needs_backup(options: dict[str, str]) -> bool:
    """Whether the options change what a backup writes. Pure."""
    return any(name.startswith(OF_BACKUPS) for name in options)


def configure(container: Container, name: str, conf: str, stanza: str) -> Repository:
    """Write the configuration; the repository is empty."""
    container.shell(MAKE.replace("CONFIGURATION", conf), name, timeout_s=30)
    return Repository(name, stanza)


def back_up(container: Container, repository: Repository) -> dict[str, float]:
    """A full backup of the stopped source; {elapsed_s, cpu_s, bytes of the repository}."""
    # The source is stopped and has no standby here.
    commands = (("stanza-create", "--no-online"), ("backup", "--type=full", "--no-online", "--no-backup-standby"))
    for command in commands:
        argv = repository.argv(*command)
        made = container.measure("time", TIMEOUT_S, argv=argv, cold=[SOURCE], flush=repository.folder, empty=False)
    return made
