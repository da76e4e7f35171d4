"""Artefacts and images: same content, same bytes; what goes in is read from one place."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tools import apt_sources, directus, host_images
from tools.archive import pack
from tools.role_packages import role_packages


def _tree(folder: Path, age_s: int) -> Path:
    (folder / "node_modules" / "b").mkdir(parents=True)
    for name in ("node_modules/b/index.js", "node_modules/a.js"):
        (folder / name).write_text(name)
        os.utime(folder / name, (time.time() - age_s,) * 2)
    return folder


def test_the_same_content_packs_to_the_same_bytes(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as log:
        for name, age_s in (("one", 0), ("two", 5000)):
            pack(tmp_path / f"{name}.tar.gz", _tree(tmp_path / name, age_s), ["node_modules"], log)
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tar.gz").read_bytes()


def test_prune_takes_what_is_listed_and_no_more(tmp_path: Path) -> None:
    modules = tmp_path / "node_modules"
    for name in ("oracledb/lib/x.js", "knex/index.js", "knex/types/index.d.ts", ".bin/.keep"):
        (modules / name).parent.mkdir(parents=True, exist_ok=True)
        (modules / name).write_text("")
    (modules / ".bin" / "oracle").symlink_to("../oracledb/lib/x.js")
    assert directus.prune(modules, "# a comment\noracledb\n**/*.d.ts\nnot-there\n") == 2
    left = sorted(str(path.relative_to(modules)) for path in modules.rglob("*") if not path.is_dir())
    assert left == [".bin/.keep", "knex/index.js"]


def test_the_bundle_is_named_by_what_it_is_made_from() -> None:
    name = directus.bundle().name
    assert name.startswith(f"directus-{directus.directus_version()}-")
    assert name.endswith(".tar.gz")


def test_image_names_follow_their_inputs() -> None:
    assert host_images.host_image().startswith("till-host:")
    assert host_images.lab_image().startswith("till-lab:")
    assert host_images.lab_image() == host_images.lab_image()


def test_packages_come_from_the_roles(tmp_path: Path) -> None:
    for role, text in (("a", "a_packages: [zstd, haproxy]\na_x: 1\n"), ("b", "b_packages: [haproxy, '{{ x }}']\n")):
        (tmp_path / role / "defaults").mkdir(parents=True)
        (tmp_path / role / "defaults" / "main.yml").write_text(text)
    assert role_packages(tmp_path) == ["haproxy", "zstd"]
    assert "postgresql-15" in role_packages()


def test_apt_sources_of_both_forms(tmp_path: Path) -> None:
    one_line, deb822 = tmp_path / "sources.list", tmp_path / "debian.sources"
    one_line.write_text(
        "# x\ndeb [signed-by=/k] http://a.example/debian bookworm main contrib\ndeb http://b.example x y\n"
    )
    deb822.write_text(
        "Types: deb\n# note\nURIs: http://c.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\n\n"
        "Types: deb\nURIs: http://d.example/node\nSuites: nodistro\nComponents: main\n"
    )
    assert apt_sources.sources([one_line, deb822]).splitlines() == [
        "deb http://a.example/debian bookworm main",
        "deb http://c.example/debian bookworm main",
        "deb http://c.example/debian bookworm-updates main",
    ]
    deb822.write_text("Types: deb\nURIs: http://c.example/debian\nSuites: trixie\nComponents: main\n")
    assert apt_sources.sources([deb822]) == ""
