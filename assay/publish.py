"""Publish certified images: the image and what is attached to it first, its tags last.

An image goes to the registry under the very digest that its certificate names. Its blobs are handed over by the
engine one at a time and sent by our own client, rather than by ``docker push``: that needs a tag at once, so that an
interrupted push, or one whose certificates are refused, would leave a tag without them; it does not take up again
what broke off within a layer; and it cannot say what it sent. It costs the room of the largest layer for a while.

Signatures and statements are deterministic, so publishing again asks what is there and sends nothing.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from assay import attestation, catalog, certificate, scripts
from assay.attestation import PrivateKey
from assay.attestation.bundle import BUNDLE_TYPE
from assay.attestation.sbom import Inventory, sbom
from assay.catalog import Built, Catalog, Image, read_images
from assay.catalog.built import tag as local_name
from assay.catalog.drift import require_exact
from assay.certificate import Report, Suites, Verdict
from assay.engine import MOUNT, Engine, RunRequest, run_with_folder
from assay.errors import AssayError, BuildFailed, UsageError, VerificationFailed, of_image
from assay.host import process
from assay.registry import OCI_MANIFEST, Descriptor, ImageManifest, Manifest, Reference, Repository, digest_of

INVENTORY_SECONDS = 300
LARGEST_INVENTORY = 16 * 2**20


@dataclass(frozen=True)
class Certified:
    """A certificate of one device, and what was made of it."""

    device: str
    statement: dict[str, Any]
    report: Report
    verdict: Verdict


@dataclass(frozen=True)
class Candidate:
    """An image that may be published: built, and with a valid certificate of exactly that digest."""

    image: Image
    built: Built
    certified: tuple[Certified, ...]

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags, the one that moves last."""
        return (attestation.tag(catalog.labels(self.image)), "latest")


@dataclass(frozen=True)
class Refused:
    """An image that may not be published, and why."""

    image: str
    why: str


@dataclass(frozen=True)
class Published:
    """What came of one image. ``sent`` is in bytes; 0 where all of it was there."""

    image: str
    reference: str
    tags: tuple[str, ...]
    attached: int
    sent: int
    seconds: float


def candidates(cat: Catalog, suites: Suites, names: Iterable[str]) -> tuple[list[Candidate], list[Refused]]:
    """Which of the named images (none: of all that are built) may be published, and which may not. Asks no engine."""
    built = read_images(cat.root).images
    chosen = cat.select(names)
    if not names:
        chosen = tuple(image for image in chosen if image.name in built)
    if not chosen:
        raise UsageError("no image is built", "Run `assay build` and `assay smoke` first.")
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
    names = [one.image for one in refused]
    if names:
        raise VerificationFailed(
            f"{', '.join(names)} was not published: no valid certificate of that digest",
            "`assay smoke` makes one; what is wrong with it stands above.",
        )


def publish(
    cat: Catalog,
    engine: Engine,
    key: PrivateKey,
    good: Iterable[Candidate],
    registry: str,
    *,
    plain_http: bool = False,
    on_step: Callable[[str, str], None],
) -> tuple[list[Published], dict[str, AssayError]]:
    """Publish images one after the other to ``registry`` (HOST/PATH), as HOST/PATH/IMAGE.

    Returns what was published, and by its name what failed; one that fails leaves the others alone.
    """
    commit = source_commit(cat.root)
    homes = _homes(cat, Reference.parse(f"{registry.rstrip('/')}/any").path.rpartition("/")[0])

    def one(candidate: Candidate) -> Published:
        name = candidate.image.name
        reference = Reference.parse(f"{registry.rstrip('/')}/{name}")
        if engine.digest(local_name(name, "latest")) != candidate.built.digest:
            raise UsageError(f"the engine has no {name} of the certified digest", f"Run `assay build {name}` first.")
        started = time.monotonic()
        with Repository(reference, plain_http=plain_http) as there:
            on_step(name, "image")
            manifest = _push(engine, candidate, there, homes)
            on_step(name, "certificates")
            statements = _statements(cat, engine, candidate, commit)
            attached = sum(attach(there, manifest, each, key) for each in statements)
            on_step(name, "tags")
            for tag in candidate.tags:
                if there.digest(tag) != manifest.digest:
                    there.put_manifest(manifest.data, manifest.media_type, tag)
            sent = there.sent
        taken = time.monotonic() - started
        return Published(name, str(reference.at(manifest.digest)), candidate.tags, attached, sent, taken)

    done: list[Published] = []
    failed: dict[str, AssayError] = {}
    for candidate in good:
        try:
            done.append(one(candidate))
        except Exception as error:
            failed[candidate.image.name] = of_image(candidate.image.name, error)
    return done, failed


def row(one: Published) -> dict[str, object]:
    """What was published, for programs."""
    return {
        "image": one.image,
        "reference": one.reference,
        "tags": list(one.tags),
        "attached": one.attached,
        "bytes_sent": one.sent,
        "seconds": round(one.seconds, 1),
    }


def source_commit(root: Path) -> str | None:
    """The commit that the images were made from; None outside git, and where the sources differ from it."""
    git = ["git", "-C", str(root)]
    head = process.run([*git, "rev-parse", "--verify", "HEAD"])
    changed = process.run([*git, "status", "--porcelain", "--", "images", "smoke", "assay"])
    if head.returncode != 0 or changed.returncode != 0 or changed.stdout.strip():
        return None
    return head.stdout.strip()


# What may be published


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
    return Candidate(image, built, tuple(_certified(cat, suites, image, built, path) for path in paths))


