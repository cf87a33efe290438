"""What this machine's programs and files say. The lines are as NVIDIA documents and prints them."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from assay.host import gpus, process
from assay.host.gpus import Listed
from assay.host.process import Completed
from assay.scripts import nvml

GIB = 2**30
# --query-gpu=name,driver_version,compute_cap,memory.total --format=csv,noheader
ONE = "NVIDIA L40S, 580.173.02, 8.9, 46068 MiB\n"
FOUR = "NVIDIA RTX A6000, 570.181, 8.6, 49140 MiB\n" * 4
MIXED = "NVIDIA H100 80GB HBM3, 550.54.14, 9.0, 81559 MiB\nNVIDIA GB10, 550.54.14, [N/A], [N/A]\n"
# What it says when it cannot answer.
MISMATCH = "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 570.181\n"
NO_DRIVER = (
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA "
    "driver is installed and running.\n\n"
)
OLD = 'Field "compute_cap" is not a valid field to query.\n\n'
NONE = "No devices were found\n"


def test_what_nvidia_smi_lists() -> None:
    assert gpus.listed(ONE) == ("580.173.02", (Listed("NVIDIA L40S", (8, 9), 46068 << 20),))
    driver, four = gpus.listed(FOUR)
    assert driver == "570.181"
    assert len(four) == 4
    assert gpus.listed(MIXED)[1][1] == Listed("NVIDIA GB10", None, 0)


@pytest.mark.parametrize("said", [MISMATCH, NO_DRIVER, OLD, NONE, "", "name, driver_version, compute_cap\n", ",,,\n"])
def test_what_is_no_list(said: str) -> None:
    assert gpus.listed(said) == ("", ())


def test_a_name_may_have_commas_and_a_driver_may_list_nothing() -> None:
    assert gpus.listed("Odd, name, 570.181, 8.6, 1 MiB")[1][0].name == "Odd, name"
    assert gpus.listed("-, 570.181, -, -") == ("570.181", ())
    assert gpus.listed(", 570.181, 8.6, 1 MiB")[1][0].name == "GPU"


@given(st.text() | st.lists(st.text(), min_size=4, max_size=4).map(", ".join))
@example("x, 1.1, \u0661.0, 5 MiB")
@example("x, 99999999999.1, 1.0, 5 MiB")
@example("x, 1.1, 1.0, 99999999999999999999 MiB")
def test_whatever_it_prints_gives_a_list(said: str) -> None:
    driver, listed = gpus.listed(said)
    assert bool(driver) >= bool(listed)
    for gpu in listed:
        assert gpu.name
        assert 0 <= gpu.memory < 2**60


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\n", "535.104.05"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\n", "580.65.06"),
        ("", ""),
        ("NVRM version: something else", ""),
    ],
)
def test_the_kernels_module(text: str, version: str) -> None:
    assert gpus.kernel_module(text) == version


@given(st.text())
def test_any_text_of_the_module_is_a_version_or_none(text: str) -> None:
    assert gpus.kernel_module(f"Kernel Module  {text}") == "" or text


# ---- which of the two is asked, and what is made of it ----------------------------------------------


@pytest.fixture
def asking(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Answers for nvidia-smi and for NVML's script, and what was asked."""
    answers = {"nvidia-smi": Completed(127, "", "nvidia-smi: not found"), "nvml": Completed(1, "", "")}
    asked: list[str] = []

    def run(argv: list[str], **_: Any) -> Completed:
        which = "nvml" if argv[0] == sys.executable else argv[0]
        asked.append(which)
        return answers.get(which, Completed(127, "", ""))

    monkeypatch.setattr(process, "run", run)
    return SimpleNamespace(answers=answers, asked=asked)


def looked(tmp_path: Path) -> gpus.Nvidia:
    return gpus.nvidia(tmp_path / "proc", tmp_path / "bus")


def test_nvidia_smi_is_enough(asking: Any, tmp_path: Path) -> None:
    asking.answers["nvidia-smi"] = Completed(0, ONE, "")
    found = looked(tmp_path)
    assert (found.driver, found.problem, len(found.gpus)) == ("580.173.02", "", 1)
    assert asking.asked == ["nvidia-smi"]


def test_that_of_wsl_is_found_where_sudo_does_not_look(asking: Any, tmp_path: Path) -> None:
    asking.answers["/usr/lib/wsl/lib/nvidia-smi"] = Completed(0, ONE.replace("580.173.02", "581.80"), "")
    release = tmp_path / "proc/sys/kernel/osrelease"
    release.parent.mkdir(parents=True)
    release.write_text("5.15.146.1-microsoft-standard-WSL2\n")
    found = looked(tmp_path)
    assert (found.driver, found.windows, len(found.gpus)) == ("581.80", True, 1)
    release.write_text("6.1.0-18-amd64\n")
    assert not looked(tmp_path).windows


