"""The name of an image in a registry: written as a reference, and the tag that follows from the image's labels."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass

from assay.errors import UsageError
from assay.registry import address

_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?")
_PATH = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

# The labels of an image that its tag is made of; the build sets them.
VERSION_LABEL = "org.opencontainers.image.version"
CUDA_LABEL = "assay.cuda"


@dataclass(frozen=True)
class Reference:
    """``host/path[:tag][@digest]``. The digest counts where there are both."""

    host: str
    path: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a reference; `UsageError` unless it names a registry's host."""
        rest, at, digest = text.partition("@")
        host, _, path = rest.partition("/")
        path, colon, tag = path.partition(":")
        if not _is_host(host) or not address.parse(f"https://{host}") or not _PATH.fullmatch(path):
            raise UsageError(
                f"{text!r} is no reference to an image in a registry",
                "Write it as HOST/PATH:TAG or HOST/PATH@sha256:DIGEST.",
            )
        if (colon and not _TAG.fullmatch(tag)) or (at and not is_digest(digest)):
            raise UsageError(f"{text!r}: no such tag or digest is possible", "Write sha256: and 64 hex digits.")
        return cls(host, path, tag or None, digest or None)

    @property
    def wanted(self) -> str:
        """The digest, else the tag, else ``latest``."""
        return self.digest or self.tag or "latest"

    def at(self, digest: str) -> Reference:
        """The same repository at a digest."""
        return Reference(self.host, self.path, None, digest)

    def __str__(self) -> str:
        return f"{self.host}/{self.path}" + (f"@{self.digest}" if self.digest else f":{self.wanted}")


def is_digest(text: str) -> bool:
    """Whether a text is a SHA-256 digest as registries write it."""
    return bool(_DIGEST.fullmatch(text))


def is_tag(text: str) -> bool:
    """Whether a text can be an image's tag; those that list what is attached to a digest are none."""
    return bool(_TAG.fullmatch(text)) and not text.startswith("sha256-")


def tag(labels: Mapping[str, str]) -> str:
    """Return the tag for an image with these labels: VERSION-cudaCUDA, or VERSION-cpu without CUDA.

    A local part of the version (+cu132) is left out: it repeats the version of CUDA, and a tag cannot have a +.
    """
    version = labels.get(VERSION_LABEL, "0").partition("+")[0]
    cuda = labels.get(CUDA_LABEL)
    return f"{version}-cuda{cuda}" if cuda else f"{version}-cpu"


def dated_tag(version: str, day: datetime.date) -> str:
    """Return the tag of a version that was certified on a day: it never moves, as that of the version does."""
    return f"{version}-{day:%Y%m%d}"


def fallback_tag(digest: str) -> str:
    """The tag under which a registry without the referrers API lists what is attached to a digest."""
    return digest.replace(":", "-")


def _is_host(text: str) -> bool:
    """A registry's host has a dot or a port, or is localhost; anything else is a path, as docker has it."""
    return bool(_HOST.fullmatch(text)) and ("." in text or ":" in text or text == "localhost")
