#!/usr/bin/python3
"""Stand in for people's channels: keep what is sent, one JSON line for each message with the time that it came.

webhook PORT. Without the login of the credential `login` (USER:PASSWORD) it answers 401, and what it can't keep 500.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

MAX_BYTES = 1 << 20


class Webhook(BaseHTTPRequestHandler):
    expected = ""
    kept: Path

    def do_POST(self) -> None:
        if not hmac.compare_digest(self.headers.get("Authorization", ""), self.expected):
            self._answer(401)
            return
        try:
            message = json.loads(self.rfile.read(min(int(self.headers.get("Content-Length") or 0), MAX_BYTES)))
            with self.kept.open("a") as file:
                file.write(json.dumps({"received_at": round(time.time(), 3), **message}) + "\n")
        except (OSError, ValueError, TypeError) as reason:
            print(f"a message could not be kept: {type(reason).__name__}", flush=True)
            self._answer(500)
            return
        self._answer(200)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """What came is kept; no line for each request."""


def main(port: int) -> None:
    login = (Path(os.environ["CREDENTIALS_DIRECTORY"]) / "login").read_bytes().strip()
    Webhook.expected = f"Basic {base64.b64encode(login).decode()}"
    Webhook.kept = Path(os.environ["STATE_DIRECTORY"]) / "received.jsonl"
    ThreadingHTTPServer(("", port), Webhook).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]))
