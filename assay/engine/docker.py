"""A Docker Engine: builds through ``docker buildx build``, all else through the Docker SDK for Python."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, ParamSpec, TypeVar, cast

import docker
import docker.errors
import requests
from docker.models.containers import Container

from assay.engine.progress import Decoder, Step
from assay.errors import AssayError, BuildFailed, EngineMissing, UsageError
from assay.host import process

OLDEST = 23
LOG_BYTES = 4096
ATTEMPTS = 3
PAUSE = 3.0  # seconds

P = ParamSpec("P")
R = TypeVar("R")


def _answered(method: Callable[P, R]) -> Callable[P, R]:
    """Let an engine that goes away, or refuses, raise `EngineMissing`."""

    @functools.wraps(method)
    def spoken(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(*args, **kwargs)
        except (docker.errors.DockerException, requests.RequestException, OSError) as error:
            raise EngineMissing(
                f"the engine went away or refused: {error}",
                "Run the command again; `assay engine status` tells how the engine is.",
            ) from error

    return spoken


@dataclass(frozen=True)
class BuildRequest:
    """One image to build. ``secrets`` are (id, file) pairs; ``contexts`` are (name, folder or image) pairs."""

    tag: str
    dockerfile: Path
    context: Path
    args: Mapping[str, str] = field(default_factory=dict)
    contexts: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Path] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    no_cache: bool = False
    compression: int = 3
    target: str | None = None


@dataclass(frozen=True)
class RunRequest:
    """One container to run to its end: no network, read-only root, no passwd entry, unless told otherwise."""

    image: str
    command: tuple[str, ...]
    user: str = "12345:12345"
    device: str = "cpu"
    mounts: Mapping[Path, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    shm_bytes: int = 64 * 2**20
    memory_bytes: int | None = None
    seconds: float = 900
    entrypoint: tuple[str, ...] | None = None


@dataclass(frozen=True)
class RunResult:
    """How a container ended. ``output`` is the last part of what it printed."""

    exit_code: int
    out_of_memory: bool
    timed_out: bool
    output: str
    seconds: float


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
    history: tuple[str, ...]
    uncompressed_bytes: int

    @property
    def compressed_bytes(self) -> int:
        """What a registry stores and a user downloads."""
        return sum(size for _, size in self.layers)


class Engine:
    """One engine that answers. Get one from `assay.engine.find`."""

    def __init__(self, kind: str, environment: Mapping[str, str], address: str | None = None) -> None:
        self.kind = kind
        self.environment = dict(environment)
        try:
            self._client = docker.DockerClient(base_url=address, timeout=120) if address else docker.from_env()
        except (docker.errors.DockerException, requests.RequestException, OSError) as error:
            raise EngineMissing(f"no container engine answers: {error}", "Start one, or run as root.") from error
        try:
            facts = self._client.version()
            self._info = self._client.info()
        except (docker.errors.DockerException, requests.RequestException, OSError) as error:
            self._client.close()
            raise EngineMissing(f"no container engine answers: {error}", "Start one, or run as root.") from error
        self.version = str(facts.get("Version", "0"))
        self.address = self._client.api.base_url

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()

    @property
    def description(self) -> str:
        """For certificates: what ran the containers."""
        return f"docker {self.version} ({self.kind})"

    def shortcomings(self) -> list[str]:
        """Why this engine will not do; empty if it will."""
        lacks = []
        major = self.version.split(".", 1)[0]
        if not major.isdigit() or int(major) < OLDEST:
            lacks.append(f"it is version {self.version}, and {OLDEST} or later is needed")
        if not any(
            "containerd.snapshotter" in str(value) for pair in self._info.get("DriverStatus") or [] for value in pair
        ):
            lacks.append("its containerd image store is off, so local digests are not the published ones")
        buildx = process.run(["docker", "buildx", "version"], env=self.environment, timeout=30)
        if buildx.returncode != 0:
            lacks.append("docker buildx is not installed")
        return lacks

    def data_root(self) -> Path:
        """The folder on the engine's host that images are kept in."""
        return Path(str(self._info.get("DockerRootDir", "/var/lib/docker")))

    def gpu_access(self) -> str | None:
        """How a container gets at the GPUs: ``cdi``, ``nvidia-runtime``, or None."""
        devices = {str(device.get("ID", "")) for device in self._info.get("DiscoveredDevices") or []}
        if "nvidia.com/gpu=all" in devices or any(
            Path(folder, "nvidia.yaml").is_file() or Path(folder, "nvidia.json").is_file()
            for folder in self._info.get("CDISpecDirs") or []
        ):
            return "cdi"
        return "nvidia-runtime" if "nvidia" in (self._info.get("Runtimes") or {}) else None

    # Images

    def build(self, request: BuildRequest, on_step: Callable[[Step], None]) -> str:
        """Build one image and return its manifest digest.

        Raises `BuildFailed` with the last lines of the step that failed, `EngineMissing` if the engine went away.
        """
        with tempfile.TemporaryDirectory(prefix="assay-build-") as folder:
            metadata = Path(folder, "metadata.json")
            for attempt in range(ATTEMPTS):
                decoder = Decoder(on_step)
                argv = build_argv(request, metadata)
                status = process.stream(argv, decoder.feed, env=self.environment, cwd=request.context)
                if status == 0:
                    return str(json.loads(metadata.read_text())["containerimage.digest"])
                # The engine joins equal steps of two builds. When the other build's client was killed a moment ago,
                # a step may fail for want of what that client was to send; it has gone when we ask again.
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
        if "no space left on device" in decoder.text():
            return BuildFailed(
                f"the disk is full: {tag} was not built",
                f"Make room below {self.data_root()} (`assay engine prune` drops the build cache) and run it again.",
            )
        return BuildFailed(f"{tag} was not built: {reason}", remedy(decoder.text()))

    @_answered
    def image(self, reference: str) -> ImageFacts | None:
        """The facts of a local image, or None if there is none of that name."""
        try:
            found = self._client.images.get(reference)
        except (docker.errors.ImageNotFound, docker.errors.NullResource):
            return None
        seen = found.attrs
        digest = str(seen["Id"])
        manifest = self._manifest(digest, reference)
        config = seen.get("Config") or {}
        try:
            history = found.history()
        except docker.errors.NotFound:  # packed: the sizes are those of what is unpacked
            self._client.containers.create(reference, ["true"]).remove()
            history = found.history()
        return ImageFacts(
            digest=digest,
            config_digest=str(manifest["config"]["digest"]),
            diff_ids=tuple(seen["RootFS"]["Layers"]),
            layers=tuple((str(layer["digest"]), int(layer["size"])) for layer in manifest["layers"]),
            labels=dict(config.get("Labels") or {}),
            environment=dict(pair.split("=", 1) for pair in config.get("Env") or []),
            user=str(config.get("User") or ""),
            history=tuple(str(row.get("CreatedBy", "")) for row in history),
            uncompressed_bytes=sum(int(row.get("Size") or 0) for row in history),
        )

    @_answered
    def digest(self, reference: str) -> str | None:
        """The manifest digest of a local image, or None; much cheaper than `image`."""
        try:
            return str(self._client.images.get(reference).attrs["Id"])
        except (docker.errors.ImageNotFound, docker.errors.NullResource):
            return None

    def _manifest(self, digest: str, reference: str) -> dict[str, Any]:
        """The manifest's JSON: from containerd where we may ask it, else out of ``docker save``."""
        if self.environment.get("ASSAY_CONTAINERD"):
            asked = self._ctr("content", "get", digest)
            if asked.returncode == 0:
                return cast("dict[str, Any]", json.loads(asked.stdout))
        for _, blob in self.content(reference, [digest]):
            return cast("dict[str, Any]", json.load(blob))
        raise _not_kept(digest)

    def content(self, reference: str, digests: Collection[str]) -> Iterator[tuple[str, IO[bytes]]]:
        """Blobs of a local image, one after the other, each as a file that can be rewound and is gone at the next.

        From containerd where we may ask it, else out of ``docker save``, which hands over all of them to give a few.
        Raises `EngineMissing` for what the engine has not, or not whole.
        """
        left = set(digests)
        for digest in sorted(left) if "ASSAY_CONTAINERD" in self.environment else ():
            with tempfile.TemporaryFile() as file:
                argv = self._ctr_argv("content", "get", digest)
                if process.run_into(argv, file, env=self.environment).returncode == 0:
                    yield digest, _whole(file, digest)
                    left.discard(digest)
        if left:
            yield from self._saved_content(reference, left)

    def _saved_content(self, reference: str, left: set[str]) -> Iterator[tuple[str, IO[bytes]]]:
        with self.saved(reference) as archive:
            for member in archive:
                digest = member.name.removeprefix("blobs/").replace("/", ":")
                stream = archive.extractfile(member) if digest in left else None
                if stream is not None:
                    with tempfile.TemporaryFile() as file:
                        shutil.copyfileobj(stream, file, 2**20)
                        yield digest, _whole(file, digest)
                    left.discard(digest)
        for digest in left:
            raise _not_kept(digest)

    @contextlib.contextmanager
    def saved(self, reference: str) -> Iterator[tarfile.TarFile]:
        """An image as a stream of an OCI layout's files; read the members in order."""
        chunks = self._client.api.get_image(reference, chunk_size=2**20)
        with tarfile.open(fileobj=cast("IO[bytes]", _Reader(chunks)), mode="r|") as archive:
            yield archive

    @_answered
    def tags(self, repository: str) -> list[str]:
        """The local names of a repository, as repository:tag, and of no other one with the same images."""
        names = {name for image in self._client.images.list(repository) for name in image.tags}
        return sorted(name for name in names if name.rpartition(":")[0] == repository)

    @_answered
    def tag(self, reference: str, name: str) -> None:
        """Give a local image another name."""
        repository, _, tag = name.rpartition(":")
        self._client.images.get(reference).tag(repository, tag)

    @_answered
    def remove(self, reference: str) -> None:
        """Take a local image's name away, and the image with its last name."""
        with contextlib.suppress(docker.errors.ImageNotFound):
            self._client.images.remove(reference, force=True)

    @_answered
    def tidy(self) -> None:
        """Of the embedded engine, which is ours alone: drop the build cache and the images that lost their name.

        What was built is kept as images; the cache would hold every layer a second time.
        """
        if self.kind == "embedded":
            self.prune_build_cache()
            self._client.images.prune({"dangling": True})

    @_answered
    def pack(self, references: Iterable[str]) -> None:
        """Of the embedded engine: keep these images compressed only, until they are run again.

        containerd holds an unpacked layer for as long as the config of an image names it. Without that its garbage
        collector takes it, unless another image or a container stands on it; a run unpacks it again.
        """
        if self.kind != "embedded":
            return
        for reference in references:
            digest = self.digest(reference)
            if digest is not None:
                config = str(self._manifest(digest, reference)["config"]["digest"])
                self._ctr("content", "label", config, "containerd.io/gc.ref.snapshot.overlayfs=")
        # Ending a lease in step is how one asks for the collection.
        self._ctr("leases", "create", "--id", "assay-pack")
        self._ctr("leases", "rm", "--sync", "assay-pack")

    def _ctr(self, *arguments: str) -> process.Completed:
        """Ask the embedded engine's containerd."""
        return process.run(self._ctr_argv(*arguments), env=self.environment, timeout=300)

    def _ctr_argv(self, *arguments: str) -> list[str]:
        return ["ctr", "--address", self.environment["ASSAY_CONTAINERD"], "--namespace", "moby", *arguments]

    @_answered
    def prune_build_cache(self) -> int:
        """Drop the whole build cache; bytes freed."""
        freed = self._client.api.prune_builds(all=True)
        return int(freed.get("SpaceReclaimed") or 0)

    def answers(self) -> bool:
        """Whether the engine is still there."""
        try:
            return bool(self._client.ping())
        except (docker.errors.DockerException, requests.RequestException, OSError):
            return False

    # Containers

    def run(self, request: RunRequest) -> RunResult:
        """Run a container to its end, bounded in time, and take it away.

        Raises `UsageError` when the image is not there, or when a GPU is asked for and this engine cannot give one.
        """
        started = time.monotonic()
        try:
            container = self._client.containers.create(request.image, list(request.command), **self._options(request))
            try:
                container.start()
                exit_code, timed_out = _wait(container, request.seconds)
                container.reload()
                state = container.attrs["State"]
                output = container.logs(tail=200)[-LOG_BYTES:].decode(errors="replace")
            finally:
                with contextlib.suppress(docker.errors.DockerException, requests.RequestException):
                    container.remove(force=True, v=True)
        except docker.errors.ImageNotFound as error:
            raise UsageError(f"{request.image} is not built", "Run `assay build` first.") from error
        except docker.errors.APIError as error:
            raise _run_error(request, error) from error
        except (requests.RequestException, OSError) as error:
            raise EngineMissing(
                f"the engine went away while {request.image} ran: {error}",
                "Run the command again; `assay engine status` tells how the engine is.",
            ) from error
        out_of_memory = bool(state.get("OOMKilled"))
        return RunResult(exit_code, out_of_memory, timed_out, output, time.monotonic() - started)

    def _options(self, request: RunRequest) -> dict[str, Any]:
        options: dict[str, Any] = {
            "network_mode": "none",
            "read_only": True,
            "user": request.user,
            "shm_size": request.shm_bytes,
            "tmpfs": {"/tmp": "rw,exec,mode=1777"},  # noqa: S108 - the container's own
            "environment": dict(request.environment),
            "volumes": {str(host): {"bind": inside, "mode": "rw"} for host, inside in request.mounts.items()},
            "security_opt": ["no-new-privileges"],
            "cap_drop": ["ALL"],
        }
        if request.entrypoint is not None:
            options["entrypoint"] = list(request.entrypoint)
        if request.memory_bytes is not None:
            options |= {"mem_limit": request.memory_bytes, "memswap_limit": request.memory_bytes}
        if request.device == "gpu":
            options |= self._gpu_options()
        return options

    def _gpu_options(self) -> dict[str, Any]:
        access = self.gpu_access()
        if access == "cdi":
            request = docker.types.DeviceRequest(driver="cdi", device_ids=["nvidia.com/gpu=all"])
            return {"device_requests": [request]}
        if access == "nvidia-runtime":
            request = docker.types.DeviceRequest(count=-1, capabilities=[["gpu"]])
            return {"device_requests": [request]}
        raise UsageError(
            "a GPU was asked for and this engine can give none: it has no CDI specification and no NVIDIA runtime",
            "Install the NVIDIA container toolkit and run `nvidia-ctk cdi generate`, or use --device cpu.",
        )