@pytest.mark.parametrize(
    "smi", [Completed(127, "", ""), Completed(2, OLD, ""), Completed(0, MIXED, ""), Completed(124, "", "no end")]
)
def test_nvml_is_asked_where_nvidia_smi_does_not_say(asking: Any, tmp_path: Path, smi: Completed) -> None:
    asking.answers |= {"nvidia-smi": smi, "nvml": Completed(0, ONE, "")}
    found = looked(tmp_path)
    assert (found.driver, found.problem) == ("580.173.02", "")
    assert found.gpus[0].capability == (8, 9)


@pytest.mark.parametrize(
    ("smi", "problem"),
    [
        (Completed(18, MISMATCH, ""), "Failed to initialize NVML: Driver/library version mismatch"),
        (Completed(9, NO_DRIVER, ""), "NVIDIA-SMI has failed because it couldn't communicate"),
        (Completed(6, NONE, ""), "No devices were found"),
        (Completed(124, "", "nvidia-smi: no end after 20 seconds"), "no end after 20 seconds"),
        (Completed(-11, "", ""), "ended with status -11"),
    ],
)
def test_a_driver_that_does_not_answer(asking: Any, tmp_path: Path, smi: Completed, problem: str) -> None:
    asking.answers["nvidia-smi"] = smi
    (tmp_path / "proc/driver/nvidia").mkdir(parents=True)
    (tmp_path / "proc/driver/nvidia/version").write_text("Kernel Module  570.181  ")
    found = looked(tmp_path)
    assert problem in found.problem
    assert (found.driver, found.kernel) == ("570.181", "570.181")


def test_no_driver_is_no_problem_but_a_gpu_on_the_bus_is_counted(asking: Any, tmp_path: Path) -> None:
    assert looked(tmp_path) == gpus.Nvidia()
    for number, vendor, kind in ((0, "0x10de", "0x030200"), (1, "0x10de", "0x040300"), (2, "0x8086", "0x030000")):
        device = tmp_path / "bus" / str(number)
        device.mkdir(parents=True)
        (device / "vendor").write_text(f"{vendor}\n")
        (device / "class").write_text(f"{kind}\n")
    assert looked(tmp_path) == gpus.Nvidia(on_bus=1)


def test_the_script_runs_by_itself_and_says_that_there_is_no_driver() -> None:
    if Path("/proc/driver/nvidia/version").exists():
        pytest.skip("this machine has a driver")
    done = process.run([sys.executable, "-I", str(Path(nvml.__file__))], timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


# ---- NVML ---------------------------------------------------------------------------------------------


class Library:
    """libnvidia-ml, as nvml.h describes it."""

    def __init__(self, gpus: int = 1, **refusing: int) -> None:
        self.gpus, self.refusing = gpus, refusing

    def __getattr__(self, name: str) -> Any:
        answer = vars(Library).get(f"_{name}", lambda *_: 0)
        return lambda *arguments: self.refusing.get(name) or answer(self, *arguments)

    def _nvmlSystemGetDriverVersion(self, buffer: Any, size: int) -> int:
        buffer.value = b"570.195.03"
        return 0

    def _nvmlDeviceGetCount_v2(self, count: Any) -> int:
        count._obj.value = self.gpus
        return 0

    def _nvmlDeviceGetName(self, device: Any, buffer: Any, size: int) -> int:
        buffer.value = b"NVIDIA GeForce RTX 4090"
        return 0

    def _nvmlDeviceGetCudaComputeCapability(self, device: Any, major: Any, minor: Any) -> int:
        major._obj.value, minor._obj.value = 8, 9
        return 0

    def _nvmlDeviceGetMemoryInfo(self, device: Any, memory: Any) -> int:
        memory._obj.total = 24564 << 20
        return 0


def said(library: Library, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    return nvml.main(), capsys.readouterr().out


def test_nvml_answers_as_nvidia_smi_does(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    status, text = said(Library(2), monkeypatch, capsys)
    assert status == 0
    assert text == "NVIDIA GeForce RTX 4090, 570.195.03, 8.9, 24564 MiB\n" * 2
    assert gpus.listed(text)[1] == (Listed("NVIDIA GeForce RTX 4090", (8, 9), 24564 << 20),) * 2


def test_nvml_without_gpus_or_answers(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert gpus.listed(said(Library(0), monkeypatch, capsys)[1]) == ("570.195.03", ())
    for refusing in ("nvmlInit_v2", "nvmlSystemGetDriverVersion", "nvmlDeviceGetCount_v2"):
        assert said(Library(**{refusing: 9}), monkeypatch, capsys) == (1, "")
    _, text = said(Library(nvmlDeviceGetCudaComputeCapability=3), monkeypatch, capsys)
    assert gpus.listed(text)[1][0].capability is None
    _, text = said(Library(nvmlDeviceGetHandleByIndex_v2=3), monkeypatch, capsys)
    assert gpus.listed(text)[1] == (Listed("GPU 0", None, 0),)
