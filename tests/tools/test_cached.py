"""The cache and the builds that fill it, killed in the middle: nothing is left half, nothing is left behind."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools import cached, host_images
from tools.command import as_root


def test_what_a_killed_build_left_is_removed_by_the_next(tmp_path: Path) -> None:
    entry = tmp_path / "bundle.tar.gz"
    left = tmp_path / ".bundle.tar.gz.new-abc"
    left.mkdir()
    (left / "half").write_text("x")
    with cached.new_entry(entry) as made:
        made.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == [entry.name]
    assert entry.read_text() == "whole"


def test_a_build_that_fails_leaves_the_old_entry(tmp_path: Path) -> None:
    entry = tmp_path / "tool"
    entry.write_text("old")
    with pytest.raises(OSError, match="no space"), cached.new_entry(entry) as made:
        made.write_text("half")
        raise OSError("no space")
    assert [path.name for path in tmp_path.iterdir()] == [entry.name]
    assert entry.read_text() == "old"


def test_mounts_of_a_killed_image_build_are_gone_with_it(tmp_path: Path) -> None:
    inside = 'mkdir "$TMPDIR/proc"; mount -t proc proc "$TMPDIR/proc"; ls "$TMPDIR/proc/self/stat"; exec sleep 60'
    command = as_root(host_images.in_private_mounts(tmp_path, ["sh", "-ec", inside]))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as build:
        assert build.stdout is not None
        said = build.stdout.readline()
        mounts = Path("/proc/self/mounts").read_text()
        build.kill()
    assert said.strip() == f"{tmp_path}/proc/self/stat"
    assert str(tmp_path) not in mounts
    assert list(tmp_path.iterdir()) == []
