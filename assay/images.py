"""``build/images.json``: what was built, and under which local names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from assay.catalog import Catalog
from assay.errors import BuildFailed, UsageError

SCHEMA = 1
PREFIX = "assay"
# The OCI label of an image that is not as it was locked; whatever is built on it inherits it.
DRIFT_LABEL = "assay.drift"
# What begins the name of an input in a certificate that is no file of the repository: what was there instead.
DRIFT_INPUT = "drift/"


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A Debian package that is not at its locked version. None: it was not locked, or is there no more."""

    package: str
    was: str | None
    now: str | None

    def __str__(self) -> str:
        return f"{self.package} {self.was or 'absent'} -> {self.now or 'absent'}"


class Drift(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a root file system differs from its lock: by packages, or, where these are the same, by its tar alone.

    ``rootfs`` is the hash of the tar. ``files`` says where it differs from the locked one, or why that is unknown.
    """

    rootfs: str
    changes: tuple[Change, ...] = ()
    files: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.changes:
            noun = "package has" if len(self.changes) == 1 else "packages have"
            return f"{len(self.changes)} {noun} moved: {', '.join(map(str, self.changes))}"
        return f"the same packages gave another tar than the locked one: {'; '.join(self.files)}"


class Built(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One image as it was built. Sizes in bytes."""

    key: str
    suite: str | None  # the digest of the smoke suite in it; None where there is none
    digest: str
    config: str
    diff_ids: tuple[str, ...]
    layers: tuple[tuple[str, int], ...]
    compressed_bytes: int
    uncompressed_bytes: int
    seconds: float
    built: str
    # By the name of the base or the build tools that are not as they were locked; empty for an exact image.
    drift: dict[str, Drift] = {}


class Images(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``build/images.json``."""

    schema: int = SCHEMA
    images: dict[str, Built] = {}


def read_images(root: Path) -> Images:
    """Read ``build/images.json``; none yet is an empty one. A malformed one is a `UsageError`."""
    path = root / "build" / "images.json"
    try:
        images = msgspec.json.decode(path.read_bytes(), type=Images)
    except FileNotFoundError:
        return Images()
    except (OSError, msgspec.DecodeError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read: {error}", "Delete it and run `assay build`.") from error
    if images.schema != SCHEMA:
        raise UsageError(f"{path} has schema {images.schema}, not {SCHEMA}", "Delete it and run `assay build`.")
    return images


def write_images(root: Path, built: Mapping[str, Built]) -> None:
    """Write the file whole or not at all."""
    text = msgspec.json.format(msgspec.json.encode(Images(images=dict(sorted(built.items())))), indent=1)
    path = root / "build" / "images.json"
    partial = path.with_suffix(".partial")
    partial.write_bytes(text + b"\n")
    partial.replace(path)


def drift_label(drift: Mapping[str, Drift]) -> dict[str, str]:
    """Return the label that says how an image drifted; none for an exact one."""
    return {DRIFT_LABEL: msgspec.json.encode(drift).decode()} if drift else {}


def drift_of(labels: Mapping[str, str]) -> dict[str, Drift]:
    """Return the drift that an image's labels say, by the name of what drifted; empty for an exact one."""
    try:
        return msgspec.json.decode(labels.get(DRIFT_LABEL, "{}"), type=dict[str, Drift])
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise BuildFailed(
            f"the label {DRIFT_LABEL} of an image cannot be read: {error}", "Build it again with --no-cache."
        ) from None


def drifts(built: Mapping[str, Built]) -> dict[str, Drift]:
    """Return everything that drifted, by name, each once, whichever images stand on it."""
    return {name: drift for one in built.values() for name, drift in one.drift.items()}


def drift_inputs(drift: Mapping[str, Drift]) -> dict[str, str]:
    """Return what drifted as inputs of a certificate: drift/base/trixie/libc6 -> "2.41-12 -> 2.41-13"."""
    found = {}
    for name, one in drift.items():
        found[f"{DRIFT_INPUT}{name}"] = f"sha256:{one.rootfs}"
        for change in one.changes:
            found[f"{DRIFT_INPUT}{name}/{change.package}"] = f"{change.was or 'absent'} -> {change.now or 'absent'}"
    return found


def require_exact(name: str, drift: Mapping[str, Drift], refused: str) -> None:
    """Raise `BuildFailed` for a drifted image; ``refused`` says what is not done with such a one."""
    if drift:
        below = ", ".join(drift)
        raise BuildFailed(
            f"{name} has drifted and {refused}: {below}: {'; '.join(map(str, drift.values()))}",
            f"Run `assay lock {' '.join(drift)}` and build again, or `assay build --refresh {name}` where an archive "
            "has the locked versions again.",
        )


def registry_bytes(built: Iterable[Built]) -> tuple[int, int]:
    """What these images take in a registry together, where each layer is kept once, and the sum of each alone."""
    images = list(built)
    layers = {digest: size for image in images for digest, size in image.layers}
    return sum(layers.values()), sum(size for image in images for _, size in image.layers)


def smallest(cat: Catalog) -> str:
    """The built framework image that takes the least room; of those alone that are not compiled, if there are any."""
    built = read_images(cat.root).images
    sizes = {
        image.name: (image.build_tools is not None, built[image.name].uncompressed_bytes)
        for image in cat.frameworks()
        if image.name in built
    }
    if not sizes:
        raise UsageError("no framework image is built", "Run `assay build` first.")
    return min(sizes, key=lambda name: sizes[name])


def repository(name: str, suffix: str = "") -> str:
    """What an image's local names begin with."""
    return f"{PREFIX}{suffix}/{name}"


def tag(name: str, version: str, suffix: str = "") -> str:
    """A local name of an image."""
    return f"{repository(name, suffix)}:{version}"


def short(digest: str) -> str:
    """A digest as a tag: long enough never to clash."""
    return digest.removeprefix("sha256:")[:16]
