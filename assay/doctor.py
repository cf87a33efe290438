"""Which image runs on this machine: what the machine has, what the certificates say, and the verdict on each image.

The machine's side are findings, each with a remedy; the image's side comes from certificates alone, whose level is
computed anew. A certificate may come from anywhere: it is bounded in size, typed, and not believed in what it says of
itself.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from assay import certificate, compatibility, engine, verify
from assay.attestation import PublicKey
from assay.certificate import RANK, Certificate, Policy, Suites
from assay.compatibility import Code, Gpu, ImageFacts, Library, Machine, Verdict, dotted, numbers
from assay.engine.embedded import EmbeddedEngine, install_hint
from assay.errors import UsageError, VerificationFailed
from assay.host import gpus, machine
from assay.host.gpus import Nvidia
from assay.host.machine import Room
from assay.images import PREFIX, read_images
from assay.registry import Reference

SCHEMA = 1
LARGEST_CERTIFICATE = certificate.LARGEST_REPORT
GIB = 2**30
ROOM_FOR_ONE = 20 * GIB  # an image, compressed and unpacked, while it is pulled
SHM_FOR_WORKERS = GIB
REMEDY = "Have the image certified again, or take the certificate from where it is published."

State = Literal["ok", "warn", "fail"]
# The facts of images, and (certificate, what is wrong) for each that is of no use.
Gathered = tuple[list[ImageFacts], list[tuple[str, str]]]
_DRIVER = re.compile(r"\d{1,5}(\.\d{1,5}){0,3}", re.ASCII)
_CUDA = re.compile(r"(\d{1,3})\.(\d{1,3})", re.ASCII)


@dataclass(frozen=True)
class Finding:
    """One thing of this machine: what there is and, where that is not enough, what to do."""

    id: str
    state: State
    message: str
    remedy: str = ""


@dataclass(frozen=True)
class Tools:
    """What would run a container here: Docker's way to GPUs, and the words that a docker command begins with."""

    docker: tuple[str, ...] | None = None
    gpu_access: str | None = None
    podman: str = ""
    apptainer: str = ""


@dataclass(frozen=True)
class Row:
    """An image with its verdict, and the command that runs it; None where nothing here can."""

    image: ImageFacts
    verdict: Verdict
    command: str | None


@dataclass(frozen=True)
class Diagnosis:
    """The whole answer. ``unusable`` are (certificate, what is wrong) pairs."""

    machine: Machine
    here: bool
    findings: tuple[Finding, ...]
    rows: tuple[Row, ...]
    unusable: tuple[tuple[str, str], ...]


# The machine


@dataclass(frozen=True)
class Surroundings:
    """All that is asked of this machine, before anything is judged."""

    nvidia: Nvidia
    engine: engine.Status
    architecture: str
    cdi: bool
    shm: Room | None
    disk: Room | None
    podman: str
    apptainer: str

    @classmethod
    def here(cls) -> Surroundings:
        """Ask. Nothing is started but what answers a question."""
        status = engine.status()
        embedded = EmbeddedEngine.here()
        return cls(
            nvidia=gpus.nvidia(),
            engine=status,
            architecture=machine.architecture(),
            cdi=machine.cdi_specifications(),
            shm=machine.room(Path("/dev/shm")),  # noqa: S108 - its size is asked for
            disk=machine.room(embedded.data if status.used == "embedded" else Path("/var/lib/docker")),
            podman=machine.version_of("podman"),
            apptainer=machine.version_of("apptainer", "singularity"),
        )

    def machine(self) -> Machine:
        """What an image meets. A GPU whose compute capability the driver does not say is left out."""
        gpus = (Gpu(one.name, one.capability, one.memory) for one in self.nvidia.gpus if one.capability)
        return Machine(
            driver=numbers(self.nvidia.driver) or None,
            gpus=tuple(gpus) if not self.nvidia.problem else (),
            seen=True,
            architecture=_architecture(self.architecture),
        )

    def tools(self) -> Tools:
        """What would run a container here."""
        embedded = EmbeddedEngine.here()
        own = (f"DOCKER_HOST={embedded.address}", str(embedded.programs / "usr/bin/docker"))
        commands = {"system": ("docker",), "embedded": own}
        return Tools(
            docker=commands.get(self.engine.used or ""),
            gpu_access=self.engine.gpu_access,
            podman=self.podman,
            apptainer=self.apptainer,
        )


