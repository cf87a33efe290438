"""Verify a published image from the registry alone: with the publisher's public key, and what Assay itself knows.

The level is computed from the evidence that the certificates hold, by the gates of this installation; what they say
of themselves counts for nothing. A statement that is signed with another key, or edited, or about another image, is
no evidence: it is named, and ignored beside one that holds.
"""

from __future__ import annotations

import datetime
import hashlib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import msgspec
import zstandard

from assay import attestation, certificate
from assay.attestation import STATEMENT_TYPE, PublicKey
from assay.attestation.bundle import BUNDLE_TYPES, LARGEST_BUNDLE
from assay.certificate import LEVELS, PREDICATE_TYPE, Known, Report
from assay.errors import RegistryFailed, VerificationFailed
from assay.registry import (
    LARGEST_CONFIG,
    LARGEST_MANIFEST,
    OCI_EMPTY,
    Descriptor,
    ImageManifest,
    NotThere,
    Reference,
    Repository,
    decode,
)

MOST_ATTACHED = 128
NEEDED = (attestation.PROVENANCE, attestation.SBOM, attestation.TEST_RESULT)
LARGEST_LAYER = 64 * 2**30
LARGEST_WINDOW = 2**27
STEP = 2**14
LEEWAY = datetime.timedelta(hours=1)  # by which clocks may differ


@dataclass(frozen=True)
class Policy:
    """What is asked for: the least level, the greatest age in days (None: any), and every layer's content too."""

    require: str = "E2"
    max_age_days: int | None = 365
    layers: bool = False
    plain_http: bool = False
    suites: frozenset[str] = frozenset()  # suites that are known beside the installed one: see `released_suites`


@dataclass
class Certificate:
    """One certificate that is signed and about this image, and what it amounts to."""

    device: str
    level: str
    created: str
    problems: list[str] = field(default_factory=list)


@dataclass
class Verdict:
    """What was found. ``problems`` empty: all held. ``ignored``: attached, but no evidence, and why."""

    reference: str
    digest: str = ""
    image: str = ""
    level: str = ""
    certificates: list[Certificate] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether the image is what its certificates say, and they say enough."""
        return not self.problems


class _Subject(msgspec.Struct, frozen=True):
    digest: dict[str, str]
    name: str = ""


class _Statement(msgspec.Struct, frozen=True, rename={"type": "_type", "predicate_type": "predicateType"}):
    type: str
    predicate_type: str
    subject: tuple[_Subject, ...]
    predicate: dict[str, Any]


class _RootFs(msgspec.Struct, frozen=True):
    diff_ids: tuple[str, ...]
    type: str = "layers"


class _Settings(msgspec.Struct, frozen=True):
    labels: dict[str, str] = msgspec.field(default_factory=dict, name="Labels")


class _Config(msgspec.Struct, frozen=True):
    """An image's configuration; of it what is held against the certificate."""

    rootfs: _RootFs
    config: _Settings = _Settings()
    os: str = ""
    architecture: str = ""


def verify(
    reference: Reference,
    key: PublicKey,
    known: Known,
    policy: Policy = Policy(),
    now: datetime.datetime | None = None,
) -> Verdict:
    """Verify what a reference names.

    Raises `RegistryFailed` (exit 6) where the registry does not answer; everything else is in the verdict.
    """
    found = Verdict(str(reference))
    with Repository(reference, plain_http=policy.plain_http) as there:
        try:
            _verify(there, found, key, known, policy, now or datetime.datetime.now(datetime.UTC))
        except VerificationFailed as error:
            found.problems.append(error.what)
    return found


def evidence(
    reference: Reference, key: PublicKey, predicate_type: str, *, plain_http: bool = False
) -> tuple[str, list[dict[str, Any]]]:
    """The digest that a reference names, and what of one type is signed with this key about it: of each device the
    newest Statement, not judged yet. Raises `VerificationFailed` where there is none."""
    found = Verdict(str(reference))
    with Repository(reference, plain_http=plain_http) as there:
        found.digest = there.manifest().digest
        statements = [one for one in _signed(there, found, key) if one.predicate_type == predicate_type]
    if not statements:
        why = f": {found.ignored[0]}" if found.ignored else ", and nothing at all is attached"
        raise VerificationFailed(
            f"{reference} has nothing of the type {predicate_type} that is signed with this key{why}",
            "Use the publisher's key; `assay verify` says more.",
        )
    return found.digest, [msgspec.to_builtins(one) for one in _newest(statements)]


