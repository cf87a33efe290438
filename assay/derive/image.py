"""The derived image as the engine has it: its digest, its layers, and how its containers start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import msgspec

from assay.certificate import Configuration
from assay.certify import ENTRYPOINT
from assay.engine import Engine
from assay.errors import CertificateFailed, UsageError, VerificationFailed
from assay.host.foreign import shown

PLATFORM = "linux/amd64"
# As images/Dockerfile sets it.
PATH = "/opt/assay/bin:/opt/env/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ATTESTATION = "vnd.docker.reference.type"  # an annotation of what docker build puts beside an image
# What each Python or each program of a container reads before anything else, but for what does no harm.
_READ_FIRST = ("LD_", "PYTHON", "GLIBC_", "GCONV_", "OPENSSL_")
_HARMLESS = {"PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONFAULTHANDLER", "PYTHONUTF8", "PYTHONIOENCODING"}
T = TypeVar("T")


class _Descriptor(msgspec.Struct, frozen=True, rename="camel"):
    digest: Annotated[str, msgspec.Meta(pattern=r"^sha256:[0-9a-f]{64}\Z")]
    media_type: str = ""
    platform: dict[str, Any] = {}
    annotations: dict[str, str] | None = None


class _Manifest(msgspec.Struct, frozen=True):
    config: _Descriptor | None = None
    layers: tuple[_Descriptor, ...] = ()
    manifests: tuple[_Descriptor, ...] = ()


class _Settings(msgspec.Struct, frozen=True, rename="pascal"):
    entrypoint: tuple[str, ...] | None = None
    env: tuple[str, ...] | None = None
    user: str | None = None
    labels: dict[str, str] | None = None
    healthcheck: dict[str, Any] | None = None


class _RootFs(msgspec.Struct, frozen=True):
    diff_ids: tuple[str, ...]


class _Config(msgspec.Struct, frozen=True):
    rootfs: _RootFs
    os: str = ""
    architecture: str = ""
    config: _Settings = _Settings()


@dataclass(frozen=True)
class DerivedImage:
    """An image in the engine. ``name`` is what it was asked for by, ``reference`` the engine's own name of it.

    ``layers`` are (digest, media type) pairs, the lowest first, and as many as there are DiffIDs.
    """

    name: str
    reference: str
    digest: str
    configuration: Configuration
    layers: tuple[tuple[str, str], ...]
    entrypoint: tuple[str, ...]
    environment: Mapping[str, str]
    user: str
    healthcheck: bool = False

    @property
    def diff_ids(self) -> tuple[str, ...]:
        """Its layers by the digests of their tars."""
        return self.configuration.diff_ids


def read(engine: Engine, name: str) -> DerivedImage:
    """The image of this name. Raises `UsageError` where there is none, and for an index of several."""
    reference = engine.digest(name)
    if reference is None:
        raise UsageError(f"the engine has no image {shown(name)}", "Build or pull it: `docker images` lists them.")
    digest, manifest = _manifest(engine, name, reference)
    if manifest.config is None:
        raise UsageError(f"{shown(name)} is no image", "Name an image, such as docker build makes.")
    config = _decoded(engine, name, manifest.config.digest, _Config)
    platform = f"{config.os}/{config.architecture}"
    if platform != PLATFORM or len(config.rootfs.diff_ids) != len(manifest.layers):
        what = f"is of {shown(platform)}" if platform != PLATFORM else "has more or fewer layers than it says"
        raise UsageError(f"{shown(name)} {what}", f"Only images of {PLATFORM} are certified: build it for that.")
    settings = config.config
    return DerivedImage(
        name,
        reference,
        digest,
        Configuration(manifest.config.digest, config.rootfs.diff_ids, platform, settings.labels or {}),
        tuple((layer.digest, layer.media_type) for layer in manifest.layers),
        settings.entrypoint or (),
        dict(pair.partition("=")[::2] for pair in settings.env or ()),
        settings.user or "",
        settings.healthcheck is not None,
    )


def require_started_alike(image: DerivedImage) -> None:
    """Raise `CertificateFailed` unless its containers start as those of our images do."""
    wrong = []
    if image.entrypoint != (ENTRYPOINT,):
        wrong.append(f"its ENTRYPOINT is {' '.join(image.entrypoint)[:80] or 'none'}, and not {ENTRYPOINT}")
    if image.user.partition(":")[0] in {"", "0", "root"}:
        wrong.append("it runs as root")
    if not f"{image.environment.get('PATH', '')}:".startswith(f"{PATH}:"):
        wrong.append(f"its PATH does not begin with {PATH}")
    if image.healthcheck:
        wrong.append("it has a HEALTHCHECK, which would run beside the checks")
    first = [each for each in sorted(image.environment) if each.startswith(_READ_FIRST) and each not in _HARMLESS]
    wrong += [f"it sets {each[:40]}, which decides what every program loads" for each in first]
    if wrong:
        raise CertificateFailed(
            f"{shown(image.name)}: {shown('; '.join(wrong))}",
            "Leave these as they are in the base (put folders at the end of PATH), and end with USER 1000:1000.",
        )


def _manifest(engine: Engine, name: str, reference: str) -> tuple[str, _Manifest]:
    """An image's manifest and its digest; of an index, the only image in it."""
    found = _decoded(engine, name, reference, _Manifest)
    if not found.manifests:
        return reference, found
    images = [one for one in found.manifests if ATTESTATION not in (one.annotations or {})]
    if len(images) != 1:
        platforms = ", ".join(f"{one.platform.get('os')}/{one.platform.get('architecture')}" for one in images)
        raise UsageError(
            f"{shown(name)} is an index of {len(images)} images ({shown(platforms[:120])}), and not one image",
            f"Build it for one platform (`docker build --platform {PLATFORM}`), or name the digest of that image.",
        )
    inner = _decoded(engine, name, images[0].digest, _Manifest)
    if inner.manifests:
        raise UsageError(f"{shown(name)} is an index of an index", "Name the digest of one image.")
    return images[0].digest, inner


def _decoded(engine: Engine, name: str, digest: str, kind: type[T]) -> T:
    try:
        return msgspec.convert(engine.manifest(digest, name), type=kind)
    except (msgspec.ValidationError, ValueError, RecursionError) as error:
        raise VerificationFailed(f"{shown(name)}: {digest[:19]} is malformed: {error}", "Build it again.") from None