def _whole(file: IO[bytes], digest: str) -> IO[bytes]:
    """The file, rewound, once it is known to be what its digest says."""
    file.seek(0)
    if f"sha256:{hashlib.file_digest(cast(Any, file), 'sha256').hexdigest()}" != digest:
        raise EngineMissing(
            f"the engine's own copy of {digest[:19]} is damaged", "Build the image again: `assay build --no-cache`."
        )
    file.seek(0)
    return file


def _not_kept(digest: str) -> EngineMissing:
    return EngineMissing(
        f"the engine has no content {digest}", "Turn on its containerd image store, or use the embedded engine."
    )


class _Reader:
    """A file's read() over an iterator of chunks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int) -> bytes:
        while len(self._rest) < size:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            self._rest += chunk
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


def build_argv(request: BuildRequest, metadata: Path) -> list[str]:
    """The command line of one build."""
    output = ",".join(
        (
            f"type=image,name={request.tag},unpack=true,oci-mediatypes=true",
            f"compression=zstd,force-compression=true,compression-level={request.compression}",
        )
    )
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
    return [*argv, str(request.context)]


def remedy(text: str) -> str:
    """What to do about a failed build, from what its last step said."""
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


def _wait(container: Container, seconds: float) -> tuple[int, bool]:
    try:
        return int(container.wait(timeout=seconds)["StatusCode"]), False
    except requests.exceptions.ConnectionError as error:
        if "timed out" not in str(error).lower():
            raise
    except requests.exceptions.Timeout:
        pass
    with contextlib.suppress(docker.errors.APIError):  # it came to its end just now
        container.kill()
    container.wait(timeout=30)
    return 124, True


def _run_error(request: RunRequest, error: docker.errors.APIError) -> AssayError:
    said = str(error.explanation or error)
    if request.device == "gpu":
        return UsageError(
            f"{request.image} cannot be given a GPU: {said}",
            "Check `nvidia-smi` on the host and the NVIDIA container toolkit's CDI specification.",
        )
    return EngineMissing(f"{request.image} cannot be run: {said}", "`assay engine status` tells how the engine is.")
