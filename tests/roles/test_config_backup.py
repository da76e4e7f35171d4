"""The program of the config backup with a real restic and a repository in a folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from till_host.backups import config_backup


@pytest.fixture(scope="module")
def program() -> ModuleType:
    if not shutil.which("restic"):
        pytest.fail("restic is not here: run `tools/setup --tests`")
    return config_backup


class Place:
    """A host in a folder: something to save, a repository and what the last run told."""

    def __init__(self, program: ModuleType, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.program, self.folder, self.capsys = program, folder, capsys
        (folder / "etc").mkdir()
        (folder / "etc" / "haproxy.cfg").write_text("global\n")
        (folder / "etc" / "credentials").write_text("not this")
        (folder / "metrics").mkdir()
        (folder / "password").write_text("a password of the test")
        self.settings: dict[str, Any] = {
            "host": "alpha",
            "repository": str(folder / "repository"),
            "sftp_command": "",
            "password_file": str(folder / "password"),
            "cache": str(folder / "cache"),
            "lock": str(folder / "lock"),
            "result": str(folder / "result.json"),
            "metrics": str(folder / "metrics" / "till-config-backup.prom"),
            "dumps_folder": str(folder / "dumps"),
            "dumps": [{"file": "zone.txt", "command": ["echo", "a zone"]}],
            "paths": [str(folder / "etc")],
            "exclude": [str(folder / "etc" / "credentials")],
            "keep": {"within": "7d", "daily": 30},
            "check_data": "100%",
            "run_timeout_s": 60,
            "next": "till provision lab --tags config_backup",
        }

    def run(self, verb: str) -> tuple[int, str]:
        """Exit code, and what was said on either stream."""
        settings = self.folder / "settings.json"
        settings.write_text(json.dumps(self.settings))
        self.capsys.readouterr()
        code = self.program.main([verb, str(settings)])
        told = self.capsys.readouterr()
        return code, told.out + told.err

    def facts(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "result.json").read_text()))

    def metrics(self) -> dict[str, float]:
        lines = (self.folder / "metrics" / "till-config-backup.prom").read_text().splitlines()
        return {line.split()[0]: float(line.split()[1]) for line in lines}

    def restored(self) -> Path:
        """What comes back with restic, the repository's folder and the password alone."""
        target = self.folder / "restored"
        subprocess.run(
            ["restic", "-r", self.settings["repository"], "--no-cache", "restore", "latest", "--target", str(target)],
            env={"PATH": "/usr/bin:/bin", "RESTIC_PASSWORD_FILE": str(self.folder / "password")},
            check=True, capture_output=True, timeout=60,
        )  # fmt: skip
        return target


@pytest.fixture
def place(program: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Place:
    return Place(program, tmp_path, capsys)


def test_what_is_saved_comes_back_and_credentials_do_not(place: Place) -> None:
    assert place.run("run")[0] == 0
    facts = place.facts()
    assert facts["ok"] is True
    assert set(facts) >= {"at", "ok", "snapshot_id", "files", "bytes", "duration_s"}
    assert facts["files"] == 2
    back = place.restored()
    found = sorted(path.name for path in back.rglob("*") if path.is_file())
    assert found == ["haproxy.cfg", "zone.txt"]
    assert (back / place.folder.relative_to("/") / "etc" / "haproxy.cfg").read_text() == "global\n"
    assert place.metrics()["till_config_backup_last_ok"] == 1


def test_metrics_are_readable_whatever_the_umask(place: Place) -> None:
    before = os.umask(0o077)
    try:
        assert place.run("run")[0] == 0
    finally:
        os.umask(before)
    assert Path(place.settings["metrics"]).stat().st_mode & 0o777 == 0o644
    assert (place.folder / "dumps" / "zone.txt").stat().st_mode & 0o777 == 0o600


def test_first_saves_once(place: Place) -> None:
    assert json.loads(place.run("first")[1])["done"] == "saved"
    assert json.loads(place.run("first")[1])["done"] == "kept"


def test_a_wrong_password_is_named_and_an_older_success_is_kept(place: Place) -> None:
    assert place.run("run")[0] == 0
    good = place.facts()["last_success_at"]
    (place.folder / "password").write_text("another one")
    code, told = place.run("run")
    assert code == 1
    assert "does not open" in told
    assert "till provision lab" in told
    facts = place.facts()
    assert (facts["ok"], facts["last_success_at"]) == (False, good)
    assert place.metrics()["till_config_backup_last_ok"] == 0
    assert place.metrics()["till_config_backup_last_success_timestamp_seconds"] > 0


def test_a_repository_that_is_gone_is_not_made_anew_in_silence(place: Place) -> None:
    assert place.run("run")[0] == 0
    shutil.rmtree(place.folder / "repository")
    code, told = place.run("run")
    assert code == 1
    assert "there is no repository" in told
    assert "config-backup init" in told
    assert not (place.folder / "repository").exists()
    assert place.run("init")[0] == 0
    assert place.run("run")[0] == 0


def test_another_repository_in_its_place_is_refused(place: Place) -> None:
    assert place.run("run")[0] == 0
    known = place.facts()["repository_id"]
    place.settings["repository"] += "-of-somebody-else"
    (place.folder / "result.json").unlink()
    assert place.run("run")[0] == 0
    (place.folder / "result.json").write_text(json.dumps({"ok": True, "repository_id": known}))
    code, told = place.run("run")
    assert code == 1
    assert "another repository" in told


def test_what_is_missing_is_a_fault_and_the_rest_is_saved(place: Place) -> None:
    place.settings["paths"].append(str(place.folder / "letsencrypt"))
    place.settings["dumps"].append({"file": "schema.json", "command": ["false"]})
    code, told = place.run("run")
    assert code == 1
    assert "letsencrypt is missing" in told
    assert "schema.json" in told
    assert any(path.name == "haproxy.cfg" for path in place.restored().rglob("*"))


def test_a_damaged_repository_is_found_by_the_check(place: Place) -> None:
    assert place.run("run")[0] == 0
    assert place.run("check")[0] == 0
    assert place.metrics()["till_config_backup_last_check_ok"] == 1
    pack = next(path for path in (place.folder / "repository" / "data").rglob("*") if path.is_file())
    pack.chmod(0o600)
    pack.write_bytes(bytes(byte ^ 1 for byte in pack.read_bytes()))
    assert place.run("check")[0] == 1
    assert place.facts()["last_check_ok"] is False
    assert place.facts()["ok"] is True
    assert place.metrics()["till_config_backup_last_check_ok"] == 0


def test_a_host_that_is_away_is_named_within_the_time(place: Place) -> None:
    place.settings["repository"] = "sftp:ops:/repository"
    place.settings["sftp_command"] = "sh -c 'echo ssh: connect to host ops port 22: Connection timed out >&2; exit 255'"
    code, told = place.run("run")
    assert code == 1
    assert "can't be reached by SFTP" in told
    assert place.facts()["ok"] is False
