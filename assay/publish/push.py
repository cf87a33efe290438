"""How an image and what is attached to it get into a registry.

An image goes there under the very digest that its certificate names. The engine hands over its blobs, and our own
client sends them, rather than ``docker push``: that needs a tag at once, so that an interrupted push, or one whose
certificates are refused, would leave a tag without them; it does not resume within a layer; and it cannot say what it
sent. With the system's engine our way takes the room of as many layers as go at once, for a while.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import io
from collections.abc import Mapping
from typing import Any

from assay.attestation import Keys, Signer
from assay.attestation.bundle import BUNDLE_TYPE, BUNDLE_TYPES, LARGEST_BUNDLE
from assay.attestation.support import annotated
from assay.catalog import Catalog, read_images
from assay.catalog.built import tag as local_name
from assay.engine import Engine
from assay.errors import VerificationFailed
from assay.publish.candidates import Candidate
from assay.publish.layers import send
from assay.registry import (
    OCI_MANIFEST,
    Descriptor,
    ImageManifest,
    Manifest,
    NotThere,
    Repository,
    Told,
    View,
    digest_of,
)


def homes_of_layers(cat: Catalog, path: str) -> dict[str, list[str]]:
    """The repositories below ``path`` that may have a layer, by its digest: those of the images that it is in."""
    homes: dict[str, list[str]] = {}
    for name, built in read_images(cat.root).images.items():
        if name in cat.images and cat.images[name].framework:
            for digest, _ in built.layers:
                homes.setdefault(digest, []).append(f"{path}/{name}".lstrip("/"))
    return homes


def push(
    engine: Engine, candidate: Candidate, repository: Repository, homes: Mapping[str, list[str]], view: View
) -> Manifest:
    """Send what the registry lacks of an image, its manifest last and under its digest; returns the manifest."""
    built, name = candidate.built, local_name(candidate.image.name, "latest")
    if repository.digest(built.digest) == built.digest:
        return repository.manifest(built.digest)
    manifest = None
    for _, file in engine.content(name, [built.digest]):
        manifest = Manifest(file.read(), OCI_MANIFEST)
    assert manifest is not None  # noqa: S101 - the engine gives what it is asked for, or raises
    content = manifest.image()
    if content.config.digest != built.config:
        raise VerificationFailed(
            f"the engine's {candidate.image.name} is not what was built", f"Run `assay build {candidate.image.name}`."
        )
    wanted = {blob.digest: blob for blob in (*content.layers, content.config)}
    absent = [digest for digest, blob in wanted.items() if repository.size(digest) != blob.size]
    left = [digest for digest in absent if not any(repository.mount(digest, home) for home in homes.get(digest, ()))]
    image = candidate.image.name
    view.sending(image, {digest: wanted[digest].size for digest in left})
    told = Told(functools.partial(view.gone, image), functools.partial(view.sent, image))
    send(engine, name, [wanted[digest] for digest in left], repository, told)
    repository.put_manifest(manifest.data, manifest.media_type)
    return manifest


def attach(repository: Repository, image: Manifest, statement: dict[str, Any], signer: Signer) -> bool:
    """Sign a statement and attach it as a Sigstore bundle; False where that very bundle is attached already."""
    bundle = signer.sign(statement)
    layer = Descriptor(BUNDLE_TYPE, digest_of(bundle), len(bundle))
    repository.upload(layer.digest, io.BytesIO(bundle), layer.size)
    return repository.attach(
        ImageManifest(
            config=repository.ensure_empty(),
            layers=(layer,),
            artifact_type=BUNDLE_TYPE,
            subject=Descriptor(image.media_type, image.digest, len(image.data)),
            annotations={  # what cosign looks for
                "dev.sigstore.bundle.content": "dsse-envelope",
                "dev.sigstore.bundle.predicateType": str(statement["predicateType"]),
                **annotated(statement),
            },
        )
    )


def payloads(repository: Repository, image: Manifest, keys: Keys) -> set[bytes]:
    """What is signed so already, of all that is attached to an image."""
    found, now = set(), datetime.datetime.now(datetime.UTC)
    for listed in repository.referrers(image.digest):
        with contextlib.suppress(VerificationFailed, NotThere):  # anybody's, and none of ours
            artifact = repository.manifest(listed.digest).image()
            if len(artifact.layers) == 1 and BUNDLE_TYPES.fullmatch(artifact.layers[0].media_type):
                found.add(keys.opened(repository.blob(artifact.layers[0], LARGEST_BUNDLE), now).payload)
    return found
