"""What the certificates say of images: from files here. `assay.doctor.published` asks a registry for them.

A certificate may come from anywhere. It is bounded in size, typed, and not believed in what it says of itself: its
level is computed anew.
"""

from __future__ import annotations

import dataclasses
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec

from assay import certificate
from assay.catalog import load, read_images
from assay.catalog.built import PREFIX
from assay.catalog.support import ended_in
from assay.certificate import LARGEST_REPORT, RANK, Certificate, Policy, Suites
from assay.doctor.compatibility import Certified
from assay.doctor.cuda import Code, Library, numbers
from assay.errors import UsageError, VerificationFailed

REMEDY = "Have the image certified again, or take the certificate from where it is published."

ELSEWHERE = "REGISTRY"  # stands for a registry that is not known

# What the certificates say of images, and (certificate, what is wrong) for each that is of no use.
Gathered = tuple[list[Certified], list[tuple[str, str]]]
_CUDA = re.compile(r"(\d{1,3})\.(\d{1,3})", re.ASCII)

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


class _Framework(msgspec.Struct, frozen=True):
    module: _Name = ""
    backends: Annotated[tuple[_Name, ...], msgspec.Meta(max_length=64)] = ()


class _Planned(msgspec.Struct, frozen=True):
    """What is read of a report's plan; all else is left alone."""

    framework: _Framework = _Framework()
    workloads: Annotated[tuple[_Name, ...], msgspec.Meta(max_length=64)] = ()
    packages: Annotated[dict[_Name, Any], msgspec.Meta(max_length=4096)] = {}


def read(path: Path) -> dict[str, Any]:
    """A certificate's Statement from a file; `VerificationFailed` for anything that is none, or is too large."""
    try:
        found = path.stat()
    except OSError as error:
        raise VerificationFailed(f"{path.name} cannot be read: {error.strerror}", REMEDY) from None
    if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST_REPORT:
        raise VerificationFailed(f"{path.name} is no plain file below {LARGEST_REPORT >> 20} MiB", REMEDY)
    statement = certificate.read_statement(path)
    if statement is None:
        raise VerificationFailed(f"{path.name} is no certificate", REMEDY)
    return statement


def certified(certificates: Sequence[Certificate], reference: str, ended: str = "") -> Certified:
    """What the certificates of one image digest say of it, one per device; ``ended``: what else is said of it."""
    first = certificates[0]
    try:
        stack = msgspec.convert(first.report.stack, type=_Stack)
    except (msgspec.ValidationError, RecursionError) as error:
        raise VerificationFailed(f"the certificate of {first.image} is malformed: {error}", REMEDY) from None
    labels = first.report.plan.get("labels")
    cuda = _pair(labels.get("cuda") if isinstance(labels, dict) else None) or _pair(stack.cudart)
    python = labels.get("python", "") if isinstance(labels, dict) else ""
    module, modules = _modules(first.report.plan)
    return Certified(
        image=first.image,
        digest=first.digest,
        reference=reference,
        framework=stack.framework,
        module=module,
        modules=modules,
        python=python if isinstance(python, str) else "",
        architecture=first.platform.rpartition("/")[2],
        cuda=cuda,
        toolkit=_pair(stack.details.cuda) or cuda,
        least_driver=numbers(stack.least_driver),
        libraries=tuple(
            Library(name, frozenset(map(Code.parse, code.cubin)), frozenset(map(Code.parse, code.ptx)))
            for name, code in stack.coverage.items()
        ),
        wholly=frozenset(Code.parse(text).capability for text in stack.served.wholly),
        partly=frozenset(Code.parse(text).capability for text in stack.served.partly),
        levels={opened.device: opened.verdict.level for opened in certificates},
        shortcoming=next(filter(None, map(_shortcoming, certificates)), ""),
        certified_on=tuple(
            name for opened in certificates if RANK[opened.verdict.level] >= RANK["E3"] for name in _gpu_names(opened)
        ),
        created=max(certificates, key=lambda opened: opened.age_key).created,
        ended=ended,
    )


def _modules(plan: Mapping[str, Any]) -> tuple[str, frozenset[str]]:
    """The module of the framework, and with it the backends and companions that the plan trains with."""
    try:
        planned = msgspec.convert(plan, type=_Planned)
    except (msgspec.ValidationError, RecursionError):
        return "", frozenset()
    installed = {name.replace("-", "_") for name in planned.packages}
    companions = installed.intersection(planned.workloads)
    module = planned.framework.module
    return module, frozenset({module, *planned.framework.backends, *companions} - {""})


def _shortcoming(opened: Certificate) -> str:
    """The first thing that is wrong with a certificate; empty if nothing is."""
    name, what = next(iter(opened.verdict.problems), ("", ""))
    return (what if name == "certificate" else f"{name}: {what}" if name else "")[:512]


def _gpu_names(opened: Certificate) -> list[str]:
    """The GPUs of a GPU certificate, by the name that nvidia-smi's line begins with."""
    gpus = opened.report.host.get("gpu")
    return [line.split(",")[0][:256] for line in gpus if isinstance(line, str)] if isinstance(gpus, list) else []


def _pair(text: object) -> tuple[int, int] | None:
    """Major and minor of a CUDA version; None for anything else."""
    found = _CUDA.match(text) if isinstance(text, str) else None
    return (int(found[1]), int(found[2])) if found else None


def gather(root: Path, suites: Suites) -> Gathered:
    """What is certified of each image that has certificates below ``root``.

    What was certified here (``build/certificates``) comes before what came with the repository or the package. Raises
    `UsageError` where there are none at all.
    """
    certificates, unusable = _opened(root, suites)
    built = {name: made.digest for name, made in read_images(root).images.items()}
    declared, ended = _declared(root), ended_in(root)
    images = []
    for image, platform in sorted({(opened.image, opened.platform) for opened in certificates}):
        of_it = [opened for opened in certificates if (opened.image, opened.platform) == (image, platform)]
        newest = max(of_it, key=lambda opened: opened.age_key).digest
        same = [opened for opened in of_it if opened.digest == newest]
        local = built.get(image) == newest
        try:
            reference = f"{PREFIX}/{image}" if local else f"{ELSEWHERE}/{image}@{newest}"
            found = certified(same, reference, ended.get(image, ""))
            images.append(dataclasses.replace(found, declares=declared.get(image, ())))
        except VerificationFailed as error:
            unusable.append((image, error.what))
    if not images and not unusable:
        raise UsageError("there are no certificates here", "Run this in a checkout, or make some: `assay smoke`.")
    return images, unusable


def _declared(root: Path) -> Mapping[str, tuple[str, ...]]:
    """The platforms that each image of a checkout declares; of none where there is no checkout, or it is damaged."""
    try:
        return {image.name: image.platforms for image in load(root, locked=False).images.values()}
    except UsageError:
        return {}


def _opened(root: Path, suites: Suites) -> tuple[list[Certificate], list[tuple[str, str]]]:
    """The certificate that counts of each image and device, and what is of no use and why."""
    found: dict[tuple[str, str, str], Certificate] = {}
    unusable = []
    for folder in (root / "certificates", root / "build" / "certificates"):
        for path in sorted(folder.rglob("*.json")):
            try:
                opened = certificate.read(read(path), Policy(suites))
            except VerificationFailed as error:
                unusable.append((path.relative_to(root).as_posix(), error.what))
            else:
                found[opened.image, opened.platform, opened.device] = opened
    return list(found.values()), unusable
