"""What this machine has, and what is said about it."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay import doctor
from assay.doctor import Gpu, Machine, Tools
from assay.engine import Status
from assay.errors import UsageError
from assay.host.gpus import Listed, Nvidia
from assay.host.machine import Room
from tests.unit.doctor.known import (
    GIB,
    NO_ENGINE,
    WITH_GPU,
    around,
)


@pytest.mark.parametrize(
    ("changes", "identity", "state", "words"),
    [
        ({}, "driver", "ok", "no NVIDIA driver, and no NVIDIA GPU on the bus"),
        ({"nvidia": WITH_GPU}, "driver", "ok", "580.65.06 serves CUDA up to 13.x, came with CUDA 13.0"),
        ({"nvidia": Nvidia(driver="390.157")}, "driver", "ok", "390.157 serves no CUDA that is known here"),
        ({"nvidia": Nvidia(on_bus=2)}, "driver", "fail", "2 NVIDIA device(s) on the bus, and no driver"),
        ({"nvidia": Nvidia("570.1", problem="mismatch")}, "driver", "fail", "does not answer: mismatch"),
        ({"nvidia": WITH_GPU}, "gpu", "ok", "NVIDIA H100 80GB HBM3, compute capability 9.0, 80 GiB"),
        ({"nvidia": Nvidia("570.1", gpus=(Listed("X", None, 0),))}, "gpu", "warn", "X: the driver does not say"),
        ({}, "engine", "ok", "Docker 28.5.2"),
        ({"engine": Status("20.1", ("it is old",), True, True, "embedded")}, "engine", "ok", "(Docker 20.1 will not"),
        ({"engine": NO_ENGINE}, "engine", "fail", "no container engine answers"),
        ({"engine": NO_ENGINE, "apptainer": "apptainer 1.4.1"}, "engine", "warn", "images run with apptainer 1.4.1"),
        ({"nvidia": WITH_GPU}, "gpu-access", "fail", "no CDI specification and no NVIDIA runtime"),
        (
            {"nvidia": WITH_GPU, "engine": Status("28", (), False, False, "system", "cdi")},
            "gpu-access",
            "ok",
            "by its CDI specification",
        ),
        (
            {"nvidia": WITH_GPU, "engine": Status("28", (), False, False, "system", "nvidia-runtime")},
            "gpu-access",
            "ok",
            "by the NVIDIA runtime",
        ),
        ({"nvidia": WITH_GPU, "engine": NO_ENGINE, "apptainer": "apptainer 1.4.1"}, "gpu-access", "ok", "with --nv"),
        (
            {"nvidia": WITH_GPU, "engine": NO_ENGINE, "podman": "podman 5", "cdi": True},
            "gpu-access",
            "ok",
            "by its CDI",
        ),
        ({}, "shm", "ok", "/dev/shm has 8.0 GiB; a container gets 64 MiB"),
        ({"shm": Room(Path("/dev/shm"), 64 << 20, 0)}, "shm", "warn", "0.1 GiB"),
        ({"shm": None}, "shm", "warn", "there is no /dev/shm"),
        ({}, "disk", "ok", "/var/lib has 50 GiB free"),
        ({"disk": Room(Path("/var/lib"), 100 * GIB, 5 * GIB)}, "disk", "warn", "5.0 GiB free"),
        ({"disk": None}, "disk", "warn", "not known"),
        ({}, "cache", "ok", "holds nothing"),
        (
            {"cache": {"engine data": 20 * GIB, "wheels": GIB}},
            "cache",
            "ok",
            "holds 21 GiB: engine data 20 GiB, wheels 1.0 GiB; `assay clean` makes room",
        ),
        ({"podman": "podman 5.4.2"}, "podman", "ok", "podman 5.4.2"),
        ({}, "apptainer", "ok", "not installed"),
    ],
)
def test_a_finding(changes: dict[str, Any], identity: str, state: str, words: str) -> None:
    found = [one for one in doctor.findings(around(**changes)) if one.id == identity]
    assert len(found) == 1
    assert found[0].state == state
    assert words in found[0].message


def test_what_is_wrong_has_a_remedy_and_what_is_right_has_none() -> None:
    worst = around(nvidia=Nvidia(problem="x"), engine=NO_ENGINE, shm=None, disk=None)
    for surroundings in (worst, around(), around(nvidia=WITH_GPU)):
        for one in doctor.findings(surroundings):
            assert bool(one.remedy) == (one.state != "ok"), one


def test_the_machine_that_images_meet() -> None:
    assert around().machine() == Machine(seen=True)
    machine = around(nvidia=WITH_GPU, architecture="aarch64").machine()
    assert machine == Machine((580, 65, 6), (Gpu("NVIDIA H100 80GB HBM3", (9, 0), 80 * GIB),), True, "arm64")
    broken = dataclasses.replace(WITH_GPU, problem="Driver/library version mismatch")
    assert around(nvidia=broken).machine().gpus == ()
    assert around(architecture="riscv64").machine().architecture == "riscv64"


def test_another_machine() -> None:
    assert doctor.another("550.54.14", ["9.0", "12.0"]) == Machine(
        driver=(550, 54, 14), gpus=(Gpu("GPU", (9, 0)), Gpu("GPU", (12, 0)))
    )
    assert doctor.another("550", ["8.6"]).driver == (550,)


@pytest.mark.parametrize("driver", ["", "none", "0", "550.", "550.54.14.1.1", "-550", "R550", "\u0661", "9" * 99])
def test_what_is_no_driver(driver: str) -> None:
    with pytest.raises(UsageError, match="is no driver version"):
        doctor.another(driver, ["9.0"])


@pytest.mark.parametrize("capability", ["", "9", "9.0a", "sm_90", "ninety", "9.0.0"])
def test_what_is_no_capability(capability: str) -> None:
    with pytest.raises(UsageError, match="is no compute capability"):
        doctor.another("550", ["9.0", capability])


@given(st.text(), st.text())
def test_any_words_are_a_machine_or_a_usage_error(driver: str, capability: str) -> None:
    with contextlib.suppress(UsageError):
        assert doctor.another(driver, [capability]).gpus


def test_the_tools_are_those_of_the_engine_that_is_used() -> None:
    assert around().tools() == Tools(("docker",))
    embedded = around(engine=Status(None, (), True, True, "embedded", "cdi"), podman="podman 5").tools()
    assert embedded.docker is not None
    assert embedded.docker[0].startswith("DOCKER_HOST=unix:///run/assay-")
    assert (embedded.gpu_access, embedded.podman, embedded.network) == ("cdi", "podman 5", "host")
    assert around(engine=NO_ENGINE).tools().docker is None
