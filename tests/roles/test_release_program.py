"""What the program `release` of a host unpacks and starts: only what the stack's key signed."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from infra.components.signing_key import new_key_pair
from infra.contract import ReleaseKey
from till.paths import CHECKOUT
from till.releases import signature as signatures
from till_host.faults import Fault
from till_host.slots import edge, release, signature, units
from till_host.slots import state as slots

VERSION = "v1.0.0"
PRIVATE, PUBLIC = new_key_pair()


def key_of(private: str, public: str) -> ReleaseKey:
    return ReleaseKey.model_validate({"private_key_pem": private, "public_key_pem": public})


class Host:
    """The program in a folder of its own, with a release as a deploy uploads it."""

    def __init__(self, root: Path, release: ModuleType) -> None:
        self.root, self.release = root, release
        for name in ("incoming", "releases", "manifests", "slots", "start"):
            (root / name).mkdir()
        (root / "key.pem").write_text(PUBLIC)
        self.partial = root / "incoming" / f"{VERSION}.tar.gz.partial"
        with tarfile.open(self.partial, "w:gz") as archive:
            entry = tarfile.TarInfo("server.js")
            entry.size = 2
            archive.addfile(entry, io.BytesIO(b"ok"))
        self.sha256 = hashlib.sha256(self.partial.read_bytes()).hexdigest()
        self.manifest = root / "manifests" / f"{VERSION}.json"
        self.signature = root / "manifests" / f"{VERSION}.json.sig"
        self.signed()

    def signed(self, key: ReleaseKey | None = None, **changed: Any) -> None:
        document = {"version": VERSION, "sha256": self.sha256, "start": "./server", "health_path": "/up", **changed}
        self.manifest.write_text(json.dumps(document, indent=2))
        content = self.manifest.read_bytes()
        self.signature.write_bytes(signatures.sign(content, key or key_of(PRIVATE, PUBLIC)))

    def unpack(self) -> None:
        self.release.unpack(VERSION)

    def start(self) -> None:
        self.release.start("green", VERSION, "digest")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    policy = {"ports": {"blue": 1, "green": 2}, "start_deadline_s": 5, "releases_kept": 0, "check_path": "/up"}
    policy |= {"check_interval_ms": 500, "check_fall": 3, "journal_lines": 3}
    (tmp_path / "app.json").write_text(json.dumps(policy))
    for name, path in {"SETTINGS": "app.json", "STATE": "slots.json", "LOCK": "lock"}.items():
        monkeypatch.setattr(slots, name, tmp_path / path)
    monkeypatch.setattr(edge, "EDGE", tmp_path / "no-edge")
    monkeypatch.setattr(edge, "BACKEND", tmp_path / "no-edge" / "slots.cfg")
    monkeypatch.setattr(signature, "KEY", tmp_path / "key.pem")
    monkeypatch.setattr(release, "ROOT", tmp_path)
    # There is no systemd behind it, and whoever runs the tests may not be root.
    monkeypatch.setattr(units, "systemctl", lambda *_: 0)
    monkeypatch.setattr(units, "healthy", lambda *_: "")
    real = release.subprocess.run
    monkeypatch.setattr(
        release.subprocess, "run", lambda argv, **more: None if "chown" in argv[0] else real(argv, **more)
    )
    return Host(tmp_path, release)


def test_a_signed_release_is_unpacked_and_started(host: Host) -> None:
    host.unpack()
    assert (host.root / "releases" / VERSION / "server.js").read_text() == "ok"
    host.start()
    assert (host.root / "start" / "green").read_text() == "#!/bin/sh\nexec ./server\n"
    assert (host.root / "slots" / "green").resolve() == host.root / "releases" / VERSION
    assert slots.load()["green"] == VERSION
    # Manifests of what is on this host stay.
    assert host.manifest.exists() and host.signature.exists()


def test_a_migration_of_several_commands_fails_where_one_of_them_does(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = list[Path]()
    monkeypatch.setattr(units, "migrated", lambda _folder, program: ran.append(program) or "")
    host.unpack()
    assert host.release.migrate(VERSION) == {"migrated": False} and ran == []
    host.signed(migrate="false; echo done")
    assert host.release.migrate(VERSION)["migrated"] is True
    done = subprocess.run(["sh", str(ran[0])], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    tampered_manifest(host)
    with pytest.raises(Fault, match="is not signed by"):
        host.release.migrate(VERSION)


def test_a_migration_is_confined_as_a_release_is() -> None:
    unit = (CHECKOUT / "playbooks/roles/app/templates/app@.service.j2").read_text()
    # What is the service's own: its files, how it starts anew, where it runs.
    own = ("EnvironmentFile", "Environment", "WorkingDirectory", "ExecStart", "SyslogIdentifier", "CacheDirectory",
           "Restart", "RestartSec", "TimeoutStopSec", "MemoryMax")  # fmt: skip
    service = unit.partition("[Service]\n")[2].partition("\n[")[0].splitlines()
    lines = {line for line in service if "=" in line and line.partition("=")[0] not in own and line[0] != "#"}
    assert lines == set(units.CONFINED)


def test_the_last_lines_of_a_unit_are_told_without_the_values_of_its_secrets(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    (host.root / "green.env").write_text(
        '# Managed.\nPAYPAL_CLIENT_SECRET="hidden"\nSESSION_KEY="a\\"b"\nAPP_VERSION="v1"\n'
    )
    monkeypatch.setattr(units, "ENVIRONMENT", str(host.root / "{slot}.env"))
    said, asked = "\n".join([*map(str, range(30)), 'no: hidden a"b v1']), list[list[str]]()

    def run(argv: list[str], **_: Any) -> Any:
        asked.append(argv)
        return SimpleNamespace(stdout=said)

    monkeypatch.setattr(units.subprocess, "run", run)
    assert units.journal("till-migrate.service", "green", 99.7) == "28\n29\nno: [REDACTED] [REDACTED] v1"
    # Whole seconds, and no later one: what is said within the first must not be missed.
    assert "--since=@99" in asked[-1] and "--sync" in asked[0]


def test_manifests_of_releases_that_are_gone_go_too(host: Host) -> None:
    for name in ("v0.9.0.json", "v0.9.0.json.sig"):
        (host.root / "manifests" / name).write_text("old")
    host.unpack()
    host.start()
    assert sorted(path.name for path in (host.root / "manifests").iterdir()) == [
        f"{VERSION}.json", f"{VERSION}.json.sig"
    ]  # fmt: skip


def test_the_last_releases_that_served_stay_whatever_came_after_them(host: Host) -> None:
    slots.SETTINGS.write_text(json.dumps({**slots.settings(), "releases_kept": 2}))
    for name in ("v0.6.0", "v0.7.0", "v0.8.0", "v0.9.0", "v0.9.1-broken", "v0.9.2-broken"):
        (host.root / "releases" / name).mkdir()
    # The newest by age never served; one that did is gone from the disk.
    slots.save({**slots.load(), "served": ["v0.9.0", "v0.5.0", "v0.6.0", "v0.7.0"]})
    host.unpack()
    host.start()
    assert sorted(path.name for path in (host.root / "releases").iterdir()) == ["v0.6.0", "v0.7.0", VERSION]


def tampered_manifest(host: Host) -> None:
    host.manifest.write_text(host.manifest.read_text().replace("./server", "./other"))


def same_words_in_other_bytes(host: Host) -> None:
    host.manifest.write_text(json.dumps(json.loads(host.manifest.read_text())))


def other_key(host: Host) -> None:
    host.signed(key_of(*new_key_pair()))


def other_version(host: Host) -> None:
    host.signed(version="v0.9.0")


def key_is_no_key(host: Host) -> None:
    (host.root / "key.pem").write_text("no key")


NOT_SIGNED = r"the manifest of v1\.0\.0 on \S+ is not signed by the key in \S+key\.pem \(.+\): till provision if"
REFUSED: list[tuple[Callable[[Host], None], str]] = [
    (tampered_manifest, NOT_SIGNED),
    (same_words_in_other_bytes, NOT_SIGNED),
    (other_key, NOT_SIGNED),
    (key_is_no_key, NOT_SIGNED),
    (lambda host: host.signature.write_bytes(b""), NOT_SIGNED),
    (
        lambda host: host.signature.unlink(),
        r"v1\.0\.0\.json\.sig is not on \S+, so nothing vouches for v1\.0\.0: deploy",
    ),
    (
        lambda host: host.manifest.unlink(),
        r"v1\.0\.0\.json is not on \S+, so nothing vouches for v1\.0\.0: deploy again",
    ),
    (lambda host: (host.root / "key.pem").unlink(), r"key\.pem is not on \S+, so nothing vouches .*: till provision"),
    (other_version, r"is the manifest of v0\.9\.0: deploy again"),
]


@pytest.mark.parametrize(("change", "told"), REFUSED)
def test_nothing_is_unpacked_before_it_is_checked(host: Host, change: Callable[[Host], None], told: str) -> None:
    change(host)
    with pytest.raises(Fault, match=told):
        host.unpack()
    left = [entry for name in ("releases", "incoming") for entry in (host.root / name).iterdir()]
    assert left == []


@pytest.mark.parametrize(("change", "told"), REFUSED)
def test_nothing_is_started_before_it_is_checked(host: Host, change: Callable[[Host], None], told: str) -> None:
    host.unpack()
    change(host)
    with pytest.raises(Fault, match=told):
        host.start()
    left = [entry for name in ("slots", "start") for entry in (host.root / name).iterdir()]
    assert left == []
    assert not (host.root / "slots.json").exists()


def test_a_damaged_artefact_is_refused_and_leaves_nothing(host: Host) -> None:
    with host.partial.open("ab") as file:
        file.write(b"x")
    with pytest.raises(Fault, match=f"the signed manifest says {host.sha256}: deploy again"):
        host.unpack()
    left = [entry for name in ("releases", "incoming") for entry in (host.root / name).iterdir()]
    assert left == []


def test_what_lies_unpacked_must_be_the_signed_artefact(host: Host) -> None:
    """Another artefact of the same version was unpacked before: the manifest that came with this deploy differs."""
    host.unpack()
    host.signed(sha256="00" * 32)
    with pytest.raises(Fault, match=r"is not what v1\.0\.0's signed manifest says: rm -r"):
        host.start()
    assert not any((host.root / "start").iterdir())