def findings(found: Surroundings) -> Iterable[Finding]:
    """Everything that was looked at, in the order of the table."""
    yield _driver(found.nvidia)
    yield from _gpus(found.nvidia)
    yield _engine(found)
    if found.nvidia.gpus:
        yield _gpu_access(found)
    yield _shared_memory(found.shm)
    yield _disk(found.disk)
    yield _program("podman", found.podman)
    yield _program("apptainer", found.apptainer)


def _driver(nvidia: Nvidia) -> Finding:
    if nvidia.problem:
        remedy = "Run nvidia-smi; after a driver's update the machine has to be started again."
        return Finding("driver", "fail", f"the driver does not answer: {nvidia.problem}", remedy)
    if nvidia.driver:
        have = numbers(nvidia.driver)
        newest = compatibility.cuda_of(have)
        came = f", came with CUDA {dotted(newest)}" if newest else ""
        return Finding("driver", "ok", f"{nvidia.driver} serves {compatibility.serves(have)}{came}")
    if nvidia.on_bus:
        message = f"{nvidia.on_bus} NVIDIA device(s) on the bus, and no driver"
        return Finding("driver", "fail", message, "Install NVIDIA's driver; the newest runs every image.")
    return Finding("driver", "ok", "no NVIDIA driver, and no NVIDIA GPU on the bus: images run on the CPU")


def _gpus(nvidia: Nvidia) -> Iterable[Finding]:
    for gpu in nvidia.gpus:
        memory = f", {gpu.memory / GIB:.0f} GiB" if gpu.memory else ""
        if gpu.capability is None:
            remedy = "Say it: --driver VERSION --compute-capability X.Y (developer.nvidia.com/cuda-gpus lists it)."
            yield Finding("gpu", "warn", f"{gpu.name}{memory}: the driver does not say its capability", remedy)
        else:
            yield Finding("gpu", "ok", f"{gpu.name}, compute capability {dotted(gpu.capability)}{memory}")


def _engine(found: Surroundings) -> Finding:
    status = found.engine
    if status.used == "system":
        return Finding("engine", "ok", f"Docker {status.system}")
    if status.used == "embedded":
        lacks = f" (Docker {status.system} will not do: {'; '.join(status.system_lacks)})" if status.system else ""
        return Finding("engine", "ok", f"the embedded engine{lacks}")
    if found.podman or found.apptainer:
        return Finding("engine", "warn", f"no Docker Engine; images run with {found.podman or found.apptainer}")
    return Finding("engine", "fail", "no container engine answers", install_hint())


def _gpu_access(found: Surroundings) -> Finding:
    names = {"cdi": "by its CDI specification", "nvidia-runtime": "by the NVIDIA runtime"}
    access = found.engine.gpu_access or ("cdi" if found.cdi and found.podman else None)
    if access:
        return Finding("gpu-access", "ok", f"containers are handed the GPUs {names[access]}")
    if found.apptainer and found.engine.used is None:
        return Finding("gpu-access", "ok", f"{found.apptainer} hands over the GPUs with --nv")
    remedy = (
        "Install the NVIDIA Container Toolkit, and run: nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"
        " (Docker before 28 also needs: nvidia-ctk runtime configure --runtime=docker)."
    )
    message = "containers cannot be handed the GPUs: no CDI specification and no NVIDIA runtime"
    return Finding("gpu-access", "fail", message, remedy)


