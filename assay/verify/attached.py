"""The statements that are attached to an image and signed by its publisher: with a key, or by an identity.

A statement that is signed otherwise, or edited, or about another image, is no evidence: it is named, and ignored
beside one that holds.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from assay import certificate
from assay.attestation import Keys
from assay.attestation.bundle import BUNDLE_TYPES, LARGEST_BUNDLE
from assay.attestation.keys import Opened, OtherKind
from assay.certificate.origin import moment_of
from assay.certificate.statement import STATEMENT_TYPE
from assay.errors import VerificationFailed
from assay.registry import (
    LARGEST_MANIFEST,
    OCI_EMPTY,
    Descriptor,
    NotThere,
    Reference,
    Repository,
    Source,
    decode,
    image_of,
)

MOST_ATTACHED = 256  # of two dozen publications, each with a key and without one


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
    """A signed statement about an image: its type, all that it says, and the names of the key and the identity that
    signed it, of which one is empty unless both were asked for.
    """

    predicate_type: str
    data: dict[str, Any]
    key: str
    identity: str = ""

    @property
    def predicate(self) -> dict[str, Any]:
        """What it says about the image."""
        found = self.data["predicate"]
        assert isinstance(found, dict)  # noqa: S101 - it was decoded as one
        return found


def evidence(
    reference: Reference, key: Keys, predicate_type: str, *, plain_http: bool = False
) -> tuple[str, list[dict[str, Any]]]:
    """The digest that a reference names, and the Statements of one type about it that are signed with this key.

    They are not judged; what was attached last comes first. Raises `VerificationFailed` where there is none.
    """
    ignored: list[str] = []
    with Repository(reference, plain_http=plain_http) as repository:
        digest = image_of(repository)[0].digest
        statements = [
            statement.data
            for statement in signed(repository, digest, key, ignored)
            if statement.predicate_type == predicate_type
        ]
    if not statements:
        why = why_nothing(reference, ignored)
        raise VerificationFailed(
            f"{reference} has nothing of the type {predicate_type} that is signed with this key{why}",
            "Use the publisher's key; `assay verify` says more.",
        )
    return digest, statements[::-1]


def signed(
    source: Source, digest: str, key: Keys, ignored: list[str], now: datetime.datetime | None = None
) -> Iterator[Attached]:
    """The statements about an image's digest that are signed with this key, or one of these, and when it may sign.

    What else is attached is added to ``ignored``; signatures of the other kind, which stand beside those of this one,
    only where nothing is of this kind. Raises `VerificationFailed` where more is attached than is read.
    """
    attached = [listed for listed in source.referrers(digest) if _may_be_bundle(listed)]
    if len(attached) > MOST_ATTACHED:
        raise VerificationFailed(
            f"{len(attached)} bundles are attached, and at most {MOST_ATTACHED} are read", "Ask whoever runs it."
        )
    now = now or datetime.datetime.now(datetime.UTC)
    others: list[str] = []
    of_this_kind = False
    for listed in attached:
        try:
            statement = _about(digest, key.opened(_bundle(source, listed, digest), now))
        except (VerificationFailed, NotThere) as error:
            of_this_kind |= not isinstance(error, OtherKind)
            why = others if isinstance(error, OtherKind) else ignored
            why.append(f"{listed.digest[7:19]}: {error.what}")
        else:
            of_this_kind = True
            yield statement
    if not of_this_kind:
        ignored += others


def signed_by_each(
    source: Source, digest: str, keys: tuple[Keys, Keys | None], ignored: list[str], now: datetime.datetime | None
) -> list[Attached]:
    """The statements that are signed with the first of the keys and, where there is a second, with that too."""
    key, other = keys
    statements = list(signed(source, digest, key, ignored, now))
    if other is None:
        return statements
    lacking: list[str] = []
    beside = list(signed(source, digest, other, lacking, now))
    if not beside:
        ignored += lacking
        return []
    both: list[Attached] = []
    for one in statements:
        same = next((two for two in beside if two.data == one.data), None)
        if same is None:
            lacking.append(f"{one.predicate_type}: it is signed {key.named}, and not {other.named}")
        else:
            both.append(dataclasses.replace(one, key=one.key or same.key, identity=one.identity or same.identity))
    ignored += lacking
    return both


def days_of(statements: Iterable[Attached]) -> set[datetime.date]:
    """The days on which an image was certified, by what its certificates say."""
    times = (statement.predicate.get("timeCreated") for statement in statements)
    moments = (moment_of(str(time)) for time in times if time)
    return {moment.astimezone(datetime.UTC).date() for moment in moments if moment}


def why_nothing(reference: Reference, ignored: list[str]) -> str:
    """Why there is no evidence: what is attached was ignored, or nothing at all is attached."""
    if ignored:
        return f": {ignored[0]}"
    return (
        ", and nothing at all is attached; if it was copied without its certificates, this copies them too: "
        f"`oras cp -r ORIGINAL {reference}`"
    )


def _may_be_bundle(listed: Descriptor) -> bool:
    """Whether the list calls it a bundle, or does not tell: some registries give its config's type for its own."""
    return listed.artifact_type in {None, "", OCI_EMPTY} or bool(BUNDLE_TYPES.fullmatch(listed.artifact_type or ""))


def _bundle(source: Source, listed: Descriptor, digest: str) -> bytes:
    artifact = source.manifest(listed.digest, LARGEST_MANIFEST).image()
    if artifact.subject is None or artifact.subject.digest != digest:
        raise VerificationFailed("it is attached to another image", "Do not use it.")
    kind = artifact.artifact_type or artifact.config.media_type
    if not BUNDLE_TYPES.fullmatch(kind):
        raise VerificationFailed(f"it is no bundle of a signature but {kind[:60]!r}", "Do not use it.")
    if len(artifact.layers) != 1:
        raise VerificationFailed(f"it has {len(artifact.layers)} layers in place of one bundle", "Do not use it.")
    return source.blob(artifact.layers[0], LARGEST_BUNDLE)


def _about(digest: str, opened: Opened) -> Attached:
    """A signed payload, if it is a Statement about this image alone, and not dated after its key's last day."""
    statement = decode(opened.payload, _Statement, "the signed statement")
    if statement.type != STATEMENT_TYPE:
        raise VerificationFailed(f"it is no in-toto Statement v1 but {statement.type[:60]!r}", "Do not use it.")
    subjects = [subject.digest for subject in statement.subject]
    if subjects != [{"sha256": digest.removeprefix("sha256:")}]:
        other = next((subject["sha256"] for subject in subjects if subject.get("sha256")), "nothing")
        more = f"{len(subjects)} images at once, " if len(subjects) > 1 else ""
        raise VerificationFailed(
            f"it is signed, and about {more}another image (sha256:{other[:12]}): a certificate put here from there",
            "Do not use it.",
        )
    made = moment_of(str(statement.predicate.get("timeCreated", "")))
    if opened.until and made and made.date() > opened.until:
        raise VerificationFailed(
            f"it is dated {made.date()}, and the key {opened.key} that signed it does so until {opened.until} only",
            "Do not use it.",
        )
    data = certificate.parse_statement(opened.payload)
    return Attached(statement.predicate_type, data, opened.key, opened.identity)