def released_suites(folder: Path) -> frozenset[str]:
    """The suites that made the certificates which this release brings along.

    A suite's digest changes with every framework that is added to it; what it is held to stands in its gates and its
    reference, and those have to be the installed ones.
    """
    found = set()
    for path in folder.rglob("*.json"):
        statement = certificate.read_statement(path)
        if statement is not None:
            found.add(certificate.report_of(statement).suite.sha256)
    return frozenset(found)


def require_passed(verdict: Verdict) -> None:
    """Raise `VerificationFailed` (exit 5) unless all held."""
    if not verdict.passed:
        raise VerificationFailed(f"{verdict.reference}: {verdict.problems[0]}", "Do not use this image.")


def row(verdict: Verdict) -> dict[str, object]:
    """A verdict for programs."""
    return {
        "reference": verdict.reference,
        "digest": verdict.digest,
        "image": verdict.image,
        "passed": verdict.passed,
        "level": verdict.level or None,
        "certificates": [vars(one) for one in verdict.certificates],
        "statements": verdict.statements,
        "problems": verdict.problems,
        "ignored": verdict.ignored,
    }


def _verify(
    there: Repository,
    found: Verdict,
    key: PublicKey,
    known: Known,
    policy: Policy,
    now: datetime.datetime,
) -> None:
    manifest = there.manifest()
    found.digest = manifest.digest
    content = manifest.image()
    config = decode(there.blob(content.config, LARGEST_CONFIG), _Config, "the image's configuration")
    statements = list(_signed(there, found, key))
    found.statements = sorted({one.predicate_type for one in statements})
    certificates = [one for one in statements if one.predicate_type == PREDICATE_TYPE]
    for one in _newest(certificates):
        found.certificates.append(_judged(one, found, content, config, known, policy, now))
    _summed_up(found, policy)
    _check_tag(there.reference, found, config)
    _check_layers(there, found, content, config, policy)


def _summed_up(found: Verdict, policy: Policy) -> None:
    good = [one for one in found.certificates if not one.problems]
    for one in found.certificates:
        found.problems += [f"certificate ({one.device}): {problem}" for problem in one.problems]
    if not found.certificates:
        why = f": {found.ignored[0]}" if found.ignored else ", and nothing at all is attached"
        found.problems.append(f"no certificate of this image is signed with this key{why}")
    for absent in (name for name in NEEDED if name not in found.statements):
        found.problems.append(f"no signed statement of the type {absent} is attached")
    found.level = max((one.level for one in good), default="E0")
    if list(LEVELS).index(found.level) < list(LEVELS).index(policy.require):
        found.problems.append(f"the evidence amounts to {found.level}, and {policy.require} is required")


# What is attached


def _signed(there: Repository, found: Verdict, key: PublicKey) -> Iterator[_Statement]:
    """The statements about this image that are signed with this key."""
    attached = [one for one in there.referrers(found.digest) if _may_be_bundle(one)]
    if len(attached) > MOST_ATTACHED:
        raise VerificationFailed(
            f"{len(attached)} bundles are attached, and at most {MOST_ATTACHED} are read", "Ask whoever runs it."
        )
    for one in attached:
        try:
            yield _opened(there, one, found.digest, key)
        except (VerificationFailed, NotThere) as error:
            found.ignored.append(f"{one.digest[7:19]}: {error.what}")


def _may_be_bundle(listed: Descriptor) -> bool:
    """Whether the list calls it a bundle, or does not tell: some registries give its config's type for its own."""
    return listed.artifact_type in {None, "", OCI_EMPTY} or bool(BUNDLE_TYPES.fullmatch(listed.artifact_type or ""))


