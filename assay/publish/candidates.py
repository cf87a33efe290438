"""Which images may be published: those that are built as they were locked, and certified at exactly that digest."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay import catalog, certificate
from assay.catalog import Built, Catalog, Image, read_images
from assay.catalog.built import select_built
from assay.catalog.drift import require_exact
from assay.certificate import Certificate, Suites
from assay.errors import BuildFailed, UsageError, VerificationFailed
from assay.registry import dated_tag, tag


@dataclass(frozen=True)
class Proof:
    """A certificate that holds: its Statement, and what it says."""

    statement: dict[str, Any]
    certificate: Certificate


@dataclass(frozen=True)
class Candidate:
    """An image that may be published: built, and with a valid certificate of exactly that digest."""

    image: Image
    built: Built
    proofs: tuple[Proof, ...]

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags: that of the version first, and the one that moves (``latest``) last."""
        return (tag(catalog.labels(self.image)), "latest")

    @property
    def dated(self) -> str:
        """The tag of the version and of the day on which the image was first certified; it never moves."""
        day = min(proof.certificate.age_key for proof in self.proofs).astimezone(datetime.UTC).date()
        return dated_tag(tag(catalog.labels(self.image)), day)


@dataclass(frozen=True)
class Refused:
    """An image that may not be published, and why."""

    image: str
    why: str


def candidates(cat: Catalog, suites: Suites, names: Iterable[str]) -> tuple[list[Candidate], list[Refused]]:
    """Which of the named images (none: of all that are built) may be published, and which may not. Asks no engine."""
    built = read_images(cat.root).images
    chosen = select_built(cat, names, built)
    good: list[Candidate] = []
    refused: list[Refused] = []
    for image in chosen:
        try:
            good.append(_candidate(cat, suites, image, built.get(image.name)))
        except (VerificationFailed, UsageError, BuildFailed) as error:
            refused.append(Refused(image.name, error.what))
    return good, refused


def require_none_refused(refused: Iterable[Refused]) -> None:
    """Raise `VerificationFailed` (exit 5) where an image was refused."""
    names = [image.image for image in refused]
    if names:
        raise VerificationFailed(
            f"{', '.join(names)} was not published: no valid certificate of that digest",
            "`assay smoke` makes one; what is wrong with it stands above.",
        )


def _candidate(cat: Catalog, suites: Suites, image: Image, built: Built | None) -> Candidate:
    if image.framework is None:
        raise UsageError(f"{image.name} has no framework", "Name a framework image.")
    if built is None:
        raise UsageError(f"{image.name} is not built", f"Run `assay build {image.name}` first.")
    require_exact(image.name, built.drift, "is not published")
    folder = cat.root / "build" / "certificates" / image.name
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise VerificationFailed(f"{image.name} has no certificate", f"Run `assay smoke {image.name}`.")
    return Candidate(image, built, tuple(_proof(cat, suites, image, built, path) for path in paths))


def _proof(cat: Catalog, suites: Suites, image: Image, built: Built, path: Path) -> Proof:
    """A certificate that holds: of this digest, this plan, this suite, these inputs, and passed."""
    todo = f"Run `assay build {image.name}` and `assay smoke {image.name}`."
    where = f"the certificate {path.name} of {image.name}"
    statement = certificate.read_statement(path)
    if statement is None:
        raise VerificationFailed(f"{where} cannot be read", todo)
    opened = certificate.read(statement, catalog.policy(cat, image, built, suites, path.stem))
    if not opened.verdict.passed:
        name, problem = opened.verdict.problems[0]
        reason = problem if name == "certificate" else f"{name}: {problem}"
        raise VerificationFailed(f"{where} does not hold: {reason}", todo)
    return Proof(statement, opened)
