"""Which images have a certificate that this checkout can rest on: committed, and as good as one that is made today.

Nothing is built or run: the verdict is computed anew from the evidence, and the certificate's inputs, plan and suite
are held against the checkout's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from assay import catalog, certificate
from assay.catalog import Catalog, Image
from assay.certificate import LONGEST_LIFE, Certificate, Policy, Suites
from assay.certificate.origin import About, about_of
from assay.certify import everyday, records
from assay.certify.records import Record, Tested
from assay.errors import VerificationFailed

DEVICE = "cpu"
MOST_NAMED = 3  # of what is wrong, and of the inputs that are others


@dataclass(frozen=True)
class Standing:
    """One image: its committed certificate, why that does not hold (empty if it does), and its record."""

    image: Image
    certificate: Certificate | None
    about: About | None
    problem: str
    record: Record | None = None
    tested: Tested | None = None  # what tests/images, as they are now, found of the certified image

    @property
    def holds(self) -> bool:
        """Whether the image can rest on its certificate."""
        return not self.problem

    @property
    def diff_ids(self) -> tuple[str, ...]:
        """The DiffIDs of the certified image."""
        return self.about.predicate.image.diff_ids if self.about else ()

    @property
    def config(self) -> str:
        """The digest of the certified image's configuration."""
        return self.about.predicate.image.config_digest if self.about else ""

    @property
    def date(self) -> str:
        """The day on which it was certified."""
        return self.certificate.created[:10] if self.certificate else ""


def standings(cat: Catalog, names: Iterable[str] = ()) -> list[Standing]:
    """How the named framework images stand; all where there are no names.

    Raises `UsageError` for malformed records.
    """
    suites, kept = Suites.read(cat.root), records.read(cat.root)
    return [_standing(cat, image, suites, kept.get(image.name)) for image in cat.select(names) if image.framework]


def require_standing(found: Iterable[Standing]) -> None:
    """Raise `VerificationFailed` (exit 5) unless every image can rest on its certificate."""
    lacking = [one for one in found if not one.holds]
    if lacking:
        raise lacks(lacking)


def lacks(lacking: Iterable[Standing]) -> VerificationFailed:
    """The error for images without a certificate that holds: which, and the commands that make them."""
    several = list(lacking)
    names = " ".join(one.image.name for one in several)
    return VerificationFailed(
        f"{len(several)} {'image has' if len(several) == 1 else 'images have'} no certificate that holds: {names}",
        f'Make them: make build-all smoke IMAGES="{names}"; .venv/bin/nox -s tests -- tests/images --pack; '
        ".venv/bin/assay table --write; and commit certificates/, assay/suites/ and README.md.",
    )


def _standing(cat: Catalog, image: Image, suites: Suites, record: Record | None) -> Standing:
    statement = certificate.read_statement(_path(cat.root, image))
    if statement is None:
        return Standing(image, None, None, "it has none")
    try:
        about = about_of(statement)
        opened = certificate.read(statement, _policy(cat, image, suites))
    except VerificationFailed as error:
        return Standing(image, None, None, error.what)
    problem = _problem(cat, image, opened, about, record)
    record = record if record and record.digest == opened.digest else None
    tested = record.tested if record and records.counts(record.tested, cat.root, opened.digest) else None
    return Standing(image, opened, about, problem, record, tested)


def _policy(cat: Catalog, image: Image, suites: Suites) -> Policy:
    inputs = catalog.inputs(cat, image)
    return Policy(suites, plan=catalog.plan(image, DEVICE), inputs=inputs, max_age_days=LONGEST_LIFE)


def _problem(cat: Catalog, image: Image, opened: Certificate, about: About, record: Record | None) -> str:
    """What is wrong, in one line; with the inputs that are others, where they are."""
    if opened.image != image.name:
        return f"it is about {opened.image[:60]}"
    told = [what if name == "certificate" else f"{name}: {what}" for name, what in opened.verdict.problems]
    told += everyday.fewer(record.tried if record else {}, everyday.tried(opened.report))
    there, here = about.predicate.image.inputs, catalog.inputs(cat, image)
    other = sorted(name for name in there.keys() | here.keys() if there.get(name) != here.get(name))
    if other:
        rest = f" and {len(other) - MOST_NAMED} more" if len(other) > MOST_NAMED else ""
        told.append(f"other now: {', '.join(other[:MOST_NAMED])}{rest}")
    return "; ".join(told[:MOST_NAMED])


def _path(root: Path, image: Image) -> Path:
    return root / "certificates" / image.name / f"{DEVICE}.json"
