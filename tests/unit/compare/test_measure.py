"""What is run, what is kept, and what is not run again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from assay import compare
from assay.engine import RunRequest, RunResult
from assay.errors import AssayError, CertificateFailed, UsageError, VerificationFailed
from assay.host import load
from tests.unit.compare.made import FRAMEWORKS, Place

BLOCK = sorted(
    [("fast", name) for name in FRAMEWORKS] + [("fast", "torch"), ("fast", "torch", "--set", "slowdown=1.05")]
)


def test_facts_are_asked_once_and_each_block_has_every_framework_and_the_controls(place: Place) -> None:
    asked = place.measure(blocks=4)
    facts, timed = asked[:3], asked[3:]
    assert sorted(facts) == [("can", "plain"), ("can", "tensor"), ("can", "torch")]
    blocks = [timed[at : at + 5] for at in range(0, 20, 5)]
    assert [sorted(block) for block in blocks] == [BLOCK] * 4
    assert len({tuple(block) for block in blocks}) > 1, "the order is drawn anew for each block"
    assert place.view.total == place.view.count == len(asked)


def test_a_container_can_do_little_else(place: Place) -> None:
    place.measure("torchy", question="can", memory_bytes=2**32)
    (request,) = place.engine.requests
    assert request.image == "assay/torchy:latest"
    assert dict(request.given) == {place.root / "compare": "/compare"}
    assert (request.cpus, request.memory_bytes, request.device) == ("0-1", 2**32, "cpu")
    assert request.command[4:] == ("can", "torch", "--threads", "2")


def test_a_line_says_what_was_measured(place: Place) -> None:
    place.measure(question="fast", blocks=1)
    line = next(one for one in place.lines("fast") if one.framework == "tensor")
    assert line.layers == ("sha256:" + "1" * 64, "sha256:" + "2" * 64), "without the suite's"
    assert (line.image, line.set, line.block, line.load, line.threads) == ("tensory", "1", 0, 0.01, 2)
    assert line.digest == place.engine.names["assay/tensory:latest"]
    assert line.machine.cores >= 1
    places = sorted(one.place for one in place.lines("fast") if one.cell == "net/tuned")
    assert places == [0, 1, 2, 3, 4]


def test_what_stands_is_not_measured_again(place: Place) -> None:
    place.measure(blocks=2)
    before = (place.folder / "fast.jsonl").read_bytes()
    assert place.measure(blocks=2) == []
    assert (place.folder / "fast.jsonl").read_bytes() == before
    assert len(place.measure(blocks=3)) == 5, "one block more"
    assert len(place.measure(blocks=3, again=True)) == 3 + 15
    assert len(place.lines("fast")) == 3 * 5 * 2, "what was measured again takes the place of the old"
    assert len(place.measure(question="fast", blocks=1, set="2")) == 5
    assert place.measure(question="can", set="2") == [], "facts are of no set"


def test_a_changed_program_is_measured_again(place: Place) -> None:
    place.measure(blocks=1)
    for question in ("can", "fast"):
        (place.root / f"compare/{question}/tensor.py").write_text("CANNOT = {}  # better\n")
    asked = place.measure(blocks=1)
    assert asked[0] == ("can", "tensor")
    assert sorted(asked[1:]) == BLOCK, "a block is measured as a whole"
    (place.root / "compare/run.py").write_text("# runs better\n")
    assert len(place.measure(blocks=1)) == 8


def test_what_was_measured_elsewhere_or_under_load_is_measured_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.measure(question="fast", blocks=1)
    assert len(place.measure(question="fast", blocks=1, memory_bytes=2**30)) == 5
    monkeypatch.setattr(load, "kernel", lambda: "another")
    assert len(place.measure(question="fast", blocks=1, memory_bytes=2**30)) == 5
    monkeypatch.setattr(load, "busy", lambda seconds: load.Busy(0.5))
    assert len(place.measure(question="fast", blocks=1, memory_bytes=2**30, load=1.0, again=True)) == 5
    assert place.measure(question="fast", blocks=1, memory_bytes=2**30, load=1.0) == []
    monkeypatch.setattr(load, "busy", lambda seconds: load.Busy(0.0))
    assert len(place.measure(question="fast", blocks=1, memory_bytes=2**30)) == 5
    assert len(place.lines("fast")) == 10


def test_files_of_another_framework_change_nothing(place: Place) -> None:
    place.measure(question="can")
    (place.root / "compare/can/tensor.cpp").write_text("// C++")
    assert place.measure(question="can") == [("can", "tensor")]
    (place.root / "compare/can/shared.py").write_text("# of all")
    assert len(place.measure(question="can")) == 3


def test_an_interrupted_block_leaves_nothing(place: Place) -> None:
    def interrupt(request: RunRequest, file: Path) -> None:
        if len(place.engine.requests) == 8:
            raise KeyboardInterrupt

    place.engine.on_run = interrupt
    with pytest.raises(KeyboardInterrupt):
        place.measure(question="fast", blocks=3)
    assert {line.block for line in place.lines("fast")} == {0}, "a block is kept whole or not at all"
    place.engine.on_run = lambda request, file: None
    assert len(place.measure(question="fast", blocks=3)) == 10
    assert [path.name for path in place.folder.iterdir()] == ["fast.jsonl"]


def test_what_a_program_did_not_come_to_has_failed(place: Place) -> None:
    def crash(request: RunRequest, file: Path) -> RunResult:
        file.write_text(file.read_text().splitlines()[0] + '\n{"schema": 1, "quest')
        return RunResult(139, False, False, "Segmentation fault\n", 1.0)

    place.engine.on_run = crash
    place.measure("torchy", question="can")
    one, two = place.lines("can")
    assert (one.cell, one.outcome) == ("one", "done")
    assert (two.cell, two.outcome) == ("two", "failed")
    assert two.because == "the program ended: exit code 139"
    assert two.text == "Segmentation fault"


ENDINGS = {
    "it printed nothing": ("", RunResult(2, False, False, "run.py: no such question\n", 1.0), "no such question"),
    "no memory": ("", RunResult(137, True, False, "", 1.0), "want of memory"),
    "no end": ("", RunResult(124, False, True, "still here\n", 1.0), "no end"),
    "nothing at all": ("", RunResult(0, False, False, "", 1.0), "left no lines.jsonl"),
    "no JSON": ("hello\n", RunResult(0, False, False, "", 1.0), "malformed"),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_framework_that_answers_nothing_keeps_the_others_from_nothing(place: Place, ending: str) -> None:
    text, ran, said = ENDINGS[ending]

    def end(request: RunRequest, file: Path) -> RunResult | None:
        if "torchy" not in request.image:
            return None
        file.write_text(text)
        return ran

    place.engine.on_run = end
    place.measure(question="can")
    assert {line.framework for line in place.lines("can")} == {"plain", "tensor"}
    (error,) = place.failures.values()
    assert isinstance(error, CertificateFailed | VerificationFailed)
    assert said in error.what
    with pytest.raises(AssayError, match=said):
        place.measure(question="fast", blocks=1)
    assert place.lines("fast") == []


@pytest.mark.parametrize(("change", "said"), [({"cell": "three"}, "three"), ({"framework": "plain"}, "plain")])
def test_an_answer_to_another_question_is_none(place: Place, change: dict[str, str], said: str) -> None:
    place.engine.answers = {"torch": {"one": change}}
    place.measure(question="can")
    (error,) = place.failures.values()
    assert "which it was not asked" in error.what
    assert said in error.what


def test_an_image_that_is_not_built_or_certified_is_refused_by_name(place: Place) -> None:
    del place.engine.names["assay/plain:latest"]
    with pytest.raises(UsageError, match="plain is not built"):
        place.measure("plain")
    for folder in ("certificates", "build/certificates"):
        (place.root / folder / "tensory/cpu.json").unlink()
    with pytest.raises(VerificationFailed, match="tensory has no certificate on the cpu that holds: it has none"):
        place.measure("tensory")
    place.measure(question="can")
    assert [note.split(" is ")[0] for note in place.notes] == ["plain", "tensory"]
    assert {line.framework for line in place.lines("can")} == {"torch"}


def test_a_certificate_of_another_build_does_not_hold(place: Place) -> None:
    for folder in ("certificates", "build/certificates"):
        path = place.root / folder / "tensory/cpu.json"
        data = json.loads(path.read_text())
        data["subject"][0]["digest"]["sha256"] = "e" * 64
        path.write_text(json.dumps(data))
    with pytest.raises(VerificationFailed, match=r"tensory has no certificate .* another image"):
        place.measure("tensory")


def test_a_timed_question_needs_its_baseline(place: Place) -> None:
    with pytest.raises(UsageError, match="compares with torch"):
        place.measure("tensory", question="fast")


def test_a_measurement_of_fewer_would_lose_the_others(place: Place) -> None:
    place.measure(question="fast", blocks=1)
    assert place.measure("torchy", "tensory", question="fast", blocks=1) == []
    with pytest.raises(UsageError, match="set 1 of fast has plain too"):
        place.measure("torchy", "tensory", question="fast", blocks=2)
    assert len(place.measure("torchy", "tensory", question="fast", blocks=2, set="2")) == 8


def test_two_images_of_one_framework_are_not_compared(place: Place) -> None:
    toml = place.root / "images/tensory/image.toml"
    toml.write_text(toml.read_text().replace('"tensor"', '"torch"'))
    with pytest.raises(AssayError):
        compare.participants(place.catalog, place.engine, ["torchy", "tensory"], "cpu", print)  # type: ignore[arg-type]


def test_a_busy_machine_is_waited_for_and_then_refused_by_name(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "busy", lambda seconds: load.Busy(1.5, ("cc1plus (812)",)))
    with pytest.raises(UsageError, match=r"fast is not measured: others keep 1\.5 processors busy: cc1plus \(812\)"):
        place.measure(question="fast", blocks=1, patience=0.0)
    assert place.engine.requests == []
    place.measure(question="can")
    assert place.lines("can")[0].load == 1.5, "no clock decides there"
    assert len(place.measure(question="fast", blocks=1, load=2.0)) == 5


def test_facts_that_show_seconds_ask_for_a_quiet_machine_too(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    file = place.root / "compare/can/question.py"
    file.write_text(file.read_text() + "QUIET = True\n")
    place.measure(question="can", load=2.0)
    monkeypatch.setattr(load, "busy", lambda seconds: load.Busy(1.5))
    place.measure(question="can", load=2.0, again=True)
    assert "others kept more than 0.25 processors busy" in place.problems()
    with pytest.raises(UsageError, match="can is not measured: others keep"):
        place.measure(question="can", again=True, patience=0.0)


def test_a_block_during_which_the_machine_got_busy_is_measured_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(10**6))
    monkeypatch.setattr("assay.compare.measure.time.monotonic", lambda: 10.0 * next(clock))
    monkeypatch.setattr("assay.compare.measure.time.sleep", lambda seconds: None)
    busy = iter([0.0, 0.0, 0.0, *[1.0] * 2])
    monkeypatch.setattr(load, "busy", lambda seconds: load.Busy(next(busy, 0.0)))
    asked = place.measure(question="fast", blocks=1)
    assert len(asked) == 2 + 5
    assert place.view.count == 5
    assert any("measuring a block again" in text for _, text in place.view.phases)
    assert len(place.lines("fast")) == 10


def test_a_line_that_is_cut_off_is_not_lost_in_silence(place: Place) -> None:
    place.measure(question="can")
    path = place.folder / "can.jsonl"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UsageError, match=r"can\.jsonl, line 6: the line is malformed"):
        place.measure(question="can")
