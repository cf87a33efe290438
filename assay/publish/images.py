"""Publish images one after the other. Each image's tags come last, so that no tag points to a part of an image.

Statements and the signatures of a key are deterministic, so publishing again asks what is there and sends nothing.
Keyless signatures are not: what an identity has signed already is not signed again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from assay import attestation
from assay.attestation import PrivateKey
from assay.attestation.bundle import payload_of
from assay.attestation.sbom import sbom
from assay.attestation.support import support
from assay.catalog import Catalog, read_images
from assay.catalog.built import tag as local_name
from assay.engine import Engine
from assay.errors import AssayError, UsageError, of_image
from assay.host import process
from assay.publish.candidates import Candidate, Proof
from assay.publish.inventory import inventory_of
from assay.publish.push import attach, homes_of_layers, payloads, push
from assay.registry import (
    LARGEST_CONFIG,
    ImageConfig,
    Manifest,
    NotThere,
    Reference,
    Repository,
    View,
    decode,
    with_image,
)

if TYPE_CHECKING:
    from assay.attestation.keyless import Keyless


@dataclass(frozen=True)
class Signers:
    """What statements are signed with: a key, without one by whom an identity token names, or each."""

    key: PrivateKey | None = None
    keyless: Keyless | None = None


@dataclass(frozen=True)
class Destination:
    """Where images go: IMAGE to ``registry``/IMAGE, a host with or without a path; ``dated``: by a dated tag too."""

    registry: str
    plain_http: bool = False
    dated: bool = False

    def reference(self, name: str) -> Reference:
        """An image's name there; `UsageError` where that is no reference to a registry."""
        return Reference.parse(f"{self.registry.rstrip('/')}/{name}")


@dataclass(frozen=True)
class Published:
    """What came of one image. ``sent`` is in bytes; 0 where all of it was there."""

    image: str
    reference: str
    tags: tuple[str, ...]
    attached: int
    sent: int
    seconds: float


def publish(
    cat: Catalog,
    engine: Engine,
    signers: Signers,
    good: Iterable[Candidate],
    destination: Destination,
    view: View,
) -> tuple[list[Published], dict[str, AssayError]]:
    """Publish images one after the other, the layers of each side by side.

    Returns what was published, and by its name what failed; one that fails leaves the others alone.
    """
    path = destination.reference("any").path.rpartition("/")[0]
    publisher = _Publisher(
        cat, engine, signers, destination, view, source_commit(cat.root), homes_of_layers(cat, path)
    )
    done: list[Published] = []
    failed: dict[str, AssayError] = {}
    for candidate in good:
        try:
            done.append(publisher.publish(candidate))
        except Exception as error:
            failed[candidate.image.name] = of_image(candidate.image.name, error)
    return done, failed


def row(published: Published) -> dict[str, object]:
    """What was published, for programs."""
    return {
        "image": published.image,
        "reference": published.reference,
        "tags": list(published.tags),
        "attached": published.attached,
        "bytes_sent": published.sent,
        "seconds": round(published.seconds, 1),
    }


def source_commit(root: Path) -> str | None:
    """The commit that the images were made from; None outside git, and where the sources differ from it."""
    git = ["git", "-C", str(root)]
    head = process.run([*git, "rev-parse", "--verify", "HEAD"])
    changed = process.run([*git, "status", "--porcelain", "--", "images", "smoke", "assay"])
    if head.returncode != 0 or changed.returncode != 0 or changed.stdout.strip():
        return None
    return head.stdout.strip()


