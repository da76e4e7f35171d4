"""Ask this host's Prometheus.

    metrics QUERY    prints {"now": s since the epoch, "result": as Prometheus's HTTP API has it}

Exit codes: 0 answered, 1 not, 2 bad usage.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

PLACE = "http://127.0.0.1:9090/api/v1/query"
TIMEOUT_S = 5


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        with urllib.request.urlopen(
            f"{PLACE}?{urllib.parse.urlencode({'query': sys.argv[1]})}", timeout=TIMEOUT_S
        ) as answer:
            told = json.load(answer)
    except urllib.error.HTTPError as reason:
        print(f"metrics: Prometheus says {reason.code}: {reason.read(600).decode(errors='replace')}", file=sys.stderr)
        return 1
    except (OSError, ValueError) as reason:
        print(f"metrics: Prometheus does not answer ({reason}): systemctl status prometheus", file=sys.stderr)
        return 1
    print(json.dumps({"now": time.time(), "result": told["data"]["result"]}))
    return 0
