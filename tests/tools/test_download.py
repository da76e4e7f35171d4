"""Downloads: checked against the pin before anything else sees them."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tools.download import fetch_pinned
from tools.failure import BadChecksum, Unreachable

CONTENT = b"the archive\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "tool-1.0.tar.gz").write_bytes(CONTENT)
    (folder / "checksums.txt").write_text(f"{'0' * 64}  other.tar.gz\n{SHA256}  tool-1.0.tar.gz\n")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_file_that_matches_its_pin_is_kept(site: str, tmp_path: Path) -> None:
    pin = {"version": "1.0", "urls": [site + "/tool-{version}.tar.gz"], "sha256": SHA256}
    assert fetch_pinned(pin, tmp_path / "got", io.StringIO()) == "pinned sha256"
    assert (tmp_path / "got").read_bytes() == CONTENT


def test_other_bytes_are_thrown_away_and_both_sums_named(site: str, tmp_path: Path) -> None:
    pin = {"version": "1.0", "urls": [site + "/tool-{version}.tar.gz"], "sha256": "f" * 64}
    with pytest.raises(BadChecksum) as refused:
        fetch_pinned(pin, tmp_path / "got", io.StringIO())
    assert SHA256 in refused.value.what
    assert "f" * 64 in refused.value.what
    assert "tool-1.0.tar.gz" in refused.value.what
    assert not (tmp_path / "got").exists()


def test_the_publishers_list_is_the_pin_where_no_sum_is_known(site: str, tmp_path: Path) -> None:
    pin = {
        "version": "1.0",
        "urls": [site + "/gone.tar.gz", site + "/tool-{version}.tar.gz"],
        "checksums_urls": [site + "/checksums.txt"],
    }
    log = io.StringIO()
    assert fetch_pinned(pin, tmp_path / "got", log) == "publisher's checksum list"
    assert "no checksum of gone.tar.gz" in log.getvalue()


def test_no_answer_is_unreachable_and_not_a_bad_sum(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as server:
        closed = server.server_port
    pin = {"version": "1.0", "urls": [f"http://127.0.0.1:{closed}/x"], "sha256": SHA256}
    with pytest.raises(Unreachable):
        fetch_pinned(pin, tmp_path / "got", io.StringIO())
