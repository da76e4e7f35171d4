"""Webhooks on their way: kept until the receiver took them, tried again with growing pauses, given up in the end."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import uuid
from dataclasses import dataclass
from typing import Any

import aiohttp

from paypal_simulator.orders import now
from paypal_simulator.store import Store
from paypal_simulator.webhooks import ALGORITHM, CERTIFICATE_PATH, Signer, event, message, sent, written

KIND = "delivery"
SEND_TIMEOUT_S = 10
LOG = logging.getLogger("paypal_simulator")


@dataclass(frozen=True)
class Road:
    """How deliveries go: pauses before each try, and what their TLS trusts (False: anything)."""

    pauses_s: tuple[float, ...] = (0.0, 1.0, 3.0, 10.0, 30.0)
    trust: ssl.SSLContext | bool = True


class Sender:
    """Queues events inside the caller's transaction; delivers them in the background."""

    def __init__(self, store: Store, signer: Signer, public_url: str, road: Road) -> None:
        self._store, self._signer, self._public_url, self._road = store, signer, public_url, road
        self._tasks: set[asyncio.Task[None]] = set()
        self._queued: list[str] = []
        self._session: aiohttp.ClientSession | None = None

    def queue(self, kind: str, resource: dict[str, Any]) -> None:
        """Write one delivery per webhook that asked for this kind; `send` starts them after the commit."""
        for hook in self._store.all("webhook"):
            if {kind, "*"} & {one["name"] for one in hook.get("event_types", [{"name": "*"}])}:
                number = str(uuid.uuid4())
                body = written(event(kind, resource))
                self._store.put(KIND, number, {"id": number, "hook": hook, "at": now(), "body": body, "tries": 0})
                self._queued.append(number)

    async def start(self) -> None:
        """Take up what a former process left."""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SEND_TIMEOUT_S))
        self._queued = [waiting["id"] for waiting in self._store.all(KIND)]
        self.send()

    def send(self) -> None:
        """Deliver in the background what was queued and committed."""
        queued, self._queued = self._queued, []
        for waiting in filter(None, (self._store.get(KIND, number) for number in queued)):
            task = asyncio.get_running_loop().create_task(self._deliver(waiting))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _deliver(self, waiting: dict[str, Any]) -> None:
        kind = json.loads(waiting["body"])["event_type"]
        for tried in range(waiting["tries"], len(self._road.pauses_s)):
            await asyncio.sleep(self._road.pauses_s[tried])
            outcome, took = await self._try(waiting)
            told = {"event": "webhook", "type": kind, "delivery": waiting["id"], "try": tried + 1, "outcome": outcome}
            LOG.info(json.dumps(told))
            if took:
                break
            self._store.put(KIND, waiting["id"], {**waiting, "tries": tried + 1})
        else:
            LOG.warning(json.dumps({"event": "webhook_given_up", "type": kind, "delivery": waiting["id"]}))
        self._store.remove(KIND, waiting["id"])

    async def _try(self, waiting: dict[str, Any]) -> tuple[str, bool]:
        hook, body = waiting["hook"], sent(waiting["body"])
        headers = {
            "Content-Type": "application/json",
            "PAYPAL-TRANSMISSION-ID": waiting["id"],
            "PAYPAL-TRANSMISSION-TIME": waiting["at"],
            "PAYPAL-TRANSMISSION-SIG": self._signer.sign(message(waiting["id"], waiting["at"], hook["id"], body)),
            "PAYPAL-CERT-URL": f"{self._public_url}{CERTIFICATE_PATH}",
            "PAYPAL-AUTH-ALGO": ALGORITHM,
        }
        assert self._session is not None
        # aiohttp 3.8 spells "verify as usual" None, later ones True.
        trust: Any = None if self._road.trust is True else self._road.trust
        extra = {} if trust is None else {"ssl": trust}
        try:
            async with self._session.post(hook["url"], data=body, headers=headers, **extra) as answer:
                return str(answer.status), answer.status < 300
        except (aiohttp.ClientError, OSError, TimeoutError) as reason:
            return type(reason).__name__, False

    async def close(self) -> None:
        """Stop; what was not delivered waits for the next start."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
