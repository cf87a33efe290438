"""The images that a site shows: their certificates, judged anew, and what else is known of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from assay import catalog, certificate, doctor, verify
from assay.attestation import PublicKey
from assay.catalog import Built, Catalog
from assay.catalog.built import PREFIX
from assay.certificate import Certificate, Policy, Suites
from assay.certificate.origin import about_of
from assay.doctor.facts import ELSEWHERE
from assay.errors import UsageError
from assay.registry import Reference, Repository

FOLDER = "certificates"


@dataclass(frozen=True)
class Subject:
    """An image of the site.

    ``certificates`` are those of its digest, one for each device. ``layers`` are (DiffID, size in bytes where it is
    known, compressed) pairs from the bottom; ``size`` is their sum. ``inputs`` are the hashes of the files that it is
    built from. ``published``: it is read from a registry. ``until`` is the last month of Debian's support.
    """

    certified: doctor.Certified
    certificates: tuple[Certificate, ...]
    layers: tuple[tuple[str, int | None], ...]
    size: int | None = None
    summary: str = ""
    notes: tuple[str, ...] = ()
    until: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict, hash=False)
    published: bool = False

    @property
    def name(self) -> str:
        """What the image is called."""
        return self.certified.image

    @property
    def place(self) -> str:
        """Where it is pulled from, by its digest; a registry that is not known has a word in its place."""
        return self.certified.reference if self.published else f"{ELSEWHERE}/{self.name}@{self.certified.digest}"

    @property
    def framework(self) -> str:
        """The name of its framework's file in the suite: whose colour it has."""
        planned = self.certificates[0].report.plan.get("framework")
        found = planned.get("name") if isinstance(planned, dict) else None
        return found if isinstance(found, str) else ""


def of_checkout(cat: Catalog, suites: Suites) -> list[Subject]:
    """The images with committed certificates, by name; what is built here adds the sizes.

    Raises `VerificationFailed` for a certificate that is malformed, `UsageError` where there is none.
    """
    built = catalog.read_images(cat.root).images
    found: dict[str, list[tuple[Certificate, Mapping[str, str]]]] = {}
    for path in sorted((cat.root / FOLDER).rglob("*.json")):
        statement = doctor.read(path)
        opened = certificate.read(statement, Policy(suites))
        found.setdefault(opened.image, []).append((opened, about_of(statement).predicate.image.inputs))
    if not found:
        raise UsageError("there are no certificates here", "Make them: make build-all smoke; assay table --write")
    return [_subject(cat, several, built.get(name)) for name, several in sorted(found.items())]


def of_registry(
    references: Iterable[Reference],
    key: PublicKey,
    suites: Suites,
    *,
    plain_http: bool = False,
    name: str | None = None,
) -> list[Subject]:
    """The images that references name, by their certificates that this key has signed.

    Raises `VerificationFailed` for one that `assay verify` does not pass, `RegistryFailed` where none answers.
    """
    demands = verify.Demands(plain_http=plain_http, name=name)
    return [_published(reference, key, suites, demands) for reference in references]


def _subject(cat: Catalog, several: Sequence[tuple[Certificate, Mapping[str, str]]], built: Built | None) -> Subject:
    newest = max((opened for opened, _ in several), key=lambda one: one.age_key)
    certificates = certificate.worst_of_newest([one for one, _ in several if one.digest == newest.digest])
    inputs = next(inputs for opened, inputs in several if opened is newest)
    image = cat.images.get(newest.image)
    here = built if built and built.digest == newest.digest else None
    sizes = [size for _, size in here.layers] if here and len(here.layers) == len(newest.diff_ids) else []
    place = f"{PREFIX}/{newest.image}" if here else f"{ELSEWHERE}/{newest.image}@{newest.digest}"
    return Subject(
        doctor.certified(certificates, place),
        tuple(certificates),
        _layers(newest.diff_ids, sizes),
        here.compressed_bytes if here else None,
        image.summary if image else "",
        image.notes if image else (),
        (image.supported_until or "") if image else "",
        inputs,
    )


def _published(reference: Reference, key: PublicKey, suites: Suites, demands: verify.Demands) -> Subject:
    found = verify.verify(reference, key, suites, demands)
    verify.require_passed(found)
    exact = reference.at(found.digest)
    certificates = verify.certificates(exact, key, suites, demands=demands)
    with Repository(exact, plain_http=demands.plain_http) as repository:
        content = repository.manifest().image()
    sizes = [layer.size for layer in content.layers]
    return Subject(
        doctor.certified(certificates, str(exact)),
        tuple(certificates),
        _layers(certificates[0].diff_ids, sizes),
        sum(sizes),
        published=True,
    )


def _layers(diff_ids: Sequence[str], sizes: Sequence[int]) -> tuple[tuple[str, int | None], ...]:
    known: Sequence[int | None] = sizes if len(sizes) == len(diff_ids) else [None] * len(diff_ids)
    return tuple(zip(diff_ids, known, strict=True))
