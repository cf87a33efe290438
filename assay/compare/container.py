"""One fresh container: a framework is asked a question, and answers a line for each cell.

The container has no network, a read-only root, fixed processors and a fixed memory. ``compare/`` is mounted where it
can only be read. What it prints on standard output goes into a file, so that nothing else is among the lines; what it
answered before it crashed is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from assay.compare.line import Role, Told, parse_told
from assay.compare.options import Options
from assay.compare.participant import Participant
from assay.compare.question import FOLDER, RUN, Question
from assay.engine import MOUNT, Engine, RunRequest, RunResult, run_with_files
from assay.errors import CertificateFailed, VerificationFailed

PLACE = "/compare"
LINES = "lines.jsonl"
LARGEST = 2**24  # bytes of all lines of one container
SECONDS = 3600.0
SHM_BYTES = 2**30
SLOWDOWN = "slowdown=1.05"  # what a planted slowdown makes of a step's time
LAST = 40  # lines of its output that are kept where a program came to no end
# Standard output is given to a file of its own; the rest is the engine's.
_SHELL = f'exec python {PLACE}/{RUN} "$@" > {MOUNT}/{LINES}'


def ask(
    root: Path, engine: Engine, question: Question, one: Participant, role: Role, options: Options
) -> tuple[Told, ...]:
    """The lines of all cells of a question, in their order; one that the program did not come to has failed.

    Raises `VerificationFailed` for an answer that is malformed or is to another question, and `CertificateFailed`
    where there is none at all.
    """
    settings = ([SLOWDOWN] if role == "slowed" else []) + (["device=gpu"] if options.device == "gpu" else [])
    words = [question.name, one.framework, "--threads", str(options.threads)]
    request = RunRequest(
        image=one.reference,
        command=("sh", "-c", _SHELL, RUN, *words, *(word for each in settings for word in ("--set", each))),
        device=options.device,
        given={root / FOLDER: PLACE},
        environment={"PYTHONDONTWRITEBYTECODE": "1"},
        shm_bytes=SHM_BYTES,
        memory_bytes=options.memory_bytes,
        seconds=SECONDS,
        cpus=options.cpus,
    )
    ran, left = run_with_files(engine, request, {}, LINES, LARGEST)
    if isinstance(left, VerificationFailed) and ran.exit_code == 0:
        raise left
    told = _read(b"" if isinstance(left, VerificationFailed) else left, question, one)
    if not told:
        said = _last(ran, 1) or "it printed nothing"
        raise CertificateFailed(
            f"{one.image} answered nothing to {question.name}: {_ending(ran)}: {said}",
            f"Try it by hand: docker run --rm -v $PWD/{FOLDER}:{PLACE}:ro {one.reference} python {PLACE}/{RUN} "
            f"{question.name} {one.framework}",
        )
    missing = [cell for cell in question.cells if cell not in told]
    return tuple(told.get(cell) or _unanswered(question, one, cell, ran, missing) for cell in question.cells)


def _read(data: bytes, question: Question, one: Participant) -> dict[str, Told]:
    """The answers by cell. What stands behind the last line end was cut off by a crash."""
    found: dict[str, Told] = {}
    for line in data.split(b"\n")[:-1]:
        told = parse_told(line)
        if (told.question, told.framework) != (question.name, one.framework) or told.cell not in question.cells:
            raise VerificationFailed(
                f"{one.image} answered {told.question}, {told.cell} for {told.framework}, which it was not asked",
                f"Look at {FOLDER}/{question.name}: it is asked {question.name} for {one.framework}.",
            )
        if told.cell in found:
            raise VerificationFailed(
                f"{one.image} answered {question.name}, {told.cell} twice", f"Look at {FOLDER}/{question.name}."
            )
        found[told.cell] = told
    return found


def _unanswered(question: Question, one: Participant, cell: str, ran: RunResult, missing: Sequence[str]) -> Told:
    before = "" if cell == missing[0] else f", at {missing[0]}, before it came to this"
    return Told(
        question=question.name,
        framework=one.framework,
        cell=cell,
        outcome="failed",
        because=f"the program ended{before}: {_ending(ran)}",
        text=_last(ran, LAST) or None,
        seconds=0.0,
    )


def _ending(ran: RunResult) -> str:
    if ran.timed_out:
        return f"it came to no end in {SECONDS:.0f} s"
    if ran.out_of_memory:
        return "the kernel ended it for want of memory"
    return f"exit code {ran.exit_code}"


def _last(ran: RunResult, count: int) -> str:
    lines: Iterable[str] = [line for line in ran.output.splitlines() if line.strip()][-count:]
    return "\n".join(lines)[-4000:]