def _opened(there: Repository, listed: Descriptor, digest: str, key: PublicKey) -> _Statement:
    manifest = there.manifest(listed.digest, LARGEST_MANIFEST)
    artifact = manifest.image()
    if artifact.subject is None or artifact.subject.digest != digest:
        raise VerificationFailed("it is attached to another image", "Do not use it.")
    kind = artifact.artifact_type or artifact.config.media_type
    if not BUNDLE_TYPES.fullmatch(kind):
        raise VerificationFailed(f"it is no bundle of a signature but {kind[:60]!r}", "Do not use it.")
    if len(artifact.layers) != 1:
        raise VerificationFailed(f"it has {len(artifact.layers)} layers in place of one bundle", "Do not use it.")
    payload = key.open(there.blob(artifact.layers[0], LARGEST_BUNDLE))
    statement = decode(payload, _Statement, "the signed statement")
    if statement.type != STATEMENT_TYPE:
        raise VerificationFailed(f"it is no in-toto Statement v1 but {statement.type[:60]!r}", "Do not use it.")
    about = {one.digest.get("sha256") for one in statement.subject}
    if digest.removeprefix("sha256:") not in about:
        other = next((one for one in about if one), "nothing")
        raise VerificationFailed(
            f"it is signed, and about another image (sha256:{other[:12]}): a certificate put here from there",
            "Do not use it.",
        )
    return statement


# The certificates


def _newest(certificates: list[_Statement]) -> list[_Statement]:
    """Of each device's certificates the newest: an image may be certified anew."""
    newest: dict[str, _Statement] = {}
    for one in sorted(certificates, key=lambda one: str(one.predicate.get("timeCreated"))):
        plan = one.predicate.get("plan")
        newest[str(plan.get("device")) if isinstance(plan, dict) else "?"] = one
    return [newest[device] for device in sorted(newest)]


def _judged(
    statement: _Statement,
    found: Verdict,
    content: ImageManifest,
    config: _Config,
    known: Known,
    policy: Policy,
    now: datetime.datetime,
) -> Certificate:
    predicate = statement.predicate
    made = Certificate("?", "E0", str(predicate.get("timeCreated")))
    try:
        report = certificate.report_of({"predicate": predicate})
    except VerificationFailed as error:
        made.problems.append(error.what)
        return made
    found.image = report.image
    verdict = certificate.judge(report, known)
    made.device, made.level = str(report.plan.get("device")), verdict.level
    made.problems += [f"{name}: {problem}" for name, problem in verdict.problems]
    made.problems += _origin_problems(report, known, policy.suites)
    made.problems += _image_problems(predicate.get("image"), content, config)
    made.problems += _age_problems(made.created, policy, now)
    return made


def _origin_problems(report: Report, known: Known, suites: frozenset[str]) -> Iterator[str]:
    """Whether the evidence comes from a suite, and from the gates and the reference, that this Assay knows."""
    for name, theirs, ours in (
        ("suite", report.suite.sha256, {known.suite, *suites}),
        ("gates", report.gates.sha256, {known.gates_digest}),
        ("reference", report.reference.sha256, {known.reference}),
    ):
        if theirs not in ours:
            yield f"its {name} ({theirs[:12]}) is unknown to this Assay: install the release that it is of"


def _image_problems(facts: object, content: ImageManifest, config: _Config) -> Iterator[str]:
    """Whether it was made of this configuration and these layers."""
    stated = cast("dict[str, Any]", facts) if isinstance(facts, dict) else {}
    if stated.get("configDigest") != content.config.digest:
        yield "it names another image configuration than the manifest"
    if stated.get("diffIDs") != list(config.rootfs.diff_ids):
        yield "it names other layers (DiffIDs) than the image's configuration"
    if len(config.rootfs.diff_ids) != len(content.layers):
        yield "the manifest has more or fewer layers than the image's configuration"
    if stated.get("platform") != f"{config.os}/{config.architecture}":
        yield f"it is of {str(stated.get('platform'))[:40]}, and the image is of {config.os}/{config.architecture}"


