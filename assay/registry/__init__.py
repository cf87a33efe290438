"""A client of OCI registries (distribution specification 1.1); it needs no engine and no checkout.

`Repository(Reference.parse("registry.example/team/pytorch:latest")).manifest()` reads one image's manifest.
"""

# fmt: off
# isort: off
from assay.registry.content import LARGEST_CONFIG, LARGEST_MANIFEST, OCI_EMPTY, OCI_INDEX, OCI_MANIFEST
from assay.registry.content import Descriptor, ImageConfig, ImageManifest, Index, Manifest, decode, digest_of
from assay.registry.platforms import image_of, platforms, with_image
from assay.registry.login import Credentials
from assay.registry.reference import Reference, dated_tag, fallback_tag, is_tag, tag
from assay.registry.repository import Repository
from assay.registry.session import NotThere
from assay.registry.side_by_side import Sender, Told, View
from assay.registry.source import Source
from assay.registry.unpack import diff_id, unpacked

__all__ = [
    "LARGEST_CONFIG", "LARGEST_MANIFEST", "OCI_EMPTY", "OCI_INDEX", "OCI_MANIFEST",
    "Credentials", "Descriptor", "ImageConfig", "ImageManifest", "Index", "Manifest", "NotThere", "Reference",
    "Repository", "Sender", "Source", "Told", "View", "dated_tag", "decode", "diff_id", "digest_of", "fallback_tag",
    "image_of", "is_tag", "platforms", "tag", "unpacked", "with_image",
]
