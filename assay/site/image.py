"""What the page of an image says."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from assay.certificate import Certificate
from assay.site import evidence
from assay.site.subject import Subject


def words(one: Subject) -> dict[str, Any]:
    """What the template of an image's page is filled with."""
    first = one.certificates[0]
    return {
        "commands": commands(one),
        "left_out": list(evidence.left_out(first)),
        "libraries": sorted(evidence.strings(first.report.stack.get("libraries")).items()),
        "packages": sorted(evidence.strings(first.report.plan.get("packages")).items()),
        "said": list(evidence.explained(first)),
        "views": [_view(each) for each in one.certificates],
    }


def commands(one: Subject) -> str:
    """The commands that verify an image, pull it and run a program in it."""
    return "\n".join(
        (
            f"IMAGE={one.place}",
            "assay verify $IMAGE --key assay.pub                   # signatures, evidence, layers",
            "docker pull $IMAGE",
            f"docker run --rm --network none{_gpu(one)} $IMAGE smoke{_device(one)}   # trains in it on your machine",
            "assay run --key assay.pub $IMAGE python train.py      # your program, in this folder",
        )
    )


def _gpu(one: Subject) -> str:
    return " --gpus all" if one.certified.cuda else ""


def _device(one: Subject) -> str:
    return " --device gpu" if one.certified.cuda else ""


def _view(certificate: Certificate) -> dict[str, Any]:
    groups, left = evidence.groups(certificate), evidence.not_run(certificate)
    faults = list(evidence.faults(certificate))
    checks = [check for group in groups for check in group.checks]
    return {
        "device": certificate.device,
        "groups": groups,
        "faults": faults,
        "not_run": left,
        "left": sum(len(ids) for _, ids in left),
        "ran": len(checks),
        "passed": sum(check.passed for check in checks),
        "caught": sum(fault.state == "fail" for fault, _ in faults),
        "machine": _machine(certificate.report.host),
    }


def _machine(host: dict[str, Any]) -> str:
    gpus: Iterable[object] = found if isinstance(found := host.get("gpu"), list) else ()
    named = [str(one).split(",")[0] for one in gpus]
    cores = host.get("cores")
    return " and ".join([f"{host.get('cpu', 'a processor')}, {cores} cores", *named])
