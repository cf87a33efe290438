"""Verify a published image from the registry alone: with the publisher's public key, and what Assay itself knows.

The level is computed from the evidence that the certificates hold, by the gates of this installation; what they say
of themselves counts for nothing. A statement that is signed with another key, or edited, or about another image, is
no evidence: it is named, and ignored beside one that holds.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import zstandard

from assay import attestation, certificate
from assay.attestation import PublicKey
from assay.attestation.bundle import BUNDLE_TYPES, LARGEST_BUNDLE
from assay.certificate import LONGEST_LIFE, PREDICATE_TYPE, RANK, Configuration, Suites
from assay.certificate.statement import STATEMENT_TYPE
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


@dataclass(frozen=True)
class Policy:
    """What is asked for: the least level, the greatest age in days (None: any), and every layer's content too."""

    require: str = "E2"
    max_age_days: int | None = LONGEST_LIFE
    layers: bool = False
    plain_http: bool = False


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


@dataclass(frozen=True)
class Attached:
    """A signed statement about an image: its type, and all that it says."""

    predicate_type: str
    data: dict[str, Any]

    @property
    def predicate(self) -> dict[str, Any]:
        """What it says about the image."""
        found = self.data["predicate"]
        assert isinstance(found, dict)  # noqa: S101 - it was decoded as one
        return found


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
    suites: Suites,
    policy: Policy = Policy(),
    now: datetime.datetime | None = None,
) -> Verdict:
    """Verify what a reference names.

    Raises `RegistryFailed` (exit 6) where the registry does not answer; everything else is in the verdict.
    """
    found = Verdict(str(reference))
    with Repository(reference, plain_http=policy.plain_http) as there:
        try:
            _verify(there, found, key, certificate.Policy(suites, max_age_days=policy.max_age_days, now=now), policy)
        except VerificationFailed as error:
            found.problems.append(error.what)
    return found


def evidence(
    reference: Reference, key: PublicKey, predicate_type: str, *, plain_http: bool = False
) -> tuple[str, list[dict[str, Any]]]:
    """The digest that a reference names, and the Statements of one type about it that are signed with this key.

    They are not judged; what was attached last comes first. Raises `VerificationFailed` where there is none.
    """
    found = Verdict(str(reference))
    with Repository(reference, plain_http=plain_http) as there:
        found.digest = there.manifest().digest
        statements = [one.data for one in _signed(there, found, key) if one.predicate_type == predicate_type]
    if not statements:
        raise VerificationFailed(
            f"{reference} has nothing of the type {predicate_type} that is signed with this key{_why(found)}",
            "Use the publisher's key; `assay verify` says more.",
        )
    return found.digest, statements[::-1]


def certificates(
    reference: Reference,
    key: PublicKey,
    suites: Suites,
    *,
    plain_http: bool = False,
    now: datetime.datetime | None = None,
) -> list[certificate.Certificate]:
    """The certificates of a published image, of each device the one that counts, judged as `verify` judges them.

    Raises `VerificationFailed` where there is none that is signed with this key, or one is malformed.
    """
    found = Verdict(str(reference))
    policy = certificate.Policy(suites, max_age_days=LONGEST_LIFE, now=now)
    with Repository(reference, plain_http=plain_http) as there:
        content, config = _image(there, found)
        several = _judged([*_signed(there, found, key)], found, policy_for(policy, found.digest, content, config))
    if not several:
        problem = (
            found.problems[0] if found.problems else f"no certificate of it is signed with this key{_why(found)}"
        )
        raise VerificationFailed(f"{reference}: {problem}", "Use the publisher's key; `assay verify` says more.")
    _check_name(there.reference, found)
    found.problems += [one.origin for one in several if one.origin]
    if found.problems:
        raise VerificationFailed(f"{reference}: {found.problems[0]}", "Do not use this image.")
    return several


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


def _verify(there: Repository, found: Verdict, key: PublicKey, held_to: certificate.Policy, policy: Policy) -> None:
    content, config = _image(there, found)
    statements = list(_signed(there, found, key))
    found.statements = sorted({one.predicate_type for one in statements if not _says_nothing(one)})
    found.problems += [text for one in statements if (text := _says_nothing(one))]
    for one in _judged(statements, found, policy_for(held_to, found.digest, content, config)):
        problems = [what if name == "certificate" else f"{name}: {what}" for name, what in one.verdict.problems]
        found.certificates.append(Certificate(one.device, one.verdict.level, one.created, problems))
    if len(config.rootfs.diff_ids) != len(content.layers):
        found.problems.append("the manifest has more or fewer layers than the image's configuration")
    _summed_up(found, policy)
    _check_tag(there.reference, found, config)
    _check_layers(there, found, content, config, policy)


