"""What verification asks for, what it found, and whether that is enough."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from assay import attestation, certificate
from assay.attestation import Keys
from assay.attestation.keys import WithKey
from assay.attestation.support import ended
from assay.certificate import LONGEST_LIFE, PREDICATE_TYPE, RANK, Certificate, Policy
from assay.errors import VerificationFailed
from assay.host.release import version
from assay.registry import Reference
from assay.verify.attached import Attached, why_nothing

# The statements that every published image has beside its certificates, and what none of each kind may lack.
_PARTS = {
    attestation.PROVENANCE: ("buildDefinition", "runDetails"),
    attestation.SBOM: ("bomFormat", "components"),
    attestation.TEST_RESULT: ("result", "passedTests"),
}
NEEDED = tuple(_PARTS)


class _Builder(msgspec.Struct, frozen=True):
    version: dict[str, Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z.+!_-]{1,64}\Z")]]


class _Run(msgspec.Struct, frozen=True):
    builder: _Builder


class _Provenance(msgspec.Struct, frozen=True, rename="camel"):
    run_details: _Run


_Cache = Annotated[str, msgspec.Meta(max_length=256)]


class _Parameters(msgspec.Struct, frozen=True):
    caches: Annotated[tuple[_Cache, ...], msgspec.Meta(max_length=64)] = ()


class _Definition(msgspec.Struct, frozen=True, rename="camel"):
    internal_parameters: _Parameters = _Parameters()


class _Made(msgspec.Struct, frozen=True, rename="camel"):
    build_definition: _Definition


@dataclass(frozen=True)
class Demands:
    """What is asked for: the least level, the greatest age in days (None: any), and every layer's content too.

    ``beside`` is who else has to have signed whatever counts, an identity beside a key.
    ``name`` is the image that it has to be; without one the repository's name says it. ``platform`` is which one of
    an index is meant, and what it has to be of; without one that of this machine, and whatever is no index.
    """

    require: str = "E2"
    max_age_days: int | None = LONGEST_LIFE
    layers: bool = False
    plain_http: bool = False
    name: str | None = None
    platform: str = ""
    beside: Keys | None = None


USUAL = Demands()


@dataclass
class Assessment:
    """One certificate that is signed and about this image, and what it amounts to.

    ``shown`` is the level in words: of a derived image, that it is one.
    """

    device: str
    level: str
    created: str
    problems: list[str] = field(default_factory=list)
    shown: str = ""


@dataclass
class Verification:
    """What was found. ``problems`` empty: all held. ``ignored``: attached, but no evidence, and why.

    ``keys`` and ``identities`` are the names of those that signed what counts; ``named`` is how messages call who was
    asked for, and ``todo`` what to name in their place. ``release`` is the Assay that published the image;
    ``ended`` says that upstream's support of it has ended, which is no problem. ``caches`` are the registries whose
    build caches the provenance names.
    """

    reference: str
    digest: str = ""
    image: str = ""
    platform: str = ""
    level: str = ""
    certificates: list[Assessment] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    identities: list[str] = field(default_factory=list)
    release: str = ""
    ended: str = ""
    caches: tuple[str, ...] = ()
    problems: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    named: str = WithKey.named
    todo: str = WithKey.todo

    @property
    def unsigned(self) -> bool:
        """Whether nothing that is attached is signed so, all of it for one reason."""
        reasons = {text.partition(": ")[2] for text in self.ignored}
        return not self.certificates and not self.statements and len(reasons) == 1

    @property
    def passed(self) -> bool:
        """Whether the image is what its certificates say, and they say enough."""
        return not self.problems


def judged(statements: Iterable[Attached], found: Verification, policy: Policy) -> list[Certificate]:
    """The certificates among the statements, of each device the one that counts. What is malformed is a problem."""
    certificates = []
    for statement in statements:
        if statement.predicate_type == PREDICATE_TYPE:
            try:
                certificates.append(certificate.read(statement.data, policy))
            except VerificationFailed as error:
                found.problems.append(f"a signed certificate is of no use: {error.what}")
    found.image = certificates[0].image if certificates else ""
    return certificate.worst_of_newest(certificates)


def assess(certificates: Iterable[Certificate], found: Verification) -> None:
    """Write down what each certificate amounts to."""
    for opened in certificates:
        problems = [what if name == "certificate" else f"{name}: {what}" for name, what in opened.verdict.problems]
        if opened.suite is None and found.release:
            problems[0] = f"{problems[0]}; {found.release} published it, and this is Assay {version()}"
        level = opened.verdict.level
        shown = certificate.level_text(level, opened.derived, opened.verdict.marks)
        found.certificates.append(Assessment(opened.device, level, opened.created, problems, shown))


def hear(statements: Iterable[Attached], found: Verification, now: datetime.datetime | None = None) -> None:
    """Write down which kinds of statements say something, and what is wrong with the others; also who signed them, by
    which Assay they were published, of which caches they were built, and whether upstream's support has ended.
    """
    statements, heard = list(statements), set()
    found.keys = sorted({statement.key for statement in statements if statement.key})
    found.identities = sorted({statement.identity for statement in statements if statement.identity})
    found.release = next(filter(None, map(_release, statements)), "")
    found.caches = tuple(sorted({cache for statement in statements for cache in _caches(statement)}))
    told = (statement.predicate for statement in statements if statement.predicate_type == attestation.SUPPORT)
    try:
        found.ended = ended(told, now or datetime.datetime.now(datetime.UTC))
    except VerificationFailed as error:
        found.problems.append(error.what)
    for statement in statements:
        problem = _says_nothing(statement)
        if problem:
            found.problems.append(problem)
        else:
            heard.add(statement.predicate_type)
    found.statements = sorted(heard)


def _release(statement: Attached) -> str:
    """The Assay that published an image, as its provenance says; empty where it does not."""
    if statement.predicate_type != attestation.PROVENANCE:
        return ""
    try:
        return f"Assay {msgspec.convert(statement.predicate, type=_Provenance).run_details.builder.version['assay']}"
    except (msgspec.ValidationError, KeyError, RecursionError):
        return ""


def _caches(statement: Attached) -> tuple[str, ...]:
    """The registries whose build caches a provenance names; none where it cannot be read."""
    if statement.predicate_type != attestation.PROVENANCE:
        return ()
    try:
        return msgspec.convert(statement.predicate, type=_Made).build_definition.internal_parameters.caches
    except (msgspec.ValidationError, RecursionError):
        return ()


def sum_up(reference: Reference, found: Verification, require: str) -> None:
    """The level that the certificates amount to, and every problem that keeps the image from ``require``."""
    for opened in found.certificates:
        found.problems += [f"certificate ({opened.device}): {problem}" for problem in opened.problems]
    if not found.certificates:
        why = why_nothing(reference, found.ignored)
        found.problems.append(f"no certificate of this image is signed {found.named}{why}")
    if found.unsigned:
        found.level = "E0"
        return  # all else follows from it
    for absent in (kind for kind in NEEDED if kind not in found.statements):
        found.problems.append(f"no signed statement of the type {absent} is attached")
    good = (opened.level for opened in found.certificates if not opened.problems)
    found.level = max(good, key=RANK.__getitem__, default="E0")
    if RANK[found.level] < RANK[require]:
        found.problems.append(f"the evidence amounts to {found.level}, and {require} is required")


def _says_nothing(statement: Attached) -> str:
    """Why a statement that must be attached does not do: it is empty, or it says that a test failed."""
    absent = [name for name in _PARTS.get(statement.predicate_type, ()) if not statement.predicate.get(name)]
    if absent:
        return f"the signed statement of the type {statement.predicate_type} has no {absent[0]}"
    if statement.predicate_type == attestation.TEST_RESULT and statement.predicate["result"] != "PASSED":
        return f"a signed test result says {str(statement.predicate['result'])[:20]!r}"
    return ""