def _age_problems(created: str, policy: Policy, now: datetime.datetime) -> Iterator[str]:
    try:
        moment = datetime.datetime.fromisoformat(created)
        age = now - moment
    except (ValueError, TypeError, OverflowError):
        yield "it does not say when it was made"
        return
    if age < -LEEWAY:
        yield f"it was made in the future ({created})"
    if policy.max_age_days is not None and age > datetime.timedelta(days=policy.max_age_days):
        yield f"it is {age.days} days old, and at most {policy.max_age_days} are allowed"


# The image


def _check_tag(reference: Reference, found: Verdict, config: _Config) -> None:
    """A tag says which version it is; one that was moved to another image, certified as that may be, is named."""
    if found.image and reference.path.rpartition("/")[2] != found.image.rpartition("/")[2]:
        found.problems.append(f"the repository is {reference.path}, and the certificate is of {found.image}")
    if reference.digest or reference.wanted == "latest":
        return
    wanted = attestation.tag(config.config.labels)
    if reference.tag != wanted:
        found.problems.append(
            f"the tag {reference.tag} points to {found.image or 'an image'} {wanted}: it was moved, or is not ours; "
            f"name the digest if that is what you want"
        )


def _check_layers(
    there: Repository,
    found: Verdict,
    content: ImageManifest,
    config: _Config,
    policy: Policy,
) -> None:
    """Every layer is there with its size; with ``policy.layers``, it is read and held against digest and DiffID."""
    for number, layer in enumerate(content.layers):
        if not policy.layers:
            size = there.size(layer.digest)
            if size is None:
                found.problems.append(f"the layer {layer.digest[:19]} is not in the registry")
            elif size != layer.size:
                found.problems.append(f"the layer {layer.digest[:19]} has {size} of {layer.size} bytes")
            continue
        try:
            unpacked = _diff_id(there.stream(layer), layer.media_type)
        except (VerificationFailed, RegistryFailed) as error:
            found.problems.append(error.what)
            continue
        if number >= len(config.rootfs.diff_ids) or unpacked != config.rootfs.diff_ids[number]:
            found.problems.append(f"the layer {layer.digest[:19]} unpacks to other content than certified")


def unpacked(chunks: Iterator[bytes], media_type: str) -> Iterator[bytes]:
    """A layer's tar, in pieces that are never empty. Raises `VerificationFailed` for what cannot be unpacked."""
    unpack, count = _unpacker(media_type), 0
    try:
        for chunk in chunks:
            for piece in unpack(chunk):
                count += len(piece)
                if count > LARGEST_LAYER:
                    raise VerificationFailed(
                        f"a layer unpacks to more than {LARGEST_LAYER >> 30} GiB", "Do not use the image."
                    )
                if piece:
                    yield piece
    except (zstandard.ZstdError, zlib.error) as error:
        raise VerificationFailed(f"a layer cannot be unpacked: {error}", "Do not use the image.") from None


def _diff_id(chunks: Iterator[bytes], media_type: str) -> str:
    """The hash of a layer unpacked. What cannot be unpacked is read to its end all the same: it may be truncated."""
    digest = hashlib.sha256()
    try:
        for piece in unpacked(chunks, media_type):
            digest.update(piece)
    except VerificationFailed:
        for _ in chunks:
            pass
        raise
    return f"sha256:{digest.hexdigest()}"


def _unpacker(media_type: str) -> Callable[[bytes], Iterator[bytes]]:
    """Unpacks piece by piece, in little memory however much it comes to."""
    if media_type.endswith("zstd"):
        return _zstd()
    if media_type.endswith("gzip"):
        return _gzip()
    return lambda chunk: iter((chunk,))


def _zstd() -> Callable[[bytes], Iterator[bytes]]:
    engine = zstandard.ZstdDecompressor(max_window_size=LARGEST_WINDOW).decompressobj(read_across_frames=True)

    def unpack(chunk: bytes) -> Iterator[bytes]:
        for at in range(0, len(chunk), STEP):
            yield engine.decompress(chunk[at : at + STEP])

    return unpack


def _gzip() -> Callable[[bytes], Iterator[bytes]]:
    engine = zlib.decompressobj(wbits=31)

    def unpack(chunk: bytes) -> Iterator[bytes]:
        while chunk and not engine.eof:
            yield engine.decompress(chunk, STEP)
            chunk = engine.unconsumed_tail

    return unpack
