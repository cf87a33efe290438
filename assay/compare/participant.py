"""Who is compared: images that are built here and have a certificate that holds, one for each framework."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

from assay import catalog, certificate
from assay.catalog import Built, Catalog, Image, read_images
from assay.catalog.built import tag
from assay.catalog.inputs import SUITE_LAYERS
from assay.certificate import Suites
from assay.compare.line import Line
from assay.engine import Engine
from assay.errors import AssayError, UsageError, VerificationFailed

CERTIFICATES = ("build/certificates", "certificates")


@dataclass(frozen=True)
class Participant:
    """An image that is compared, by what the engine calls it; ``layers`` are the DiffIDs of its environment."""

    image: str
    framework: str
    reference: str
    digest: str
    layers: tuple[str, ...]

    def of(self, line: Line) -> bool:
        """Whether a line was measured in this environment, whatever suite lay on it."""
        return (line.image, line.framework, line.layers) == (self.image, self.framework, self.layers)


def environment(diff_ids: tuple[str, ...]) -> tuple[str, ...]:
    """The layers of an image's environment: all but the uppermost, which are those of the suite's stage."""
    return diff_ids[:-SUITE_LAYERS]


def participants(
    cat: Catalog, engine: Engine, names: Iterable[str], device: str, note: Callable[[str], None]
) -> tuple[Participant, ...]:
    """The named images; where there are no names, the newest image of each framework that can take part.

    Raises `UsageError` or `VerificationFailed` for a named one that is not built or has no certificate that holds;
    of the others ``note`` hears.
    """
    named = tuple(names)
    suites, built = Suites.read(cat.root), read_images(cat.root).images
    found: dict[str, Participant] = {}
    for image in cat.select(named) if named else _newest(cat):
        try:
            one = _participant(cat, engine, image, built.get(image.name), (suites, device))
        except AssayError as error:
            if named:
                raise
            note(f"{image.name} is left out: {error.what}")
            continue
        if one.framework in found:
            raise UsageError(
                f"{found[one.framework].image} and {image.name} have the same framework",
                "Name one image of each framework.",
            )
        found[one.framework] = one
    if not found:
        raise UsageError("no image can be compared", "Build and certify some: make build-all smoke.")
    return tuple(found.values())


def _newest(cat: Catalog) -> list[Image]:
    """Of the images of one framework the one with its newest version; variants of another image are left out."""
    found: dict[str, tuple[Version, Image]] = {}
    for image in cat.frameworks():
        if image.framework and "/" not in image.name:
            version = Version(catalog.framework_version(image) or "0")
            if image.framework.name not in found or version > found[image.framework.name][0]:
                found[image.framework.name] = (version, image)
    return [image for _, image in found.values()]


def _participant(
    cat: Catalog, engine: Engine, image: Image, built: Built | None, held: tuple[Suites, str]
) -> Participant:
    name = tag(image.name, "latest")
    if image.framework is None:
        raise UsageError(f"{image.name} has no framework", "Name a framework image.")
    if built is None or engine.digest(name) != built.digest:
        raise UsageError(f"{image.name} is not built", f"Run `assay build {image.name}` first.")
    _require_certificate(cat, image, built, held)
    return Participant(image.name, image.framework.name, name, built.digest, environment(built.diff_ids))


def _require_certificate(cat: Catalog, image: Image, built: Built, held: tuple[Suites, str]) -> None:
    """Raise `VerificationFailed` unless a certificate, just made or committed, holds for what is built."""
    suites, device = held
    policy = catalog.policy(cat, image, built, suites, device)
    why = "it has none"
    for folder in CERTIFICATES:
        statement = certificate.read_statement(_path(cat.root / folder, image.name, device))
        if statement is None:
            continue
        try:
            verdict = certificate.read(statement, policy).verdict
        except VerificationFailed as error:
            why = error.what
            continue
        if verdict.passed:
            return
        why = "; ".join(what for _, what in verdict.problems[:2]) or "it did not pass"
    raise VerificationFailed(
        f"{image.name} has no certificate on the {device} that holds: {why}",
        f"Certify it first: assay smoke {image.name} --device {device}. Only certified images are compared.",
    )


def _path(folder: Path, name: str, device: str) -> Path:
    return folder / name / f"{device}.json"
