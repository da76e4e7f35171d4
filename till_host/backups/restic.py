"""restic with this host's repository, and what its errors mean here."""

from __future__ import annotations

import json
import subprocess
import time
from typing import Any

from till_host.faults import Fault

# restic's words for a folder, and for an SFTP server's folder, without a repository.
GONE = ("config: no such file or directory", "config file: Lstat: file does not exist")


class Gone(Fault):
    """Where the repository should be there is none."""


class Repository:
    """restic with one repository; every call has the run's deadline."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.deadline = time.monotonic() + settings["run_timeout_s"]
        self.environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "RESTIC_REPOSITORY": settings["repository"],
            "RESTIC_PASSWORD_FILE": settings["password_file"],
            "RESTIC_CACHE_DIR": settings["cache"],
            "RESTIC_PROGRESS_FPS": "0.1",
        }

    def call(self, *arguments: str, accepted: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess[str]:
        command = ["restic", "--quiet", *arguments]
        if self.settings["sftp_command"]:
            command += ["-o", f"sftp.command={self.settings['sftp_command']}"]
        left_s = max(1.0, self.deadline - time.monotonic())
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, env=self.environment, timeout=left_s, check=False
            )
        except subprocess.TimeoutExpired:
            limit_s = self.settings["run_timeout_s"]
            raise Fault(
                f"restic {arguments[0]} was not done after {limit_s} s: is the repository's disk slow?"
            ) from None
        if done.returncode not in accepted:
            raise self._fault(arguments[0], done.stderr.strip())
        return done

    def _fault(self, verb: str, said: str) -> Fault:
        where = self.settings["repository"]
        if "wrong password" in said:
            name = self.settings["password_file"]
            return Fault(f"the password in {name} does not open {where}: {self.settings['next']}")
        if any(sign in said for sign in GONE):
            return Gone(f"there is no repository at {where}; if its host was built anew: config-backup init")
        if "sftp session" in said or "ssh:" in said:
            return Fault(f"the repository's host can't be reached by SFTP ({where}): {said[-400:]}")
        return Fault(f"restic {verb} of {where} failed: {said[-600:]}")

    def identity(self) -> str:
        """The repository's id; raises Fault when it can't be opened."""
        return str(json.loads(self.call("cat", "config").stdout)["id"])

    def init(self) -> None:
        self.call("init")
