"""Builds: one image by one call of ``docker buildx build``."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from assay.engine.connection import Connection
from assay.engine.progress import Decoder, Step
from assay.errors import AssayError, BuildFailed, EngineMissing
from assay.host import process

ATTEMPTS = 3
PAUSE = 3.0  # seconds
# Variables by which docker builds otherwise than it is told to here: for another platform, by another builder.
HABITS = ("BUILDX_", "BUILDKIT_", "DOCKER_BUILDKIT", "DOCKER_DEFAULT_PLATFORM", "SOURCE_DATE_EPOCH")


@dataclass(frozen=True)
class BuildRequest:
    """One image to build. ``secrets`` are id -> file, ``contexts`` are name -> folder or image."""

    tag: str
    dockerfile: Path
    context: Path
    args: Mapping[str, str] = field(default_factory=dict)
    contexts: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Path] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    no_cache: bool = False
    compression: int = 7  # a build takes a little longer than with 3, and what people pull is an eighth smaller
    target: str | None = None
    platform: str | None = None  # another than the engine's own
    cache_from: str | None = None  # references of build caches in a registry
    cache_to: str | None = None


class Builds(Connection):
    """Builds images."""

    def build(self, request: BuildRequest, on_step: Callable[[Step], None]) -> str:
        """Build one image and return its manifest digest.

        Raises `BuildFailed` with the last lines of the step that failed, `EngineMissing` if the engine went away.
        """
        with tempfile.TemporaryDirectory(prefix="assay-build-") as folder:
            metadata = Path(folder, "metadata.json")
            for attempt in range(ATTEMPTS):
                decoder = Decoder(on_step)
                argv = build_argv(request, metadata)
                status = process.stream(
                    argv, decoder.feed, env=_without_habits(self.environment), cwd=request.context
                )
                if status == 0:
                    return str(json.loads(metadata.read_text())["containerimage.digest"])
                # The engine joins equal steps of two builds. When the other build's client was killed a moment ago, a
                # step may fail because that client no longer sends its files; the next attempt does not depend on it.
                if attempt + 1 == ATTEMPTS or "no active sessions" not in decoder.text():
                    raise self._build_error(request.tag, decoder)
                time.sleep(PAUSE)
        raise AssertionError("the loop above returns or raises")

    def _build_error(self, tag: str, decoder: Decoder) -> AssayError:
        reason = decoder.reason()
        if not self.answers():
            return EngineMissing(
                f"the engine went away while it built {tag}: {reason}",
                "Run the command again: finished images and build steps are kept.",
            )
        if "no space left on device" in decoder.text().lower():
            return BuildFailed(
                f"the disk is full: {tag} was not built",
                f"Make room below {self.data_root()} (`assay engine prune` drops the build cache) and run it again.",
            )
        return BuildFailed(f"{tag} was not built: {reason}", remedy(decoder.text()))


def _without_habits(environment: Mapping[str, str]) -> dict[str, str]:
    """What a user sets for builds of his own, such as another platform, is left out."""
    return {name: value for name, value in environment.items() if not name.startswith(HABITS)}


def build_argv(request: BuildRequest, metadata: Path) -> list[str]:
    """Return the command line of one build; buildx writes the digest into ``metadata``."""
    packed = f"compression=zstd,force-compression=true,compression-level={request.compression}"
    output = f"type=image,name={request.tag},unpack=true,oci-mediatypes=true,{packed}"
    argv = ["docker", "buildx", "build", "--builder", "default", "--progress", "rawjson", "--network", "host"]
    argv += ["--provenance=false", "--sbom=false", "--metadata-file", str(metadata), "--output", output]
    argv += ["--file", str(request.dockerfile)]
    argv += [word for name, value in sorted(request.args.items()) for word in ("--build-arg", f"{name}={value}")]
    argv += [word for name, value in sorted(request.labels.items()) for word in ("--label", f"{name}={value}")]
    argv += [
        word for name, value in sorted(request.contexts.items()) for word in ("--build-context", f"{name}={value}")
    ]
    argv += [word for name, path in sorted(request.secrets.items()) for word in ("--secret", f"id={name},src={path}")]
    argv += ["--no-cache"] if request.no_cache else []
    argv += ["--target", request.target] if request.target else []
    argv += ["--platform", request.platform] if request.platform else []
    if request.cache_from:
        argv += ["--cache-from", f"type=registry,ref={request.cache_from}"]
    if request.cache_to:
        # Packed as the image is: what comes from the cache has the digests of what is built.
        cached = f"type=registry,ref={request.cache_to},mode=max,image-manifest=true,oci-mediatypes=true,{packed}"
        argv += ["--cache-to", cached]
    return [*argv, str(request.context)]


def remedy(text: str) -> str:
    """Return what to do about a failed build, by the output of its last step."""
    known = (
        ("hash mismatch", "A package is not the one that was locked: look into it before you run `assay lock`."),
        ("no solution found", "A locked package has gone from the index: run `assay lock` and look at what changes."),
        ("not found in the package registry", "A locked package has gone from the index: run `assay lock`."),
        ("peer certificate", "The index is not trusted: point SSL_CERT_FILE at your organisation's CA bundle."),
        ("dns error", "The package index cannot be reached: check the network, the proxy and pip's index setting."),
        ("client error (connect)", "The package index cannot be reached: check the network and the proxy."),
    )
    lowered = text.lower()
    for mark, advice in known:
        if mark in lowered:
            return advice
    return "Its whole log is in build/logs."
