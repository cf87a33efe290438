"""levels.json, gates.json and the suite's own files: one truth, told three times, held equal."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from assay.certificate import Suite
from assay.certificate.levels import RANK
from assay.certificate.suite import declared
from assay.errors import UsageError
from tests.conftest import ROOT
from tests.unit.certificate.reports import a_plan, judged, written

Spoil = Callable[[list[dict[str, Any]], int], object]
SUITE = Suite.read(ROOT)


def places() -> set[str]:
    """The gates that the levels name."""
    tables = [*SUITE.levels.metrics.values(), *(one.metrics for one in SUITE.levels.results)]
    texts = [text for table in tables if isinstance(table, dict) for text in table.values()]
    return {words[2] for text in texts if len(words := text.split()) == 3}


def test_each_gate_is_asked_for_by_a_level_and_the_other_way_round() -> None:
    leaves = set()

    def walk(table: object, path: tuple[str, ...]) -> None:
        if isinstance(table, dict):
            for name, value in table.items():
                walk(value, (*path, name))
        elif path != ("schema",):
            leaves.add(path)

    walk(SUITE.gates, ())
    patterns = [tuple(place.split(".")) for place in places()]

    def fits(path: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
        return len(path) == len(pattern) and all(
            two.startswith("{") or one == two for one, two in zip(path, pattern, strict=True)
        )

    assert [path for path in leaves if not any(fits(path, pattern) for pattern in patterns)] == []
    assert [pattern for pattern in patterns if not any(fits(path, pattern) for path in leaves)] == []


def test_each_family_of_the_suite_is_asked_for() -> None:
    from smoke.runner.families import FAMILIES

    assert {one.family for one in SUITE.levels.results} == {one.name for one in FAMILIES}
    optional = {one.name for one in FAMILIES if one.optional} - {"domain"}
    assert {name for name, always in SUITE.levels.workloads.items() if not always} == optional


def test_each_row_is_of_a_level_and_each_fault_of_a_row() -> None:
    ids = [one.id for one in SUITE.levels.results]
    assert len(set(ids)) == len(ids)
    for one in SUITE.levels.faults:
        row = next(row for row in SUITE.levels.results if row.id == one.check)
        metrics = SUITE.levels.metrics[row.metrics] if isinstance(row.metrics, str) else row.metrics
        assert one.metric in metrics
    steps = [RANK[step.level] for step in SUITE.levels.levels]
    assert steps == sorted(steps)
    assert all((one.level is None) == bool(one.mark) for one in SUITE.levels.results)
    levels = {one.level for one in SUITE.levels.results if not one.mark}
    assert levels <= {step.level for step in SUITE.levels.levels}


@pytest.mark.parametrize("framework", list(SUITE.frameworks))
@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_what_is_written_from_the_levels_holds_by_them(framework: str, device: str) -> None:
    own = SUITE.frameworks[framework].workloads
    plan = a_plan(framework, device, workloads=["digits", "sequence", "compile", *own])
    verdict = judged(written(plan, SUITE), SUITE)
    assert verdict.problems == ()
    assert verdict.level in {"cpu": ["E2"], "gpu": ["E3", "E4"]}[device]
    assert (verdict.marks, verdict.unmarked) == (("everyday",), ())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda results, at: results.pop(at),
        lambda results, at: results.append(results[at]),
        lambda results, at: results[at].update(state="fail"),
        lambda results, at: results[at].update(state="not-run", reason="no time", metrics=[]),
        lambda results, at: results[at]["metrics"][0].update(value="7"),
        lambda results, at: results[at]["metrics"].pop(),
        lambda results, at: results[at].update(id=results[at]["id"].rpartition(".")[0], state="error", metrics=[]),
    ],
)
def test_what_is_wrong_with_what_only_a_mark_asks_for_costs_the_mark_and_not_the_level(spoil: Spoil) -> None:
    plan = a_plan("torch")
    for name in ("everyday.programs", "everyday.files.state-dict", "everyday.extensions.inline"):
        data = written(plan, SUITE)
        spoil(data["results"], [one["id"] for one in data["results"]].index(name))
        verdict = judged(data, SUITE)
        assert (verdict.level, verdict.problems, verdict.marks) == ("E2", (), ())
        assert verdict.unmarked[0][0].startswith("everyday")


def test_a_mark_is_nothing_without_its_level() -> None:
    data = written(a_plan("torch"), SUITE)
    next(one for one in data["results"] if one["id"] == "P2.train.f32")["state"] = "fail"
    assert judged(data, SUITE).marks == ()


def test_the_literals_of_a_frameworks_file_are_read_without_running_it(tmp_path: Path) -> None:
    path, everyday, ranks = (tmp_path / place / "new.py" for place in ("frameworks", "everyday", "ranks"))
    for one in (path, everyday, ranks):
        one.parent.mkdir()
    path.write_text(
        'raise SystemExit("run")\nCANNOT: dict[str, str] = {"f64": "it has "\n  "none"}\nCOMPILERS = ("a",)\n'
    )
    with pytest.raises(UsageError, match=r"smoke/frameworks/new\.py has no constant WORKLOADS"):
        declared(path, everyday, ranks)
    path.write_text(path.read_text() + "WORKLOADS = ()\nTAKES_GPU = True\n")
    with pytest.raises(UsageError, match=r"smoke/everyday/new\.py is missing"):
        declared(path, everyday, ranks)
    everyday.write_text('CANNOT = {"files.b": "no"}\nFORMATS = ("b",)\nEXTENSIONS = ()\n')
    ranks.write_text('CANNOT = {"ranks.b": "not there"}\nTRANSPORT = {"a": "wire"}\n')
    found = declared(path, everyday, ranks)
    assert (found.compilers, found.workloads, found.formats) == (("a",), (), ("b",))
    assert found.cannot == {"f64": "it has none", "files.b": "no", "ranks.b": "not there"}
    assert found.transport == {"a": "wire"}


def test_both_sides_take_the_same_digest_of_what_decides() -> None:
    from smoke import gates

    assert gates.digest() == SUITE.gates_digest
    assert gates.faults() == {one.id.replace(".{backend}", "") for one in SUITE.levels.faults if not one.needs}


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"schema": 2}'])
def test_levels_that_are_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "smoke").symlink_to(ROOT / "smoke")
    copied = tmp_path / "copy/smoke"
    copied.mkdir(parents=True)
    for name in ("gates.json", "reference.py", "suite.json", "frameworks", "everyday", "ranks", "compare.py"):
        (copied / name).symlink_to(ROOT / "smoke" / name)
    (copied / "levels.json").write_text(text)
    with pytest.raises(UsageError, match=r"levels\.json"):
        Suite.read(copied.parent)


def test_another_schema_of_levels(tmp_path: Path) -> None:
    smoke = tmp_path / "smoke"
    smoke.mkdir()
    for name in ("gates.json", "reference.py", "suite.json", "frameworks", "everyday", "ranks"):
        (smoke / name).symlink_to(ROOT / "smoke" / name)
    data = json.loads((ROOT / "smoke/levels.json").read_text())
    (smoke / "levels.json").write_text(json.dumps({**data, "schema": 2}))
    with pytest.raises(UsageError, match="schema 2"):
        Suite.read(tmp_path)


def test_a_kept_suite_reads_back_the_same(tmp_path: Path) -> None:
    path = SUITE.keep(tmp_path)
    assert msgspec.json.decode(path.read_bytes(), type=Suite) == SUITE
    assert SUITE.keep(tmp_path) == path
    other = msgspec.structs.replace(SUITE, digests={**SUITE.digests, "more": "0" * 64})
    assert other.keep(tmp_path) != path
    assert max(map(len, path.read_text().splitlines())) < 1000  # a line for each row
