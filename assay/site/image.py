"""What the page of an image says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from assay.certificate import Certificate
from assay.doctor.facts import ELSEWHERE
from assay.site import evidence
from assay.site.subject import Subject


def words(one: Subject) -> dict[str, Any]:
    """What the template of an image's page is filled with."""
    first = one.certificates[0]
    return {
        "commands": commands([one]),
        "left_out": list(evidence.left_out(first)),
        "libraries": sorted(evidence.strings(first.report.stack.get("libraries")).items()),
        "packages": sorted(evidence.strings(first.report.plan.get("packages")).items()),
        "said": list(evidence.explained(first)),
        "views": [_view(each) for each in one.certificates],
    }


def commands(subjects: Sequence[Subject]) -> str:
    """The commands that pull, run and verify an image; of several, the first that has a GPU's code."""
    one = next((one for one in subjects if one.certified.cuda), subjects[0])
    place = one.certified.reference if one.published else f"{ELSEWHERE}/{one.name}@{one.certified.digest}"
    gpu = " --gpus all" if one.certified.cuda else ""
    on = "gpu" if one.certified.cuda else "cpu"
    return "\n".join(
        (
            "# verify it by its digest: the signatures, the evidence, every layer's size",
            f"assay verify {place} --key assay.pub",
            "# pull it, and train in it on your machine",
            f"docker pull {place}",
            f"docker run --rm --network none{gpu} {place} smoke --device {on}",
            "# run your program in it",
            f"assay run --key assay.pub {place} python train.py",
            f'docker run --rm{gpu} -v "$PWD":/work -w /work {place} python train.py',
        )
    )


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