@dataclass(frozen=True)
class _Publisher:
    """What every image is published with."""

    catalog: Catalog
    engine: Engine
    signers: Signers
    destination: Destination
    view: View
    commit: str | None
    homes: Mapping[str, list[str]]

    def publish(self, candidate: Candidate) -> Published:
        name, digest = candidate.image.name, candidate.built.digest
        reference = self.destination.reference(name)
        if self.engine.digest(local_name(name, "latest")) != digest:
            raise UsageError(f"the engine has no {name} of the certified digest", f"Run `assay build {name}` first.")
        started = time.monotonic()
        with Repository(reference, plain_http=self.destination.plain_http) as repository:
            self.view.phase(name, "asking what is there")
            dated = (candidate.dated,) if self.destination.dated else ()
            for tag in dated:
                _require_unmoved(reference, tag, repository.digest(tag), digest)
            manifest = push(self.engine, candidate, repository, self.homes, self.view)
            self.view.phase(name, "certificates")
            attached = self._sign(repository, manifest, name, self._statements(candidate))
            self.view.phase(name, "tags")
            named = _named(repository, candidate, manifest)
            # An index gets more platforms later, so what never moves is the image itself.
            wanted = {**dict.fromkeys(dated, manifest), **dict.fromkeys(candidate.tags, named)}
            for tag, content in wanted.items():
                if repository.digest(tag) != content.digest:
                    repository.put_manifest(content.data, content.media_type, tag)
            seconds = time.monotonic() - started
            return Published(
                name, str(reference.at(manifest.digest)), tuple(wanted), attached, repository.sent, seconds
            )

    def _sign(self, repository: Repository, manifest: Manifest, name: str, statements: list[dict[str, Any]]) -> int:
        """Attach what is not attached yet, with each signer; returns how many bundles that were."""
        key, keyless = self.signers.key, self.signers.keyless
        attached = sum(attach(repository, manifest, statement, key) for statement in statements) if key else 0
        if keyless:
            session = keyless.session()
            whose = session.identity
            self.view.phase(name, f"signing without a key, as {whose.identity}, vouched for by {whose.issuer}")
            there = payloads(repository, manifest, whose)
            left = [statement for statement in statements if payload_of(statement) not in there]
            attached += sum(attach(repository, manifest, statement, session) for statement in left)
        return attached

    def _statements(self, candidate: Candidate) -> list[dict[str, Any]]:
        image, built, proofs = candidate.image, candidate.built, candidate.proofs
        all_built = read_images(self.catalog.root).images
        below = self.catalog.ancestors(image)
        parents = {parent.name: all_built[parent.name].digest for parent in below if parent.name in all_built}
        caches = {one.cache for one in (built, *(all_built[name] for name in parents)) if one.cache}
        suite = next((parent.suite for parent in below if parent.suite), None)
        inventory = inventory_of(self.catalog.root, self.engine, image.name, built.digest)
        return [
            *(proof.statement for proof in proofs),
            *(_test_result(proof) for proof in proofs),
            attestation.provenance(proofs[0].statement, built.built, parents, self.commit, caches),
            sbom(image.name, built.digest, built.built, suite, inventory),
            *([support(image.name, built.digest, msgspec.to_builtins(image.support))] if image.support else []),
        ]


def _named(repository: Repository, candidate: Candidate, manifest: Manifest) -> Manifest:
    """What the tags point to: the image, or the index that lists it beside those for other platforms."""
    image = candidate.image
    if len(image.platforms) == 1:
        return manifest
    try:
        before = repository.manifest(candidate.tags[0])
    except NotThere:
        return with_image(None, manifest, image.built_for.name)
    if not before.is_index:
        config = decode(
            repository.blob(before.image().config, LARGEST_CONFIG), ImageConfig, "the image's configuration"
        )
        before = with_image(None, before, f"{config.os}/{config.architecture}")
    return with_image(before, manifest, image.built_for.name)


def _require_unmoved(reference: Reference, tag: str, there: str | None, digest: str) -> None:
    """Raise `UsageError` where a dated tag is another image's: whoever names it means that one for ever."""
    if there not in {None, digest}:
        raise UsageError(
            f"{reference.path}:{tag} is {str(there)[:19]} already, and a dated tag never moves to {digest[:19]}",
            "Publish without --dated, or certify the image anew on another day.",
        )


def _test_result(proof: Proof) -> dict[str, Any]:
    return attestation.test_result(proof.statement, proof.certificate.report, proof.certificate.verdict)
