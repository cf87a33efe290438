"""What a node left of one image: read as a stranger's, and held against what was asked of it."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

import msgspec

from assay.certificate import LARGEST_REPORT
from assay.cluster.slurm import State
from assay.cluster.tasks import Run, Task
from assay.errors import AssayError, CertificateFailed, EngineMissing, RegistryFailed, VerificationFailed
from assay.host import foreign, strict

LARGEST_ANSWER = 2**12
LARGEST_LOG = 2**17
OUT_OF_MEMORY = 137  # what a shell gives for a process that the kernel ended
_ANEW = "Run it again: --again."


class _Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    nonce: str
    digest: str
    attempt: int
    node: str
    runtime: str
    stage: str
    status: int
    seconds: int


@dataclass(frozen=True)
class Answer:
    """What a node says of its run: the suite's exit status, its report, and the end of its output."""

    node: str
    runtime: str
    status: int
    seconds: float
    report: bytes
    log: str
    stage: str = "train"

    @property
    def last_line(self) -> str:
        """Where most programs put the reason."""
        lines = [line.strip() for line in self.log.splitlines() if line.strip()]
        return foreign.shown(lines[-1])[:300] if lines else "it printed nothing"


def answer_of(run: Run, index: int, state: State | None) -> Answer | None:
    """The answer of a task; None where there is none yet.

    Of a job that was started again only the last start counts: Slurm has given up what runs on a lost node, whatever
    comes of it. Raises `VerificationFailed` for two answers of one start, and for one that is not what was asked for.
    """
    known = state is not None and state.name != "GONE"
    pattern = f"answer.{state.attempt}.*" if state and known else "answer.*"
    found = sorted(run.place(index).glob(pattern))
    if not found:
        return None
    if len(found) > 1:
        nodes = ", ".join(foreign.shown(path.name.partition(".")[2]) for path in found[:4])
        raise VerificationFailed(
            f"{run.tasks[index].image} was answered {len(found)} times, and which counts nobody can say: {nodes}",
            _ANEW,
        )
    return _read(found[0], run, run.tasks[index])


def _read(folder: Path, run: Run, task: Task) -> Answer:
    try:
        told = msgspec.convert(strict.parsed(_bytes(folder / "answer.json", LARGEST_ANSWER)), type=_Answer)
    except (ValueError, msgspec.ValidationError) as error:
        raise VerificationFailed(f"{task.image}: the node's answer is malformed: {error}", _ANEW) from None
    if told.digest != task.digest:
        what = f"{task.image}: the node's answer is of another digest, {foreign.shown(told.digest[:19])}"
        raise VerificationFailed(f"{what}, and {task.digest[:19]} was asked for", _ANEW)
    if told.nonce != run.nonce:
        raise VerificationFailed(f"{task.image}: the node's answer is of another run", _ANEW)
    log = _bytes(folder / "log", LARGEST_LOG).decode(errors="replace")
    report = _bytes(folder / "report.json", LARGEST_REPORT)
    node, runtime = foreign.shown(told.node[:80]), foreign.shown(told.runtime[:80])
    return Answer(node, runtime, told.status, float(told.seconds), report, log, told.stage)


def _bytes(path: Path, limit: int) -> bytes:
    """A plain file's content. A link or a pipe that another user of the folder put there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(limit + 1) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    except OSError as error:
        raise VerificationFailed(f"a node's {path.name} cannot be read: {error.strerror}", _ANEW) from None
    if data is None or len(data) > limit:
        raise VerificationFailed(f"a node's {path.name} is no file of at most {limit} bytes", _ANEW)
    return data


def require_trained(image: str, reference: str, answer: Answer) -> None:
    """Raise what went wrong on the node before there was a report; as on one machine, where it can go wrong there."""
    name = f"{image} on {answer.node}"
    if answer.stage == "runtime":
        raise EngineMissing(
            f"{name}: the node has no Apptainer and no Docker",
            "Load its module where you submit (`module load apptainer`), or choose a partition that has one.",
        )
    if answer.stage == "altered":
        raise VerificationFailed(
            f"{name}: {reference} has other content than its digest says: {answer.last_line}",
            "The registry, or something on the way, changes content: do not use the image.",
        )
    if answer.stage == "pull":
        raise RegistryFailed(
            f"{name}: the node cannot pull {reference}: {answer.last_line}",
            "See that the nodes reach that registry, and are logged in to it (`apptainer registry login`).",
        )
    if answer.status == OUT_OF_MEMORY:
        raise _no_memory(name)
    if answer.status != 0:
        raise CertificateFailed(
            f"{name}: the suite crashed with exit code {answer.status}: {answer.last_line}",
            f"Its last output is in build/reports/{image}.",
        )


def ended(task: Task, state: State, log: Path) -> AssayError:
    """Why a job that has ended left no answer, in the engine's own words."""
    name = f"{task.image} on {state.node}" if state.node else task.image
    if state.name == "OUT_OF_MEMORY":
        return _no_memory(name)
    if state.name in {"TIMEOUT", "DEADLINE"}:
        what = f"{name}: Slurm ended it at its time limit"
        return CertificateFailed(what, "Give it longer (SBATCH_TIMELIMIT=120), or look at where it hangs.")
    if state.name == "CANCELLED":
        return CertificateFailed(f"{name}: its job was cancelled", "Run `assay smoke` again.")
    said = _last_line(log)
    how = "is not known to Slurm any more" if state.name == "GONE" else f"ended as {state}"
    return CertificateFailed(
        f"{name}: its job {how}, and left no answer" + (f": {said}" if said else ""),
        f"See that the nodes can write to {log.parents[2]} (--shared), and run it again.",
    )


def _last_line(log: Path) -> str:
    try:
        lines = [line.strip() for line in _bytes(log, LARGEST_REPORT).decode(errors="replace").splitlines()]
    except VerificationFailed:
        return ""
    return foreign.shown(next((line for line in reversed(lines) if line), ""))[:300]


def _no_memory(name: str) -> CertificateFailed:
    return CertificateFailed(f"{name}: the suite was ended for want of memory", "Give it more: --memory 8g.")