def _certified(cat: Catalog, suites: Suites, image: Image, built: Built, path: Path) -> Certified:
    """A certificate that holds: of this digest, this plan, this suite, these inputs, and passed."""
    todo = f"Run `assay build {image.name}` and `assay smoke {image.name}`."
    where = f"the certificate {path.name} of {image.name}"
    statement = certificate.read_statement(path)
    if statement is None:
        raise VerificationFailed(f"{where} cannot be read", todo)
    opened = certificate.read(statement, catalog.policy(cat, image, built, suites, path.stem))
    if not opened.verdict.passed:
        name, problem = opened.verdict.problems[0]
        said = problem if name == "certificate" else f"{name}: {problem}"
        raise VerificationFailed(f"{where} does not hold: {said}", todo)
    return Certified(path.stem, statement, opened.report, opened.verdict)


# The image


def _homes(cat: Catalog, path: str) -> dict[str, list[str]]:
    """The repositories below ``path`` that may have a layer, by digest: those of the images that it is in."""
    homes: dict[str, list[str]] = {}
    for name, built in read_images(cat.root).images.items():
        if name in cat.images and cat.images[name].framework:
            for digest, _ in built.layers:
                homes.setdefault(digest, []).append(f"{path}/{name}".lstrip("/"))
    return homes


def _push(engine: Engine, candidate: Candidate, there: Repository, homes: Mapping[str, list[str]]) -> Manifest:
    """Send what the registry lacks of an image, its manifest last and under its digest; returns the manifest."""
    built, name = candidate.built, local_name(candidate.image.name, "latest")
    if there.digest(built.digest) == built.digest:
        return there.manifest(built.digest)
    manifest = None
    for _, file in engine.content(name, [built.digest]):
        manifest = Manifest(file.read(), OCI_MANIFEST)
    assert manifest is not None  # noqa: S101 - the engine gives what it is asked for, or raises
    content = manifest.image()
    if content.config.digest != built.config:
        raise VerificationFailed(
            f"the engine's {candidate.image.name} is not what was built", f"Run `assay build {candidate.image.name}`."
        )
    wanted = {one.digest: one for one in (*content.layers, content.config)}
    absent = [digest for digest, one in wanted.items() if there.size(digest) != one.size]
    left = [digest for digest in absent if not any(there.mount(digest, home) for home in homes.get(digest, ()))]
    for digest, file in engine.content(name, left):
        there.upload(digest, file, wanted[digest].size)
    there.put_manifest(manifest.data, manifest.media_type)
    return manifest


# What is attached


def _statements(cat: Catalog, engine: Engine, candidate: Candidate, commit: str | None) -> list[dict[str, Any]]:
    image, built = candidate.image, candidate.built
    all_built = read_images(cat.root).images
    parents = {one.name: all_built[one.name].digest for one in cat.ancestors(image) if one.name in all_built}
    suite = next((one.suite for one in cat.ancestors(image) if one.suite), None)
    first = candidate.certified[0]
    inventory = _inventory(cat.root, engine, candidate)
    return [
        *(one.statement for one in candidate.certified),
        *(attestation.test_result(one.statement, one.report, one.verdict) for one in candidate.certified),
        attestation.provenance(first.statement, built.built, parents, commit),
        sbom(image.name, built.digest, built.built, suite, inventory),
    ]


def attach(there: Repository, image: Manifest, statement: dict[str, Any], key: PrivateKey) -> bool:
    """Sign a statement and attach it as a Sigstore bundle; False where that very bundle is attached already."""
    bundle = key.sign(statement)
    layer = Descriptor(BUNDLE_TYPE, digest_of(bundle), len(bundle))
    there.upload(layer.digest, io.BytesIO(bundle), layer.size)
    return there.attach(
        ImageManifest(
            config=there.ensure_empty(),
            layers=(layer,),
            artifact_type=BUNDLE_TYPE,
            subject=Descriptor(image.media_type, image.digest, len(image.data)),
            annotations={  # what cosign looks for
                "dev.sigstore.bundle.content": "dsse-envelope",
                "dev.sigstore.bundle.predicateType": str(statement["predicateType"]),
            },
        )
    )


def _inventory(root: Path, engine: Engine, candidate: Candidate) -> Inventory:
    """What is in the image, as it says itself; asked once per digest and kept under build/."""
    kept = root / "build" / "inventories" / f"{candidate.built.digest.removeprefix('sha256:')}.json"
    if not kept.is_file():
        data = _taken_inventory(engine, candidate.image.name)
        inventory = _read_inventory(data, f"what {candidate.image.name} says is in it", "Look into the image.")
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(".partial")
        partial.write_bytes(data)
        partial.replace(kept)
        return inventory
    return _read_inventory(kept.read_bytes(), kept.name, f"Delete {kept} and publish again.")


def _taken_inventory(engine: Engine, name: str) -> bytes:
    request = RunRequest(
        image=local_name(name, "latest"),
        command=("python", f"{MOUNT}/inventory.py", f"{MOUNT}/inventory.json"),
        seconds=INVENTORY_SECONDS,
    )
    given = {"inventory.py": scripts.INVENTORY.read_bytes()}
    ran, left = run_with_folder(engine, request, given, "inventory.json", LARGEST_INVENTORY)
    if ran.exit_code != 0:
        last = (ran.output.strip().splitlines() or ["it printed nothing"])[-1]
        raise VerificationFailed(f"{name} cannot say what is in it: {last}", "An SBOM is part of what is published.")
    if isinstance(left, VerificationFailed):
        raise left
    return left


def _read_inventory(data: bytes, what: str, todo: str) -> Inventory:
    try:
        return msgspec.json.decode(data, type=Inventory)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise VerificationFailed(f"{what} is malformed: {error}", todo) from None
