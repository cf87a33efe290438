"""What this machine has, and what is said about it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from assay import doctor
from assay.doctor import Gpu, Machine, Tools
from assay.engine import Status
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
        (
            {"nvidia": Nvidia("570.1", problem="No devices were found")},
            "driver",
            "fail",
            "the driver finds no GPU: No",
        ),
        (
            {"nvidia": Nvidia("551.61", windows=True)},
            "driver",
            "ok",
            "551.61 of Windows, for WSL, serves CUDA up to 12.x",
        ),
        ({"nvidia": Nvidia(windows=True)}, "driver", "warn", "WSL has no NVIDIA driver of Windows"),
        ({"nvidia": WITH_GPU}, "gpu", "ok", "NVIDIA H100 80GB HBM3, compute capability 9.0, 80 GiB"),
        ({"nvidia": Nvidia("570.1", gpus=(Listed("X", None, 0),))}, "gpu", "warn", "X: the driver does not say"),
        (
            {"nvidia": Nvidia("450.1", gpus=(Listed("Tesla T4", None, 0),))},
            "gpu",
            "ok",
            "Tesla T4, compute capability 7.5 by its name",
        ),
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
    for surroundings in (worst, around(), around(nvidia=WITH_GPU), around(nvidia=Nvidia(windows=True))):
        for one in doctor.findings(surroundings):
            assert bool(one.remedy) == (one.state != "ok"), one


def test_the_machine_that_images_meet() -> None:
    assert around().machine() == Machine(seen=True)
    machine = around(nvidia=WITH_GPU, architecture="aarch64").machine()
    assert machine == Machine((580, 65, 6), (Gpu("NVIDIA H100 80GB HBM3", (9, 0), 80 * GIB),), True, "arm64")
    broken = dataclasses.replace(WITH_GPU, problem="Driver/library version mismatch")
    assert around(nvidia=broken).machine().gpus == ()
    assert around(nvidia=broken).machine().obstacle == "the driver does not answer"
    assert around(architecture="riscv64").machine().architecture == "riscv64"


def test_a_gpu_that_an_old_driver_lists_without_capability_is_known_by_its_name() -> None:
    old = Nvidia("450.80.02", gpus=(Listed("Tesla T4", None, GIB), Listed("NVIDIA Secret", None, GIB)))
    assert around(nvidia=old).machine().gpus == (Gpu("Tesla T4", (7, 5), GIB),)


@pytest.mark.parametrize(
    ("problem", "windows", "words"),
    [
        ("Failed to initialize NVML: Driver/library version mismatch", False, "Start the machine again"),
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", False, "modprobe nvidia"),
        ("Unable to determine the device handle for GPU0000:07:00.0: Unknown Error", False, "Xid"),
        ("No devices were found", False, "NVRM"),
        ("something else", False, "Run nvidia-smi"),
        ("something else", True, "wsl --shutdown"),
    ],
)
def test_what_to_do_about_a_driver_that_does_not_answer(problem: str, windows: bool, words: str) -> None:
    first, *_ = doctor.findings(around(nvidia=Nvidia("570.1", problem=problem, windows=windows)))
    assert words in first.remedy


def test_the_tools_are_those_of_the_engine_that_is_used() -> None:
    assert around().tools() == Tools(("docker",))
    embedded = around(engine=Status(None, (), True, True, "embedded", "cdi"), podman="podman 5").tools()
    assert embedded.docker is not None
    assert embedded.docker[0].startswith("DOCKER_HOST=unix:///run/assay-")
    assert (embedded.gpu_access, embedded.podman, embedded.network) == ("cdi", "podman 5", "host")
    assert around(engine=NO_ENGINE).tools().docker is None
