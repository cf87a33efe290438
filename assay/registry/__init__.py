"""A client of OCI registries (distribution specification 1.1), for whoever publishes, verifies or rebuilds.

with Repository(Reference.parse("registry.example/team/pytorch:latest")) as there:
    manifest = there.manifest()            # by the reference's digest, else by its tag
    config = there.blob(manifest.image().config, LARGEST_CONFIG)
    attached = there.referrers(manifest.digest)
"""

from assay.registry.repository import (
    LARGEST_ANSWER,
    LARGEST_CONFIG,
    LARGEST_MANIFEST,
    MOST_PAGES,
    OCI_EMPTY,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    ImageManifest,
    Index,
    Manifest,
    NotThere,
    Reference,
    Repository,
    decode,
    digest_of,
    fallback_tag,
    is_loopback,
)

__all__ = [
    "LARGEST_ANSWER",
    "LARGEST_CONFIG",
    "LARGEST_MANIFEST",
    "MOST_PAGES",
    "OCI_EMPTY",
    "OCI_INDEX",
    "OCI_MANIFEST",
    "Descriptor",
    "ImageManifest",
    "Index",
    "Manifest",
    "NotThere",
    "Reference",
    "Repository",
    "decode",
    "digest_of",
    "fallback_tag",
    "is_loopback",
]
