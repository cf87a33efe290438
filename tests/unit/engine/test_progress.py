from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.build.watching import phase_of
from assay.engine.builds import remedy
from assay.engine.progress import KEPT_LINES, Decoder, Step

RECORDINGS = Path(__file__).parents[1] / "data" / "buildx"


def decoded(lines: list[str]) -> tuple[Decoder, list[Step]]:
    steps: list[Step] = []
    decoder = Decoder(steps.append)
    for line in lines:
        decoder.feed(line)
    return decoder, steps


def recording(name: str) -> list[str]:
    return (RECORDINGS / f"{name}.txt").read_text().splitlines()


def compact(lines: list[str]) -> list[str]:
    """The same objects, one to a line, as other releases of buildx print them."""
    made, pending = [], []
    for line in lines:
        if not pending and not line.startswith("{"):
            made.append(line)
            continue
        pending.append(line)
        if line == "}":
            made.append(json.dumps(json.loads("\n".join(pending))))
            pending = []
    return made


@pytest.mark.parametrize("form", [list, compact])
def test_a_build_that_works(form: object) -> None:
    decoder, steps = decoded(form(recording("success")))  # type: ignore[operator]
    first = "[2/3] RUN echo unpacking one; echo unpacking two >&2; touch /one"
    assert [step.name[:5] for step in steps] == ["[1/3]", "[2/3]", "[2/3]", "[2/3]", "[3/3]"]
    assert [step for step in steps if step.line] == [Step(first, "unpacking one"), Step(first, "unpacking two")]
    assert steps[-1] == Step("[3/3] RUN touch /two")
    assert decoder.reason() == "it gave no reason"


@pytest.mark.parametrize("form", [list, compact])
@pytest.mark.parametrize(
    ("name", "reason", "advice"),
    [
        ("failing-step", "error: Hash mismatch for `six==1.16.0`", "not the one that was locked"),
        ("silent-step", 'process "/bin/sh -c touch /one && exit 7" did not complete successfully', "build/logs"),
        ("dockerfile-error", "dockerfile parse error on line 2: unknown instruction: RUM", "build/logs"),
        ("no-parent", "failed to do request", "build/logs"),
    ],
)
def test_why_a_build_failed(form: object, name: str, reason: str, advice: str) -> None:
    decoder, _ = decoded(form(recording(name)))  # type: ignore[operator]
    assert reason in decoder.reason()
    assert len(decoder.reason().splitlines()) == 1
    assert advice in remedy(decoder.text())


@pytest.mark.parametrize("form", [list, compact])
def test_what_the_exporter_does_is_a_step_each_once(form: object) -> None:
    _, steps = decoded(form(recording("exported")))  # type: ignore[operator]
    names = [step.name for step in steps]
    assert [name for name in names if "layers" in name or "unpacking" in name] == [
        "exporting layers",
        "unpacking to docker.io/assay-recorded/x:latest",
    ]
    assert [phase for phase in map(phase_of, steps) if phase] == ["copying", "compressing", "unpacking"]


def test_a_step_that_fails_silently_is_named_by_buildx_alone() -> None:
    lines = recording("silent-step")
    decoder, _ = decoded(lines[: len(lines) - lines[::-1].index("}")])  # without the text that follows
    assert decoder.reason() == 'process "/bin/sh -c touch /one && exit 7" did not complete successfully: exit code: 7'


def test_all_that_the_failing_step_said_is_kept_for_the_log() -> None:
    decoder, steps = decoded(recording("failing-step"))
    assert "Resolved 3 packages\nerror: Hash mismatch" in decoder.text()
    assert ">>> RUN echo" in decoder.text()
    assert [step.line for step in steps if step.line] == [
        *("Resolved 3 packages", "error: Hash mismatch for `six==1.16.0`"),
        *("Expected:", "  sha256:00", "Computed:", "  sha256:11"),
    ]


def test_no_more_is_kept_than_is_needed() -> None:
    decoder, _ = decoded([f"line {number}" for number in range(1000)])
    assert decoder.text().splitlines() == [f"line {number}" for number in range(1000 - KEPT_LINES, 1000)]
    assert decoder.reason() == "line 999"


@given(st.sampled_from(["success", "failing-step", "no-parent"]), st.data())
def test_a_recording_cut_off_anywhere_gives_one_line(name: str, data: st.DataObject) -> None:
    lines = recording(name)
    start = data.draw(st.integers(0, len(lines)))
    stop = data.draw(st.integers(start, len(lines)))
    decoder, steps = decoded(lines[start:stop])
    assert len(decoder.reason().splitlines()) == 1
    assert all(isinstance(step.name, str) for step in steps)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["vertexes", "logs", "data", "vertex", "name", "error", "started"]), inner)
    ),
    max_leaves=9,
)


@given(st.lists(st.text(max_size=40) | JSON.map(json.dumps), max_size=9))
def test_whatever_comes_is_no_crash(lines: list[str]) -> None:
    decoder, _ = decoded(lines)
    assert 0 < len(decoder.reason()) <= 400
    assert len(decoder.reason().splitlines()) == 1
