"""One repository of an OCI registry: its manifests, its tags, and what is attached to its images.

What a registry says is not believed. Content is held against its digest and its size; every read is bounded in bytes
and in time. `RegistryFailed` (exit 6): it did not answer as registries do. `VerificationFailed` (exit 5): it answered
with something else than was asked for.
"""

from __future__ import annotations

import io

import msgspec

from assay.errors import RegistryFailed, VerificationFailed
from assay.registry.blobs import Blobs
from assay.registry.connection import ATTEMPTS
from assay.registry.content import (
    ACCEPTED,
    LARGEST_MANIFEST,
    OCI_EMPTY,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    ImageManifest,
    Index,
    Manifest,
    decode,
    digest_of,
)
from assay.registry.reference import fallback_tag, is_digest
from assay.registry.session import NotThere

MOST_PAGES = 16
MOST_LISTED = 4096  # on all pages together


class Repository(Blobs):
    """One repository of one registry. ``sent`` counts the bytes of content that went there."""

    def manifest(self, wanted: str | None = None, limit: int = LARGEST_MANIFEST) -> Manifest:
        """A manifest by tag or digest (default: the reference's own)."""
        wanted = wanted or self.reference.wanted
        url = f"{self._base}/manifests/{wanted}"
        response, data = self._read("GET", url, limit, headers={"Accept": ", ".join(ACCEPTED)})
        found = Manifest(data, response.headers.get("Content-Type", "").partition(";")[0])
        if wanted.startswith("sha256:") and found.digest != wanted:
            raise VerificationFailed(
                f"{self.reference.host} answers {wanted[:19]} with other content, {found.digest[:19]}",
                "The registry, or something on the way, changes content: do not use the image.",
            )
        return found

    def digest(self, wanted: str) -> str | None:
        """The digest that a tag or digest has in the registry, as it says; None where there is none."""
        response = self._send("HEAD", f"{self._base}/manifests/{wanted}", headers={"Accept": ", ".join(ACCEPTED)})
        if response.status_code == 404:
            return None
        self._require(response, 200)
        stated = response.headers.get("Docker-Content-Digest", "")
        return stated if is_digest(stated) else self.manifest(wanted).digest

    def put_manifest(self, data: bytes, media_type: str, tag: str | None = None) -> None:
        """Write a manifest under a tag, or under its own digest; everything it names must be there."""
        url = f"{self._base}/manifests/{tag or digest_of(data)}"
        response = self._send("PUT", url, data=data, headers={"Content-Type": media_type})
        self._require(response, 201)
        self.sent += len(data)

    def referrers(self, digest: str) -> tuple[Descriptor, ...]:
        """What is attached to a digest: by the referrers API, else by the fallback tag."""
        found: list[Descriptor] = []
        url = f"{self._base}/referrers/{digest}"
        for _ in range(MOST_PAGES):
            response, data = self._read("GET", url, LARGEST_MANIFEST, ok=(200, 400, 404, 405))
            if response.status_code != 200:
                return self._fallback(digest)
            found += decode(data, Index, "the list of what is attached").manifests
            following = response.links.get("next", {}).get("url")
            if not following:
                return tuple(found)
            if len(found) > MOST_LISTED:
                break
            url = self._own(url, following).text
        raise RegistryFailed(
            f"{self.reference.host} lists more than {MOST_PAGES} pages or {MOST_LISTED} entries of what is attached",
            "Ask whoever runs it.",
        )

    def attach(self, artifact: ImageManifest) -> bool:
        """Attach an artifact, as `attach_manifest` does."""
        return self.attach_manifest(Manifest(msgspec.json.encode(artifact), OCI_MANIFEST))

    def attach_manifest(self, manifest: Manifest) -> bool:
        """Write an artifact's manifest, so that `referrers` of its subject lists it; False where that is so already.

        Its blobs must be there. Where the registry has no referrers API, the fallback tag is written too.
        """
        artifact = manifest.image()
        assert artifact.subject is not None  # noqa: S101 - what makes it an attachment
        kind = artifact.artifact_type or artifact.config.media_type
        made = Descriptor(manifest.media_type, manifest.digest, len(manifest.data), kind, artifact.annotations)
        subject = artifact.subject.digest
        if made.digest in {listed.digest for listed in self.referrers(subject)} and self.digest(made.digest):
            return False
        self.put_manifest(manifest.data, manifest.media_type)
        for _ in range(ATTEMPTS):
            attached = self.referrers(subject)
            if made.digest in {listed.digest for listed in attached}:
                return True
            # Another publisher may write the tag at the same time: it is read again, and written again.
            self.put_manifest(msgspec.json.encode(Index((*attached, made))), OCI_INDEX, fallback_tag(subject))
        raise self.failed("does not list what was attached", None)

    def ensure_empty(self) -> Descriptor:
        """The empty blob that artifacts have for a config."""
        data = b"{}"
        descriptor = Descriptor(OCI_EMPTY, digest_of(data), len(data))
        self.upload(descriptor.digest, io.BytesIO(data), len(data))
        return descriptor

    def _fallback(self, digest: str) -> tuple[Descriptor, ...]:
        try:
            index = self.manifest(fallback_tag(digest))
        except NotThere:
            return ()
        return decode(index.data, Index, "the list of what is attached").manifests
