"""A Docker Engine: local images and their names, besides builds, content and containers."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import docker.errors

from assay.engine.builds import Builds
from assay.engine.connection import answered
from assay.engine.containers import Containers
from assay.engine.content import Content
from assay.engine.sessions import Sessions
from assay.engine.transfers import Transfers

# The label on an image's config by which containerd keeps its unpacked layers.
SNAPSHOT = "containerd.io/gc.ref.snapshot.overlayfs"


def chain_id(diff_ids: Sequence[str]) -> str:
    """Return the OCI ChainID of layers that lie on each other: what containerd calls the uppermost's snapshot."""
    first, *above = diff_ids
    for diff_id in above:
        first = f"sha256:{hashlib.sha256(f'{first} {diff_id}'.encode()).hexdigest()}"
    return first


@dataclass(frozen=True)
class ImageFacts:
    """What the engine knows of a local image."""

    digest: str
    config_digest: str
    diff_ids: tuple[str, ...]
    layers: tuple[tuple[str, int], ...]
    labels: Mapping[str, str]
    environment: Mapping[str, str]
    user: str
    uncompressed_bytes: int

    @property
    def compressed_bytes(self) -> int:
        """The bytes that a registry stores and a user downloads."""
        return sum(size for _, size in self.layers)


class Engine(Builds, Content, Containers, Sessions, Transfers):
    """One engine that answers. `assay.engine.find` returns it."""

    @answered
    def image(self, reference: str) -> ImageFacts | None:
        """Return the facts of a local image, or None if there is none of that name."""
        try:
            local = self.client.images.get(reference)
        except (docker.errors.ImageNotFound, docker.errors.NullResource):
            return None
        attributes = local.attrs
        digest = str(attributes["Id"])
        manifest = self.manifest(digest, reference)
        config = attributes.get("Config") or {}
        try:
            history = local.history()
        except docker.errors.NotFound:  # a packed image: creating a container unpacks it, and then it has sizes
            self.client.containers.create(reference, ["true"]).remove()
            history = local.history()
        return ImageFacts(
            digest=digest,
            config_digest=str(manifest["config"]["digest"]),
            diff_ids=tuple(attributes["RootFS"]["Layers"]),
            layers=tuple((str(layer["digest"]), int(layer["size"])) for layer in manifest["layers"]),
            labels=dict(config.get("Labels") or {}),
            environment=dict(pair.split("=", 1) for pair in config.get("Env") or []),
            user=str(config.get("User") or ""),
            uncompressed_bytes=sum(int(row.get("Size") or 0) for row in history),
        )

    @answered
    def digest(self, reference: str) -> str | None:
        """Return the manifest digest of a local image, or None; much cheaper than `image`."""
        try:
            return str(self.client.images.get(reference).attrs["Id"])
        except (docker.errors.ImageNotFound, docker.errors.NullResource):
            return None

    @answered
    def layers(self, reference: str) -> tuple[str, ...]:
        """Return the DiffIDs of a local image, the lowest first."""
        return tuple(self.client.images.get(reference).attrs["RootFS"]["Layers"])

    @answered
    def is_packed(self, reference: str) -> bool:
        """Tell whether a local image is held compressed only, so that a run has to unpack it first."""
        try:
            self.client.images.get(reference).history()
        except docker.errors.NotFound:
            return True
        return False

    @answered
    def tags(self, repository: str) -> list[str]:
        """Return the local names of a repository as repository:tag, without other names of the same images."""
        names = {name for image in self.client.images.list(repository) for name in image.tags}
        return sorted(name for name in names if name.rpartition(":")[0] == repository)

    @answered
    def tag(self, reference: str, name: str) -> None:
        """Give a local image another name."""
        repository, _, tag = name.rpartition(":")
        self.client.images.get(reference).tag(repository, tag)

    @answered
    def remove(self, reference: str) -> None:
        """Remove a local image's name, and the image when it has no other name."""
        with contextlib.suppress(docker.errors.ImageNotFound):
            self.client.images.remove(reference, force=True)

    @answered
    def tidy(self) -> None:
        """In the embedded engine, which no one else uses: remove the build cache and the images without a name.

        The layers that were built stay in their images; the cache would keep each a second time.
        """
        if self.kind == "embedded":
            self.prune_build_cache()
            self.client.images.prune({"dangling": True})

    @answered
    def pack(self, references: Iterable[str]) -> None:
        """In the embedded engine: keep only the compressed layers of these images, until they are run again.

        containerd keeps an unpacked layer while a label on an image's config refers to it. Without that label its
        garbage collector removes the layer, unless another image or a container uses it; a run unpacks it again.
        """
        if self.kind != "embedded":
            return
        for reference in references:
            digest = self.digest(reference)
            if digest is not None:
                config = str(self.manifest(digest, reference)["config"]["digest"])
                self.ctr("content", "label", config, f"{SNAPSHOT}=")
        # To end a lease with --sync is how one asks containerd for a collection.
        self.ctr("leases", "create", "--id", "assay-pack")
        self.ctr("leases", "rm", "--sync", "assay-pack")

    @answered
    def hold(self, reference: str) -> None:
        """In the embedded engine: keep what is unpacked of an image until it is packed, whatever is above it."""
        if self.kind != "embedded":
            return
        attributes = self.client.images.get(reference).attrs
        config = str(self.manifest(str(attributes["Id"]), reference)["config"]["digest"])
        self.ctr("content", "label", config, f"{SNAPSHOT}={chain_id(attributes['RootFS']['Layers'])}")

    @answered
    def prune_build_cache(self) -> int:
        """Remove the whole build cache and return the bytes that this freed."""
        freed = self.client.api.prune_builds(all=True)
        return int(freed.get("SpaceReclaimed") or 0)
