"""The name under which an image is published, made from its labels."""

from __future__ import annotations

from collections.abc import Mapping

# `assay.catalog` gives an image these labels.
VERSION_LABEL = "org.opencontainers.image.version"
CUDA_LABEL = "assay.cuda"


def tag(labels: Mapping[str, str]) -> str:
    """Return the tag for an image with these labels: VERSION-cudaCUDA, or VERSION-cpu without CUDA.

    A local part of the version (+cu132) is left out: it repeats the version of CUDA, and a tag cannot have a +.
    """
    version = labels.get(VERSION_LABEL, "0").partition("+")[0]
    cuda = labels.get(CUDA_LABEL)
    return f"{version}-cuda{cuda}" if cuda else f"{version}-cpu"
