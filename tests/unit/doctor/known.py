"""Certificates and machines that the tests of the doctor ask about."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from assay import doctor
from assay.doctor import Certified, Surroundings
from assay.engine import Status
from assay.host.gpus import Listed, Nvidia
from assay.host.machine import Room
from tests.unit.certificate import reports

GIB = 2**30

H100 = Listed("NVIDIA H100 80GB HBM3", (9, 0), 80 * GIB)

STACK = {
    "framework": "torch 2.15.0",
    "cudart": "13.2",
    "least_driver": "580",
    "details": {"cuda": "13.0.1"},
    "coverage": {"libtorch_cuda.so": {"cubin": ["8.0", "9.0a"], "ptx": ["9.0"]}},
    "served": {"wholly": ["8.0", "9.0"], "partly": ["7.5"]},
}


def statement(image: str = "one", device: str = "cpu", digest: str = "d", **stack: Any) -> dict[str, Any]:
    data = reports.written(reports.a_plan(device=device, image=image))
    data["stack"] = {**STACK, **stack}
    return reports.stated(data, digest="sha256:" + digest * 64)


def keep(folder: Path, data: Any, name: str = "one/cpu") -> Path:
    path = folder / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


def gathered(root: Path) -> tuple[list[Certified], list[tuple[str, str]]]:
    return doctor.gather(root, reports.SUITES)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)

PLACES = ["subject", "predicate", "image", "plan", "stack", "host", "served", "coverage", "details", "labels", "gpu"]


def around(**changes: Any) -> Surroundings:
    plain = Surroundings(
        nvidia=Nvidia(),
        engine=Status("28.5.2", (), False, True, "system"),
        architecture="x86_64",
        cdi=False,
        shm=Room(Path("/dev/shm"), 8 * GIB, 8 * GIB),
        disk=Room(Path("/var/lib"), 100 * GIB, 50 * GIB),
        podman="",
        apptainer="",
    )
    return dataclasses.replace(plain, **changes)


WITH_GPU = Nvidia("580.65.06", "580.65.06", (H100,), "", 1)

NO_ENGINE = Status(None, (), False, False, None)