def _shared_memory(room: Room | None) -> Finding:
    if room is None or not room.size:
        return Finding("shm", "warn", "there is no /dev/shm", "Mount one: mount -t tmpfs tmpfs /dev/shm.")
    message = f"{room.path} has {_size(room.size)}; a container gets 64 MiB unless told otherwise"
    if room.size < SHM_FOR_WORKERS:
        return Finding("shm", "warn", message, "Make it larger: mount -o remount,size=50% /dev/shm.")
    return Finding("shm", "ok", message)


def _disk(room: Room | None) -> Finding:
    if room is None:
        return Finding("disk", "warn", "the room for images is not known", "Look at it with df -h.")
    message = f"{room.path} has {_size(room.free)} free"
    if room.free < ROOM_FOR_ONE:
        remedy = "Make room, or move the engine's data: an image takes up to 9 GiB, and as much again while pulled."
        return Finding("disk", "warn", message, remedy)
    return Finding("disk", "ok", message)


def _program(name: str, version: str) -> Finding:
    return Finding(name, "ok", version or "not installed")


def _size(count: int) -> str:
    return f"{count / GIB:.0f} GiB" if count >= 10 * GIB else f"{count / GIB:.1f} GiB"


def _architecture(machine: str) -> str:
    return compatibility.ARCHITECTURES.get(machine, machine)


def another(driver: str, capabilities: Sequence[str]) -> Machine:
    """A machine that is described, not looked at. Raises `UsageError` for what is no driver or no capability."""
    have = numbers(driver)
    if not _DRIVER.fullmatch(driver) or have < (1,):
        raise UsageError(
            f"{driver!r} is no driver version", "Write it as nvidia-smi does, or its branch: 550.54.14, 550."
        )
    gpus = []
    for text in capabilities:
        try:
            code = Code.parse(text)
        except ValueError:
            code = None
        if code is None or code.only:
            raise UsageError(f"{text!r} is no compute capability", "Write major and minor, such as 9.0.")
        gpus.append(Gpu("GPU", code.capability))
    return Machine(driver=have, gpus=tuple(gpus))


# The certificates

_Capability = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,2}\.[0-9][af]?\Z")]
_Capabilities = Annotated[tuple[_Capability, ...], msgspec.Meta(max_length=64)]
_Name = Annotated[str, msgspec.Meta(max_length=256)]


class _Code(msgspec.Struct, frozen=True):
    cubin: _Capabilities = ()
    ptx: _Capabilities = ()


class _Served(msgspec.Struct, frozen=True):
    wholly: _Capabilities = ()
    partly: _Capabilities = ()


class _Details(msgspec.Struct, frozen=True):
    cuda: Any = None


class _Stack(msgspec.Struct, frozen=True):
    """What is read of a report's stack; all else is left alone."""

    framework: _Name = ""
    cudart: _Name = ""
    least_driver: Annotated[str, msgspec.Meta(pattern=r"^([0-9]{1,5}(\.[0-9]{1,5}){0,3})?\Z")] = ""
    details: _Details = _Details()
    coverage: Annotated[dict[_Name, _Code], msgspec.Meta(max_length=4096)] = {}
    served: _Served = _Served()


def read(path: Path) -> dict[str, Any]:
    """A certificate's Statement from a file; `VerificationFailed` for anything that is none, or is too large."""
    try:
        facts = path.stat()
    except OSError as error:
        raise VerificationFailed(f"{path.name} cannot be read: {error.strerror}", REMEDY) from None
    if not stat.S_ISREG(facts.st_mode) or facts.st_size > LARGEST_CERTIFICATE:
        raise VerificationFailed(f"{path.name} is no plain file below {LARGEST_CERTIFICATE >> 20} MiB", REMEDY)
    statement = certificate.read_statement(path)
    if statement is None:
        raise VerificationFailed(f"{path.name} is no certificate", REMEDY)
    return statement


