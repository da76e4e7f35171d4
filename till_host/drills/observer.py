"""What the stack tells while it is broken: names, who leads, the leader's key; each change with its time."""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
import time
from base64 import b64decode
from collections.abc import Callable
from functools import partial
from http.client import HTTPException
from typing import Any

from till_host.drills.measure import FOLLOWS, KEY, LEADS, RELEASED, Told
from till_host.etcd import PKI
from till_host.https import Place
from till_host.public_dns import answers


class Watch:
    """Collects in the background while the block runs: `all` holds the first answer of each and every change."""

    def __init__(self, rules: dict[str, Any], internal: ssl.SSLContext) -> None:
        self.rules, self.internal, self.all = rules, internal, list[Told]()
        self._last, self._lock, self._over = dict[str, str](), threading.Lock(), threading.Event()
        self._etcd: subprocess.Popen[str] | None = None

    def __enter__(self) -> Watch:
        asks: dict[str, Callable[[], str]] = {}
        for who, server in answers.servers(self.rules).items():
            asks[who] = partial(answers.led_to, self.rules, server)
        for host in self.rules["hosts"]:
            if "database" in host["roles"]:
                asks[f"database {host['name']}"] = partial(self._primary, host)
        for who, ask in asks.items():
            threading.Thread(target=self._ask, args=(who, ask), daemon=True).start()
        if self.rules["etcd"]:
            threading.Thread(target=self._key, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._etcd is not None:
            self._etcd.kill()
            self._etcd.wait()

    def strayed(self, site: str) -> str:
        """Who of those that tell names leads elsewhere now; "" when all lead to the site."""
        told = {who: self._last.get(who, "") for who in answers.servers(self.rules)}
        return ", ".join(who for who, what in told.items() if what != site)

    def _note(self, who: str, what: str) -> None:
        with self._lock:
            if self._last.get(who) != what:
                self._last[who] = what
                self.all.append(Told(time.time(), who, what))

    def _ask(self, who: str, ask: Callable[[], str]) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            self._note(who, ask())
            self._over.wait(max(0.02, began + self.rules["watch_interval_s"] - time.monotonic()))

    def _primary(self, host: dict[str, Any]) -> str:
        place = Place(host["name"], host["address"], self.internal, self.rules["patroni_port"])
        try:
            return LEADS if place.ask("GET", "/primary", connect_timeout_s=1, timeout_s=2)[0] == 200 else FOLLOWS
        except (OSError, HTTPException):
            return answers.SILENCE

    def _key(self) -> None:
        """etcd tells each change of the leader's key as it happens: one JSON object a line."""
        etcd = self.rules["etcd"]
        self._etcd = subprocess.Popen(
            ["etcdctl", "watch", "--write-out=json", etcd["key"]], stdout=subprocess.PIPE, text=True,
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={
                "PATH": "/usr/bin:/bin", "ETCDCTL_API": "3", "ETCDCTL_ENDPOINTS": etcd["endpoint"],
                "ETCDCTL_CACERT": f"{PKI}/ca.pem", "ETCDCTL_CERT": f"{PKI}/host.pem", "ETCDCTL_KEY": f"{PKI}/host.key",
            },
        )  # fmt: skip
        assert self._etcd.stdout
        for line in self._etcd.stdout:
            for event in json.loads(line).get("Events") or []:
                # 1 is a deletion; a key that is put has no type in etcd's JSON.
                gone = event.get("type") in (1, "DELETE")
                self._note(KEY, RELEASED if gone else b64decode(event["kv"]["value"]).decode())