def _image(there: Repository, found: Verdict) -> tuple[ImageManifest, _Config]:
    manifest = there.manifest()
    found.digest = manifest.digest
    content = manifest.image()
    return content, decode(there.blob(content.config, LARGEST_CONFIG), _Config, "the image's configuration")


def policy_for(
    policy: certificate.Policy, digest: str, content: ImageManifest, config: _Config
) -> certificate.Policy:
    """The policy for one image: its certificates are of its digest, its configuration and its layers."""
    about = Configuration(
        content.config.digest, config.rootfs.diff_ids, f"{config.os}/{config.architecture}", config.config.labels
    )
    return dataclasses.replace(policy, digest=digest, configuration=about)


def _summed_up(found: Verdict, policy: Policy) -> None:
    good = [one for one in found.certificates if not one.problems]
    for one in found.certificates:
        found.problems += [f"certificate ({one.device}): {problem}" for problem in one.problems]
    if not found.certificates:
        found.problems.append(f"no certificate of this image is signed with this key{_why(found)}")
    for absent in (name for name in NEEDED if name not in found.statements):
        found.problems.append(f"no signed statement of the type {absent} is attached")
    found.level = max((one.level for one in good), key=RANK.__getitem__, default="E0")
    if RANK[found.level] < RANK[policy.require]:
        found.problems.append(f"the evidence amounts to {found.level}, and {policy.require} is required")


def _why(found: Verdict) -> str:
    """Why there is nothing: something is attached that was ignored, or nothing at all is."""
    return f": {found.ignored[0]}" if found.ignored else ", and nothing at all is attached"


def _says_nothing(one: Attached) -> str:
    """Why a statement that must be attached does not do: it is empty, or it says that a test failed."""
    wanted = {
        attestation.PROVENANCE: ("buildDefinition", "runDetails"),
        attestation.SBOM: ("bomFormat", "components"),
        attestation.TEST_RESULT: ("result", "passedTests"),
    }.get(one.predicate_type, ())
    absent = [name for name in wanted if not one.predicate.get(name)]
    if absent:
        return f"the signed statement of the type {one.predicate_type} has no {absent[0]}"
    if one.predicate_type == attestation.TEST_RESULT and one.predicate["result"] != "PASSED":
        return f"a signed test result says {str(one.predicate['result'])[:20]!r}"
    return ""


# What is attached


def _signed(there: Repository, found: Verdict, key: PublicKey) -> Iterator[Attached]:
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


def _opened(there: Repository, listed: Descriptor, digest: str, key: PublicKey) -> Attached:
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
    about = [one.digest for one in statement.subject]
    if about != [{"sha256": digest.removeprefix("sha256:")}]:
        other = next((one["sha256"] for one in about if one.get("sha256")), "nothing")
        more = f"{len(about)} images at once, " if len(about) > 1 else ""
        raise VerificationFailed(
            f"it is signed, and about {more}another image (sha256:{other[:12]}): a certificate put here from there",
            "Do not use it.",
        )
    return Attached(statement.predicate_type, certificate.parse_statement(payload))


# The certificates


def _judged(statements: list[Attached], found: Verdict, policy: certificate.Policy) -> list[certificate.Certificate]:
    """The certificates among the statements, of each device the one that counts. What is malformed is a problem."""
    several = []
    for one in statements:
        if one.predicate_type == PREDICATE_TYPE:
            try:
                several.append(certificate.read(one.data, policy))
            except VerificationFailed as error:
                found.problems.append(f"a signed certificate is of no use: {error.what}")
    found.image = several[0].image if several else ""
    return certificate.worst_of_newest(several)


# The image


def _check_tag(reference: Reference, found: Verdict, config: _Config) -> None:
    """A tag says which version it is; one that was moved to another image, certified as that may be, is named."""
    _check_name(reference, found)
    if reference.digest or reference.wanted == "latest":
        return
    wanted = attestation.tag(config.config.labels)
    if reference.tag != wanted:
        found.problems.append(
            f"the tag {reference.tag} points to {found.image or 'an image'} {wanted}: it was moved, or is not ours; "
            f"name the digest if that is what you want"
        )


def _check_name(reference: Reference, found: Verdict) -> None:
    """The repository is the image's: a certificate of one image of ours is none of another."""
    if found.image and not f"/{reference.path}".endswith(f"/{found.image}"):
        found.problems.append(f"the repository is {reference.path}, and the certificate is of {found.image}")


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
