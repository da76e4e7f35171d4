"""The page of a deploy, rendered offline: what must be there, and what must not."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from till import paths
from till.records import deploy_page, deploy_plot, deploy_record
from till.records.deploy_record import Gate, PlanStep, Record, Sample, Step
from till.releases import diff

HOSTILE = "<script>alert(1)</script> \"' onload=x"
BARE: dict[str, Any] = {
    "name": "deploy-20261125T191500-v1.1.0", "stack": "lab", "kind": "deploy", "by": "ann", "at": 1_795_634_100.0,
    "new_version": "v1.1.0",
}  # fmt: skip
RECORD = Record.model_validate(BARE).model_copy(
    update={
        "strategy": "canary", "old_version": "v1.0.0", "new_sha256": "b7" * 32, "source_commit": "1d32c5d",
        "plan": [PlanStep(percent=5, hold_s=30), PlanStep(percent=100)],
        "steps": [Step(at_s=20, percent=5), Step(at_s=61, percent=0)],
        "gates": [
            Gate(at_s=12, phase="preview", gate="smoke", verdict="pass", sentence="order 17 was paid"),
            Gate(at_s=60, phase="step 5 %", gate="errors", verdict="fail", sentence="9 of 90 requests failed"),
        ],
        "traffic": [
            Sample(at_s=second, version=version, requests=10, errors=int(version == "v1.1.0" and second == 50))
            for second in range(90)
            for version in ("v1.0.0", "v1.1.0")
            if version == "v1.0.0" or 20 <= second < 61
        ],
        "phases": {"ship": 12.0, "step 5 %": 48.0}, "rollback_s": 0.4, "failed_requests": 1, "duration_s": 90.0,
        "verdict": "fail", "reason": "step 5 %: 9 of 90 requests failed",
    }
)  # fmt: skip


def test_the_page_tells_what_changed_the_plan_each_gate_and_the_times() -> None:
    page = deploy_page.render(RECORD)
    for words in (
        "v1.0.0 → v1.1.0", "verdict failed", "Not good: step 5 %: 9 of 90 requests failed", "b7" * 32, "1d32c5d",
        "Strategy canary", "5 % at 19:15:20, 0 % at 19:16:01", "19:15:12", "order 17 was paid", "1 pass", "2 fail",
        "v1.1.0 (new): 410 requests, 1 failed", "48.0 s", "0.4 s", "not compared",
    ):  # fmt: skip
        assert words in page, words


def test_the_page_needs_nothing_from_elsewhere_and_is_made_for_phones_and_the_dark() -> None:
    page = deploy_page.render(RECORD)
    assert not re.search(r"<script|<link|<img|@import|url\(|https?://", page)
    assert 'name="viewport"' in page and "prefers-color-scheme: dark" in page
    # Each svg is well-formed.
    drawings = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert [ElementTree.fromstring(one).tag for one in drawings] == ["svg"] * 5


def test_everything_is_escaped() -> None:
    record = RECORD.model_copy(
        update={
            "reason": HOSTILE, "override": HOSTILE, "by": HOSTILE, "old_version": HOSTILE, "new_version": HOSTILE,
            "source_commit": HOSTILE, "phases": {HOSTILE: 1.0}, "new_sha256": HOSTILE,
            "gates": [Gate(at_s=1, phase=HOSTILE, gate=HOSTILE, verdict="fail", sentence=HOSTILE)],
            "traffic": [Sample(at_s=1, version=HOSTILE, requests=1)],
        }
    )  # fmt: skip
    manifest = {"version": HOSTILE, "start": HOSTILE}
    bill = {"components": [{"purl": HOSTILE, "version": HOSTILE}]}
    difference = diff.compare(manifest, {"version": "v2", "migrations": [HOSTILE]}, {}, bill, [HOSTILE])
    for found in (difference, difference.model_copy(update={"unknown": []})):
        page = deploy_page.render(record, found)
        assert "<script" not in page and "\"' onload" not in page
        assert page.count("&lt;script&gt;") > 15


def test_an_unfinished_record_of_an_older_till_renders() -> None:
    page = deploy_page.render(Record.model_validate_json(json.dumps(BARE)))
    assert "Unfinished" in page and "nothing → v1.1.0" in page and "not counted" in page
    assert "<svg" not in page and "No traffic was measured" in page and "No gate was asked" in page


def test_a_first_deploy_has_one_line_and_gates_without_traffic_none() -> None:
    first = RECORD.model_copy(
        update={"old_version": None, "traffic": [one for one in RECORD.traffic if one.version == "v1.1.0"]}
    )
    (line,) = deploy_plot.plot(first)["lines"]
    assert (line["role"], line["requests"]) == ("new", 410)
    quiet = RECORD.model_copy(update={"traffic": []})
    assert deploy_plot.plot(quiet)["lines"] == [] and deploy_plot.plot(quiet)["gates"]
    assert "No traffic was measured" in deploy_page.render(quiet)


@pytest.mark.parametrize("width", [deploy_plot.WIDE, deploy_plot.NARROW])
def test_places_in_the_plot_are_inside_and_no_name_is_over_another(width: int) -> None:
    gates = [
        Gate(at_s=second * 0.5, phase="bake", gate="errors", verdict="fail" if second == 150 else "pass")
        for second in range(180)
    ]
    plot = deploy_plot.plot(RECORD.model_copy(update={"gates": gates}), width)
    for lane in (plot["steps"], plot["gates"]):
        named = [mark for mark in lane if mark["name"]]
        for row in {mark["row"] for mark in named}:
            ends = [
                (mark["name_x"] - len(mark["name"]) * 3.6, mark["name_x"] + len(mark["name"]) * 3.6)
                for mark in named
                if mark["row"] == row
            ]
            ends.sort()
            assert all(one[1] < other[0] for one, other in pairwise(ends))
            assert ends[0][0] >= -0.1 and ends[-1][1] <= width + 0.1
    assert "151 fail" in [mark["name"] for mark in plot["gates"]]
    assert max(mark["y"] for mark in plot["gates"]) <= plot["height"]
    for line in plot["lines"]:
        for x, y in re.findall(r"([\d.]+) ([\d.]+)", line["path"]):
            assert plot["left"] <= float(x) <= plot["right"] and plot["top"] <= float(y) <= plot["floor"]


def test_a_line_shows_requests_per_second_however_wide_a_point_is_and_breaks_where_nothing_was_seen() -> None:
    # 900 s make points of several seconds; the last is cut short and is no drop.
    long = [Sample(at_s=second, version="v1.1.0", requests=20) for second in range(901)]
    plot = deploy_plot.plot(RECORD.model_copy(update={"traffic": long}))
    (line,) = plot["lines"]
    assert plot["span_s"] > 1 and plot["rates"][-1]["name"] == "20"
    assert {float(y) for _, y in re.findall(r"([\d.]+) ([\d.]+)", line["path"])} == {plot["top"]}
    broken = [Sample(at_s=at_s, version="v1.1.0", requests=1) for at_s in (0, 1, 2, 40, 41)]
    (line,) = deploy_plot.plot(RECORD.model_copy(update={"traffic": broken}))["lines"]
    assert line["path"].count("M") == 2


def test_many_samples_make_a_page_that_stays_small() -> None:
    many = [Sample(at_s=s, version=v, requests=5, errors=1) for s in range(2000) for v in ("v1.0.0", "v1.1.0")]
    assert len(deploy_page.render(RECORD.model_copy(update={"traffic": many}))) < 120_000


def test_a_deploy_of_days_and_one_of_no_time_have_an_axis() -> None:
    for last in (0.0, 3.0, 400.0, 30_000.0, 3e6):
        plot = deploy_plot.plot(RECORD.model_copy(update={"traffic": [], "gates": [], "duration_s": last}))
        assert 1 <= len(plot["ticks"]) <= 12
    assert deploy_plot.bars({}) == [] and deploy_plot.bars({"ship": 0.0})[0]["percent"] > 0


def test_components_that_changed_are_told_or_why_they_are_not_known() -> None:
    old, new = {"version": "v1.0.0"}, {"version": "v1.1.0", "migrations": ["001"]}
    bill = {"components": [{"purl": "pkg:npm/zod@4.0.0", "version": "4.0.0"}]}
    page = deploy_page.render(RECORD, diff.compare(old, new, {}, bill))
    assert "1 added, 0 removed, 0 changed" in page and "pkg:npm/zod" in page and "migrations" in page
    page = deploy_page.render(RECORD, diff.compare(old, new, None, bill, ["v1.0.0 has no sbom.json"]))
    assert "v1.0.0 has no sbom.json" in page and "Components:" not in page


def test_the_page_lies_beside_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "STATE", tmp_path)
    written = deploy_page.write(RECORD)
    assert written == tmp_path / "deploys" / "lab" / f"{RECORD.name}.html" and written.read_text().startswith(
        "<!doctype"
    )
    assert deploy_record.names("lab") == []
