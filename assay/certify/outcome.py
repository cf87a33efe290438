"""What came of the images that were to be certified, and how they were to be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from assay.certificate import Derived, Report, Verdict
from assay.errors import AssayError, CertificateFailed


@dataclass(frozen=True)
class Options:
    """What to run: the device, whether to certify again what has a certificate, and a memory bound in bytes.

    ``only`` are the beginnings of the ids of the checks that are run; empty: all. With ``pack`` the embedded engine
    holds an image compressed only, once it has been run. ``ranks``: how many processes are to train as one, beside
    all else; 0: none.
    """

    device: str = "cpu"
    again: bool = False
    memory_bytes: int | None = None
    pack: bool = False
    only: tuple[str, ...] = ()
    ranks: int = 0


@dataclass(frozen=True)
class Outcome:
    """What came of one image. Without a report, ``error`` says why there is none; ``derived`` where it is derived.

    ``lacking`` are marks that it must bear, and does not.
    """

    image: str
    device: str
    seconds: float = 0.0
    report: Report | None = None
    verdict: Verdict | None = None
    path: Path | None = None
    error: AssayError | None = None
    kept_from: str | None = None
    derived: Derived | None = None
    lacking: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the image has a certificate in which nothing failed, with the marks that it must bear."""
        return self.verdict is not None and self.verdict.passed and not self.lacking

    @property
    def problems(self) -> tuple[tuple[str, str], ...]:
        """What is wrong, by the ids of the results."""
        return (*self.verdict.problems, *self.verdict.unmarked) if self.verdict else ()


def row(outcome: Outcome) -> dict[str, object]:
    """An outcome for programs."""
    verdict = outcome.verdict
    return {
        "image": outcome.image,
        "device": outcome.device,
        "passed": outcome.passed,
        "level": verdict.level if verdict else None,
        "marks": list(verdict.marks) if verdict else [],
        "seconds": round(outcome.seconds, 1),
        "certificate": str(outcome.path) if outcome.path else None,
        "unchanged_since": outcome.kept_from,
        "problems": [{"id": name, "problem": problem} for name, problem in outcome.problems],
        "error": outcome.error.what if outcome.error else None,
    }


def require_passed(outcomes: Iterable[Outcome]) -> None:
    """Raise `CertificateFailed` (exit 1) unless every image passed."""
    bad = [outcome.image for outcome in outcomes if not outcome.passed]
    if bad:
        raise CertificateFailed(
            f"{', '.join(bad)} did not pass", "What failed, and its remedy, stands in the table above."
        )