def facts(several: Sequence[Certificate], reference: str) -> ImageFacts:
    """What the certificates of one image digest say of it, one per device."""
    first = several[0]
    try:
        stack = msgspec.convert(first.report.stack, type=_Stack)
    except (msgspec.ValidationError, RecursionError) as error:
        raise VerificationFailed(f"the certificate of {first.image} is malformed: {error}", REMEDY) from None
    labels = first.report.plan.get("labels")
    cuda = _pair(labels.get("cuda") if isinstance(labels, dict) else None) or _pair(stack.cudart)
    python = labels.get("python", "") if isinstance(labels, dict) else ""
    return ImageFacts(
        image=first.image,
        digest=first.digest,
        reference=reference,
        framework=stack.framework,
        python=python if isinstance(python, str) else "",
        architecture=first.platform.rpartition("/")[2],
        cuda=cuda,
        toolkit=_pair(stack.details.cuda) or cuda,
        least_driver=numbers(stack.least_driver),
        libraries=tuple(
            Library(name, frozenset(map(Code.parse, code.cubin)), frozenset(map(Code.parse, code.ptx)))
            for name, code in stack.coverage.items()
        ),
        wholly=frozenset(Code.parse(one).capability for one in stack.served.wholly),
        partly=frozenset(Code.parse(one).capability for one in stack.served.partly),
        levels={one.device: one.verdict.level for one in several},
        shortcoming=next(filter(None, map(_shortcoming, several)), ""),
        certified_on=tuple(name for one in several if RANK[one.verdict.level] >= RANK["E3"] for name in _names(one)),
        created=max(several, key=lambda one: one.age_key).created,
    )


def _shortcoming(one: Certificate) -> str:
    """The first thing that is wrong with a certificate; empty if nothing is."""
    name, what = next(iter(one.verdict.problems), ("", ""))
    return (what if name == "certificate" else f"{name}: {what}" if name else "")[:512]


def _names(one: Certificate) -> list[str]:
    """The GPUs of a GPU certificate, by the name that nvidia-smi's line begins with."""
    gpus = one.report.host.get("gpu")
    return [line.split(",")[0][:256] for line in gpus if isinstance(line, str)] if isinstance(gpus, list) else []


def _pair(text: object) -> tuple[int, int] | None:
    """Major and minor of a CUDA version; None for anything else."""
    found = _CUDA.match(text) if isinstance(text, str) else None
    return (int(found[1]), int(found[2])) if found else None


def published(
    references: Iterable[Reference], key: PublicKey, suites: Suites, *, plain_http: bool = False
) -> Gathered:
    """The facts of images in a registry, from the certificates that are attached to them and signed with this key.

    They are held to what `assay verify` holds them to; one that does not hold is of no use.

    Raises `RegistryFailed` where a registry does not answer.
    """
    images, unusable = [], []
    for reference in references:
        try:
            several = verify.certificates(reference, key, suites, plain_http=plain_http)
            images.append(facts(several, str(reference.at(several[0].digest))))
        except VerificationFailed as error:
            unusable.append((str(reference), error.what))
    return images, unusable


def gather(root: Path, suites: Suites) -> Gathered:
    """The facts of each image that has certificates below ``root``.

    What was certified here (``build/certificates``) comes before what came with the repository or the package. Raises
    `UsageError` where there are none at all.
    """
    found: dict[tuple[str, str], Certificate] = {}
    unusable = []
    for folder in (root / "certificates", root / "build" / "certificates"):
        for path in sorted(folder.rglob("*.json")):
            try:
                one = certificate.read(read(path), Policy(suites))
            except VerificationFailed as error:
                unusable.append((path.relative_to(root).as_posix(), error.what))
            else:
                found[one.image, one.device] = one
    built = {name: made.digest for name, made in read_images(root).images.items()}
    images = []
    for image in sorted({name for name, _ in found}):
        of_it = [one for (name, _), one in found.items() if name == image]
        newest = max(of_it, key=lambda one: one.age_key).digest
        same = [one for one in of_it if one.digest == newest]
        local = built.get(image) == newest
        try:
            images.append(facts(same, f"{PREFIX}/{image}" if local else f"REGISTRY/{image}@{newest}"))
        except VerificationFailed as error:
            unusable.append((image, error.what))
    if not images and not unusable:
        raise UsageError("there are no certificates here", "Run this in a checkout, or make some: `assay smoke`.")
    return images, unusable


