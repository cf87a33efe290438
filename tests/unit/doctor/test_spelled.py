"""Drivers and compute capabilities as people write them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay import doctor
from assay.doctor import Gpu, Machine
from assay.errors import UsageError


def test_another_machine() -> None:
    assert doctor.another("550.54.14", ["9.0", "12.0"]) == Machine(
        driver=(550, 54, 14), gpus=(Gpu("GPU", (9, 0)), Gpu("GPU", (12, 0)))
    )
    assert doctor.another("550", ["8.6"]).driver == (550,)


@pytest.mark.parametrize(
    "text",
    [
        "550.54.14",
        " 550.54.14 ",
        "v550.54.14",
        "R550.54.14",
        "Driver Version: 550.54.14",
        "driver version 550.54.14",
        "KMD Version: 550.54.14",
        "NVIDIA 550.54.14",
        "nvidia-driver-550.54.14",
        "| NVIDIA-SMI 550.54.14              Driver Version: 550.54.14      CUDA Version: 12.4     |",
        "| NVIDIA-SMI 545.46                 Driver Version: 550.54.14      CUDA Version: ERR!     |",
    ],
)
def test_a_driver_however_it_is_written(text: str) -> None:
    assert doctor.another(text, ["8.6"]).driver == (550, 54, 14)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "550",
            "R550",
            "r550",
            "v550",
            "550.xx",
            "550.x",
            "550.*",
            "550.xx.xx",
            "Driver Version: 550",
            "branch 550",
        ),
        *("nvidia-driver-550", "nvidia-driver-550-server", "nvidia-driver-550-open"),
    ],
)
def test_a_branch_however_it_is_written(text: str) -> None:
    assert doctor.another(text, ["8.6"]).driver == (550,)


@pytest.mark.parametrize(
    ("text", "driver", "windows"),
    [
        ("551.61", (551, 61), True),
        ("32.0.15.6094", (560, 94), False),  # as the Device Manager of Windows writes 560.94
        ("32.0.15.7270", (572, 70), True),
        ("560.94", (560, 94), False),  # Linux could have it, and it makes no difference
    ],
)
def test_a_driver_of_windows(text: str, driver: tuple[int, ...], windows: bool) -> None:
    machine = doctor.another(text, ["8.6"])
    assert (machine.driver, machine.windows) == (driver, windows)
    assert [finding.id for finding in doctor.remarks(machine)] == (["driver"] if windows else [])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("11.8", "CUDA 11.8 came with driver 520.61.05 (Windows: 520.06)"),
        ("12.4", "CUDA 12.4 came with driver 550.54.14 (Windows: 551.61)"),
        ("12.4.1", "CUDA 12.4 came with driver 550.54.14"),
        ("13.0", "CUDA 13.0 came with driver 580.65.06 (Windows: 580)"),
        ("10.2", "CUDA 10.2 came with driver 440.33 (Windows: 441.22)"),
        ("12.7", "CUDA 12 needs driver 525.60.13 (Windows: 528.33) or later"),
        ("12", "CUDA 12 needs driver 525.60.13"),
        ("CUDA 12.4", "CUDA 12.4 came with"),
        ("cuda-12.4", "CUDA 12.4 came with"),
        ("CUDA Version: 12.4", "CUDA 12.4 came with"),
        ("v12.4", "CUDA 12.4 came with"),
        ("cu124", "CUDA 12.4 came with"),
        ("19.9", "(or `KMD Version:`)."),
    ],
)
def test_a_cuda_version_is_no_driver(text: str, words: str) -> None:
    with pytest.raises(UsageError, match="is a CUDA version, and no driver has such a number") as raised:
        doctor.another(text, ["8.6"])
    assert "`Driver Version:`" in raised.value.todo
    assert words in raised.value.todo


@pytest.mark.parametrize(
    "driver",
    [
        *("", "none", "0", "550.", "550.54.14.1.1", "-550", ">=550", "550 or 560", "55054", "173.14.39", "8.6"),
        *("\u0661", "9" * 99, "550.54.14 open"),
    ],
)
def test_what_is_no_driver(driver: str) -> None:
    with pytest.raises(UsageError, match="is no driver version"):
        doctor.another(driver, ["9.0"])


@pytest.mark.parametrize("capability", ["", "9", "9.0a", "sm_90", "ninety", "9.0.0"])
def test_what_is_no_capability(capability: str) -> None:
    with pytest.raises(UsageError, match="is no compute capability"):
        doctor.another("550", ["9.0", capability])


@given(st.text() | st.from_regex(r"(?:driver version: |v|cuda )?[0-9.]{1,12}x*", fullmatch=True), st.text())
def test_any_words_are_a_machine_or_a_usage_error(driver: str, capability: str) -> None:
    for capabilities in (["9.0"], [capability]):
        with contextlib.suppress(UsageError):
            machine = doctor.another(driver, capabilities)
            assert machine.gpus
            assert machine.driver
            assert 300 <= machine.driver[0] < 1000


@pytest.mark.parametrize(
    ("capability", "words"),
    [
        ("5.3", "Jetson Nano"),
        ("6.2", "Jetson TX2"),
        ("7.2", "Jetson Xavier"),
        ("8.7", "Jetson Orin"),
        ("11.0", "Jetson Thor"),
        ("12.1", "DGX Spark"),
    ],
)
def test_a_gpu_that_is_beside_an_arm_processor(capability: str, words: str) -> None:
    machine = doctor.another("580", ["8.6", capability])  # such a machine may have a card too
    assert machine.architecture == "arm64"
    finding, *lacks = doctor.remarks(machine)
    assert finding.state == "ok"
    assert f"aarch64: compute capability {capability} is that of {words}" in finding.message
    assert [each.id for each in lacks] == ([] if capability in {"11.0", "12.1"} else ["jetson"])


@pytest.mark.parametrize(("capability", "words"), [("9.0", "GH200"), ("10.0", "GB200"), ("10.3", "GB300")])
def test_a_gpu_that_may_be_beside_an_arm_processor(capability: str, words: str) -> None:
    machine = doctor.another("580", [capability])
    assert machine.architecture == "amd64"
    (finding,) = doctor.remarks(machine)
    assert finding.state == "warn"
    assert words in finding.message
    assert "uname -m" in finding.remedy


@pytest.mark.parametrize("capability", ["5.2", "7.5", "8.0", "8.6", "8.9", "12.0"])
def test_there_is_nothing_to_say_of_other_gpus(capability: str) -> None:
    machine = doctor.another("580", [capability])
    assert machine.architecture == "amd64"
    assert not list(doctor.remarks(machine))
