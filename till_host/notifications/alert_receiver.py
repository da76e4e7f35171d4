"""Alertmanager's webhook on loopback: every alert that begins or ends becomes an event for people (`spool`).

Answers 200 once the events are safe on the disk, else 500, so that Alertmanager tries again. Settings:
/etc/till/notify.json.
"""

from __future__ import annotations

import json
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from till_host.notifications import spool

SETTINGS = Path("/etc/till/notify.json")
MAX_BYTES = 1 << 20


def event(alert: dict[str, Any], stack: str, now: float) -> dict[str, Any]:
    """An event of one alert in Alertmanager's words (webhook version 4). Pure."""
    labels, notes = alert["labels"], alert.get("annotations", {})
    firing = alert["status"] == "firing"
    name, what = labels["alertname"], notes.get("summary", labels["alertname"])
    severity = {"critical": "failure"}.get(labels.get("severity", ""), "warning") if firing else "success"
    where = f" on {labels['host']}" if "host" in labels else ""
    since = f"Since {alert['startsAt'][:19].replace('T', ' ')} UTC."
    lines = [f"{what} {since}" if firing else f"{name}{where} is over. It was: {what}"]
    lines.append(f"Next: till status {stack}; {notes.get('runbook', 'docs/runbooks/alerts.md')}")
    kind = "alert" if firing else "resolved"
    return {
        "kind": kind, "severity": severity, "title": f"Till {stack}: {kind}: {name}{where}", "text": "\n".join(lines),
        "at": now, "facts": {"alert": name, "fingerprint": alert.get("fingerprint", "")},
    }  # fmt: skip


class Receiver(BaseHTTPRequestHandler):
    settings: dict[str, Any]

    def do_POST(self) -> None:
        try:
            size = int(self.headers.get("Content-Length") or 0)
            if size > MAX_BYTES:
                raise ValueError(f"{size} bytes")
            for alert in json.loads(self.rfile.read(size))["alerts"]:
                spool.put(event(alert, self.settings["stack"], time.time()), self.settings["host"])
        except (OSError, ValueError, KeyError, TypeError) as reason:
            print(f"an alert could not be kept: {type(reason).__name__} {reason}", flush=True)
            self.send_response(500)
        else:
            self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """What was kept stands in the spool; no line for each request."""


def main() -> None:
    Receiver.settings = json.loads(SETTINGS.read_text())
    HTTPServer(("127.0.0.1", Receiver.settings["alerts_port"]), Receiver).serve_forever()
