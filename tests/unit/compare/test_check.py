"""What the results amount to, and what is wrong with those that were changed: each is named, nothing is averaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from assay import compare
from assay.compare import Answer, Ratio
from assay.errors import VerificationFailed
from tests.unit.compare.made import Place

Lines = list[dict[str, Any]]


def answer(place: Place, framework: str, cell: str = "net/tuned") -> Answer:
    return place.compare().of("fast", cell)[framework]


def ratio(place: Place, framework: str, cell: str = "net/tuned") -> Ratio:
    return answer(place, framework, cell).ratios["steps"]


def test_what_was_measured_stands(measured: Place) -> None:
    found = measured.compare()
    assert [one for one in found.problems if one.void] == []
    compare.require_sound(found)
    assert {one.outcome for one in found.answers} == {"done"}
    assert [one.passed for one in found.controls] == [True, True]
    for control in found.controls:
        assert control.same.holds(1.0)
        assert control.slowed is not None
        assert control.slowed.holds(1.05)
        assert not control.slowed.holds(1.0)


def test_a_ratio_is_to_pytorch_as_written_within_its_block(measured: Place) -> None:
    one = ratio(measured, "tensor")
    assert one.interval.holds(1.3)
    assert one.verdict == "shown"
    assert one.set == "1"
    assert one.again is not None
    assert sorted(one.points) == list(range(15))
    assert one.value == pytest.approx(1.3, rel=0.02)
    assert one.baseline == pytest.approx(1.0, rel=0.02)
    lines = {
        (line.role, line.cell): line
        for line in measured.lines("fast")
        if line.block == 3 and line.set == "1" and line.framework == "torch"
    }
    tuned = next(
        line
        for line in measured.lines("fast")
        if (line.block, line.set, line.framework, line.cell) == (3, "1", "tensor", "net/tuned")
    )
    expected = tuned.values["steps"][0] / lines["compared", "net/written"].values["steps"][0]  # type: ignore[index, operator]
    assert one.points[3] == pytest.approx(expected)
    assert ratio(measured, "plain").verdict == "no difference shown"
    itself = ratio(measured, "torch", "net/written")
    assert itself.interval.holds(1.0), "as written, PyTorch is compared with its control"
    assert itself.points != ratio(measured, "torch").points


def each(change: Callable[[dict[str, Any]], Any], **where: Any) -> Callable[[Lines], None]:
    """A change of the lines that have these values."""

    def edit(lines: Lines) -> None:
        several = [line for line in lines if all(line[name] == value for name, value in where.items())]
        assert several
        for line in several:
            change(line)

    return edit


def without(**where: Any) -> Callable[[Lines], None]:
    def edit(lines: Lines) -> None:
        before = len(lines)
        lines[:] = [line for line in lines if not all(line[name] == value for name, value in where.items())]
        assert len(lines) < before

    return edit


def slower(factor: float, **where: Any) -> Callable[[Lines], None]:
    def change(line: dict[str, Any]) -> None:
        line["values"]["steps"] = [factor * one for one in line["values"]["steps"]]

    return each(change, **where)


BLOCK3 = {"set": "1", "block": 3}
PLAIN = {"framework": "plain", "cell": "net/tuned", **BLOCK3}
OTHER = "sha256:" + "f" * 64
VOID: dict[str, tuple[Callable[[Lines], None], str]] = {
    "a program that changed": (each(lambda one: one.update(program="e" * 64), framework="plain"), "program has"),
    "other layers": (each(lambda one: one.update(layers=[OTHER]), framework="plain"), "other layers than"),
    "an image that nobody certified": (each(lambda one: one.update(image="mine"), framework="plain"), "mine has no"),
    "a machine under load": (each(lambda one: one.update(load=1.2), place=2, **BLOCK3), "others kept more than 0.25"),
    "a block without a framework": (without(framework="plain", **BLOCK3), "block 3 of set 1 lacks plain"),
    "a block without a control": (without(role="control", **BLOCK3), "block 3 of set 1 lacks torch as control"),
    "a block without a cell": (without(framework="plain", cell="net/tuned", **BLOCK3), "lacks net/tuned"),
    "a line twice": (lambda lines: lines.append(lines[7]), "has a cell twice"),
    "a block of two": (each(lambda one: one.update(place=0), **BLOCK3), "was put together from several"),
    "two machines": (each(lambda one: one["machine"].update(cpu="other"), **BLOCK3), "set 1 was measured on 2 mach"),
    "other limits": (each(lambda one: one["limits"].update(memory_bytes=1), **BLOCK3), "or with other limits"),
    "too few blocks": (without(block=14), "has 14 whole blocks, and 15 are needed"),
    "other losses": (each(lambda one: one["values"].update(loss=[2.3, 2.21]), **PLAIN), "at step 2 is 2.21, and the"),
    "no reference": (each(lambda one: one["values"].pop("reference"), **PLAIN), "its losses are not those that the"),
    "no losses": (each(lambda one: one["values"].pop("loss"), **PLAIN), "its losses are not"),
    "a cell that is not asked": (each(lambda one: one.update(cell="net/fast"), **PLAIN), "no such cell"),
    "facts of a timed question": (each(lambda one: one.update(block=None), **BLOCK3), "a timed question has blocks"),
    "PyTorch that differs from itself": (slower(1.03, role="control", set="1"), "torch differs from itself, 1.03"),
    "a slowdown that was not seen": (slower(1 / 1.05, role="slowed", set="1"), "a slowdown by 1.05 came out as"),
    "a slowdown that is another": (slower(1.02, role="slowed", set="1"), "a slowdown by 1.05 came out as 1.07"),
    "no controls": (without(role="control"), "too few controls"),
}  # fmt: skip


@pytest.mark.parametrize("name", VOID)
def test_what_must_not_be_there_is_named(measured: Place, name: str) -> None:
    change, said = VOID[name]
    measured.edit("fast", change)
    found = measured.compare()
    told = [one for one in found.problems if one.void and said in one.what]
    assert told, [one.what for one in found.problems]
    assert all(one.file == "fast.jsonl" for one in told)
    with pytest.raises(VerificationFailed, match="the comparison does not stand: ") as refused:
        compare.require_sound(found)
    assert len(str(refused.value).splitlines()) == 2


def test_a_problem_names_its_lines_and_its_cell(measured: Place) -> None:
    measured.edit("fast", each(lambda one: one.update(load=1.2), framework="plain", cell="net/tuned", **BLOCK3))
    told = next(one for one in measured.compare().problems if "others kept" in one.what)
    text = (measured.folder / "fast.jsonl").read_text().splitlines()
    assert (told.framework, told.cell) == ("plain", "net/tuned")
    assert [json.loads(text[number - 1])["load"] for number in told.lines] == [1.2]


def test_a_block_that_is_not_whole_is_in_no_average(measured: Place) -> None:
    measured.edit("fast", slower(50, framework="plain", **BLOCK3))
    assert ratio(measured, "plain").points[3] > 40
    measured.edit("fast", without(framework="tensor", **BLOCK3))
    assert 3 not in ratio(measured, "plain").points
    assert len(ratio(measured, "plain").points) == 14


def test_a_void_set_is_not_shown_and_the_other_is(measured: Place) -> None:
    measured.edit("fast", slower(1.03, role="control", set="1"))
    one = ratio(measured, "tensor")
    assert (one.set, one.again) == ("2", None)
    measured.edit("fast", slower(1.03, role="control", set="2"))
    assert answer(measured, "tensor").ratios == {}
    assert answer(measured, "tensor").outcome == "done"


def test_a_set_that_does_not_agree_makes_a_cell_unstable(measured: Place) -> None:
    measured.edit("fast", slower(1.1, framework="tensor", cell="net/tuned", set="2"))
    one = ratio(measured, "tensor")
    assert one.verdict == "unstable"
    assert one.interval.holds(1.3), "it is not averaged"
    assert one.again is not None
    assert one.again.middle > 1.4
    told = [each for each in measured.compare().problems if "unstable" in each.what]
    assert [(each.framework, each.cell, each.void) for each in told] == [("tensor", "net/tuned", False)]
    assert ratio(measured, "tensor", "net/written").verdict == "shown"
    compare.require_sound(measured.compare())


def test_a_cell_in_which_pytorch_differs_from_itself_is_compared_with_nothing(measured: Place) -> None:
    measured.edit("fast", slower(1.02, framework="torch", role="control", cell="net/written", set="1"))
    measured.edit("fast", slower(0.98, framework="torch", role="control", cell="net/tuned", set="1"))
    found = measured.compare()
    assert found.controls[0].passed, "over all cells it is the same"
    assert "steps" not in found.of("fast", "net/tuned")["tensor"].ratios
    assert [one.cell for one in found.problems if "differs from itself" in one.what] == ["net/written", "net/tuned"]


def test_a_cell_that_failed_once_has_failed(measured: Place) -> None:
    failed = {"outcome": "failed", "because": "it crashed", "values": {}}
    measured.edit("fast", each(lambda one: one.update(failed), framework="plain", cell="net/tuned", **BLOCK3))
    one = answer(measured, "plain")
    assert (one.outcome, one.because, one.ratios) == ("failed", "it crashed", {})
    assert [one.what for one in measured.compare().problems] == ["set 1, block 3: it crashed"]
    assert answer(measured, "plain", "net/written").outcome == "done"


def test_what_cannot_be_done_says_why(measured: Place) -> None:
    cannot = {"outcome": "cannot", "because": "it has no compiler", "values": {}}
    measured.edit("fast", each(lambda one: one.update(cannot), framework="plain", cell="net/tuned"))
    one = answer(measured, "plain")
    assert (one.outcome, one.because) == ("cannot", "it has no compiler")
    assert measured.problems() == []


def test_facts_without_a_measurement_are_not_measured(measured: Place) -> None:
    measured.edit("can", each(lambda one: one.update(program="e" * 64), framework="torch"))
    one = measured.compare().of("can", "one")
    assert (one["torch"].outcome, one["tensor"].outcome) == ("not measured", "done")
    assert measured.problems() == ["its program has changed since"]


def test_facts_that_stand_there_twice_contradict_each_other(measured: Place) -> None:
    measured.edit("can", lambda lines: lines.append({**lines[0], "outcome": "cannot", "because": "no"}))
    assert measured.problems() == ["it stands there twice"]


def test_a_line_that_is_cut_off_is_named(measured: Place) -> None:
    path = measured.folder / "fast.jsonl"
    path.write_bytes(path.read_bytes()[:-50])
    found = [one for one in measured.compare().problems if "malformed" in one.what]
    assert [(one.file, one.lines) for one in found] == [("fast.jsonl", (300,))]


def test_another_device_is_another_comparison(measured: Place) -> None:
    found = compare.compare(measured.root, device="gpu")
    assert {one.outcome for one in found.answers} == {"not measured"}
    with pytest.raises(VerificationFailed, match="12 cells are not measured, such as can, plain, one"):
        compare.require_sound(found)


def test_a_certificate_that_is_gone_takes_the_measurements_along(measured: Place) -> None:
    (measured.root / "certificates/torchy/cpu.json").unlink()
    assert "torchy has no certificate on the cpu that holds" in measured.problems()
    assert answer(measured, "tensor").ratios == {}
