"""One root shell on each host for all checks of a run: a login for each command costs more than the command."""

from __future__ import annotations

import io
import json
import shlex
from typing import Any

from testinfra.backend.base import BaseBackend, CommandResult

from till.hosts.session import Session

# Runs each line's command as /bin/sh would; bytes pass as latin-1, whatever they are.
AGENT = """
import json, subprocess, sys
for line in sys.stdin:
    done = subprocess.run(["/bin/sh", "-c", json.loads(line)], stdin=subprocess.DEVNULL, capture_output=True)
    print(json.dumps([done.returncode, done.stdout.decode("latin-1"), done.stderr.decode("latin-1")]), flush=True)
"""
END_WITHIN_S = 10


class Shell(BaseBackend):
    """Testinfra's way to a host, as root; `run` raises RuntimeError where the connection has ended."""

    NAME = "till"

    def __init__(self, session: Session, name: str) -> None:
        super().__init__(name)
        self._process = session.talk(name, shlex.join(["python3", "-c", AGENT]))
        assert self._process.stdin and self._process.stdout and self._process.stderr
        # The pipes have no buffers of their own, and would be read a byte at a time.
        self._ask = io.BufferedWriter(self._process.stdin)  # type: ignore[arg-type]
        self._answers = io.BufferedReader(self._process.stdout)  # type: ignore[arg-type]

    def run(self, command: str, *args: str, **_: Any) -> CommandResult:
        text = self.get_command(command, *args)
        try:
            self._ask.write(json.dumps(text).encode() + b"\n")
            self._ask.flush()
            answer = self._answers.readline()
        except BrokenPipeError:
            answer = b""
        if not answer:
            assert self._process.stderr
            said = self._process.stderr.read().decode(errors="replace").strip()
            raise RuntimeError(f"host {self.hostname} can't be asked any more: {said or 'the connection ended'}")
        code, out, err = json.loads(answer)
        return self.result(code, self.encode(text), out.encode("latin-1"), err.encode("latin-1"))

    def end(self) -> None:
        self._ask.close()
        self._process.wait(END_WITHIN_S)