# The answer


def diagnose(gathered: Gathered, machine: Machine | None = None) -> Diagnosis:
    """The answer for this machine, or for one that is described."""
    images, unusable = gathered
    found = Surroundings.here() if machine is None else None
    meets = machine or (found.machine() if found else Machine())
    tools = found.tools() if found else Tools(docker=("docker",), gpu_access="nvidia-runtime")
    rows = [Row(image, verdict, command(image, verdict, tools)) for image, verdict in ordered(meets, images)]
    return Diagnosis(
        machine=meets,
        here=found is not None,
        findings=tuple(findings(found)) if found else (),
        rows=tuple(rows),
        unusable=tuple(unusable),
    )


def ordered(machine: Machine, images: Iterable[ImageFacts]) -> list[tuple[ImageFacts, Verdict]]:
    """Each image with its verdict, the newest that runs first."""
    pairs = [(image, compatibility.judge(machine, image)) for image in images]
    return sorted(pairs, key=lambda pair: compatibility.order(*pair))


def command(image: ImageFacts, verdict: Verdict, tools: Tools) -> str | None:
    """The command that starts Python in the image, with what is installed here; None if it does not run."""
    if verdict.runs == "no":
        return None
    gpu = verdict.runs == "gpu"
    published = not image.reference.startswith(f"{PREFIX}/")
    if tools.docker is None and tools.apptainer and published:
        words = [tools.apptainer.split()[0], "exec", *(["--nv"] if gpu else []), f"docker://{image.reference}"]
        return " ".join([*words, "python"])
    if tools.docker is None and tools.podman:
        program, flag = "podman", "--device nvidia.com/gpu=all"
    else:
        program = " ".join(tools.docker or ("docker",))
        flag = "--device nvidia.com/gpu=all" if tools.gpu_access == "cdi" else "--gpus all"
    network = ["--network none"] if program not in {"docker", "podman"} else []  # the embedded engine has no bridge
    return " ".join(
        [program, "run -it --rm", *network, *([flag] if gpu else []), "--shm-size=1g", image.reference, "python"]
    )


def as_json(answer: Diagnosis) -> dict[str, Any]:
    """The answer as plain data (schema 1)."""
    machine = answer.machine
    return {
        "schema": SCHEMA,
        "machine": {
            "here": answer.here,
            "architecture": machine.architecture,
            "driver": dotted(machine.driver) if machine.driver else None,
            "serves": compatibility.serves(machine.driver) if machine.driver else None,
            "gpus": [
                {"name": gpu.name, "compute_capability": dotted(gpu.capability), "memory_bytes": gpu.memory or None}
                for gpu in machine.gpus
            ],
        },
        "findings": [asdict(one) for one in answer.findings],
        "images": [_row(row) for row in answer.rows],
        "unusable": [{"certificate": name, "problem": problem} for name, problem in answer.unusable],
    }


def _row(row: Row) -> dict[str, Any]:
    image = row.image
    return {
        "image": image.image,
        "digest": image.digest,
        "runs": row.verdict.runs,
        "why": row.verdict.why,
        "notes": list(row.verdict.notes),
        "command": row.command,
        "framework": image.framework,
        "python": image.python,
        "cuda": dotted(image.cuda) if image.cuda else None,
        "levels": dict(image.levels),
        "served": {
            "wholly": [dotted(one) for one in sorted(image.wholly)],
            "partly": [dotted(one) for one in sorted(image.partly)],
        },
    }


def require_usable(answer: Diagnosis) -> None:
    """Raise `VerificationFailed` (exit 5) if a certificate was of no use."""
    if answer.unusable:
        name, problem = answer.unusable[0]
        more = f", and {len(answer.unusable) - 1} more" if len(answer.unusable) > 1 else ""
        raise VerificationFailed(f"{name} says nothing: {problem}{more}", REMEDY)
