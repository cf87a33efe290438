"""What libcuda and NVML answer, asked of made-up ones."""

from __future__ import annotations

import faulthandler
import os
import signal
import time
from pathlib import Path

import pytest

from smoke.machine import driver
from smoke.machine.driver import Driver, Gpu

GOOD = Driver("580.65.06", True, "580.65.06", (13, 2), (Gpu("NVIDIA H100", (9, 0)),))


class FakeCuda:
    def __init__(self, init=0, capability=(9, 0)):
        self.init, self.capability = init, capability

    def cuInit(self, flags):
        return self.init

    def cuDriverGetVersion(self, out):
        out._obj.value = 13020
        return 0

    def cuDeviceGetCount(self, out):
        out._obj.value = 1
        return 0

    def cuDeviceGet(self, out, index):
        return 0

    def cuDeviceGetName(self, name, size, device):
        name.value = b"NVIDIA H100"
        return 0

    def cuDeviceGetAttribute(self, out, which, device):
        out._obj.value = self.capability[which - 75]
        return 0


class FakeNvml:
    def nvmlInit_v2(self):
        return 0

    def nvmlSystemGetDriverVersion(self, text, size):
        text.value = b"580.65.06"
        return 0

    def nvmlDeviceGetCount_v2(self, out):
        out._obj.value = 1
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index, out):
        return 0

    def nvmlDeviceGetName(self, handle, text, size):
        text.value = b"NVIDIA H100 80GB"
        return 0

    def nvmlShutdown(self):
        return 0


def loader(**libraries):
    def load(name):
        stem = name.partition(".")[0]
        if stem.replace("-", "_") not in libraries:
            raise OSError(name)
        return libraries[stem.replace("-", "_")]

    return load


def ask(tmp_path, load, seconds=20.0):
    return driver.ask(tmp_path, load, seconds)


def test_everything_is_asked_in_another_process(tmp_path):
    (tmp_path / "driver/nvidia").mkdir(parents=True)
    text = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\n"
    (tmp_path / "driver/nvidia/version").write_text(text)
    assert ask(tmp_path, loader(libcuda=FakeCuda(), libnvidia_ml=FakeNvml())) == GOOD


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\n", "535.104.05"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\n", "580.65.06"),
        ("something else\n", "unknown"),
    ],
)
def test_the_kernel_module_says_its_version(tmp_path, text, version):
    (tmp_path / "driver/nvidia").mkdir(parents=True)
    (tmp_path / "driver/nvidia/version").write_text(text)
    assert driver.kernel_module(tmp_path) == version


def test_without_nvml_libcuda_alone_answers(tmp_path):
    found = ask(tmp_path, loader(libcuda=FakeCuda()))
    assert (found.version, found.gpus) == ("", GOOD.gpus)


def test_without_libcuda_nvml_still_names_the_gpus(tmp_path):
    found = ask(tmp_path, loader(libnvidia_ml=FakeNvml()))
    assert (found.library, found.gpus) == (False, (Gpu("NVIDIA H100 80GB"),))


def test_nothing_at_all(tmp_path):
    assert ask(tmp_path, loader()) == Driver()


def test_cuda_that_refuses_says_why(tmp_path):
    found = ask(tmp_path, loader(libcuda=FakeCuda(init=803)))
    assert "different versions" in found.problem
    assert not found.gpus


def test_a_stub_of_libcuda_is_no_driver(tmp_path):
    assert ask(tmp_path, loader(libcuda=FakeCuda(init=34))) == Driver()


def test_a_driver_that_crashes_or_hangs_is_an_answer_too(tmp_path):
    def crash(name):
        faulthandler.disable()  # pytest's, which the process inherits: this crash is no alarm
        os.kill(os.getpid(), signal.SIGSEGV)

    assert "ended the process" in ask(tmp_path, crash).problem
    assert "does not answer" in ask(tmp_path, lambda name: time.sleep(60), seconds=0.1).problem


def test_a_process_that_cannot_be_started_is_an_answer_too(tmp_path, monkeypatch):
    def refuse():
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refuse)
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert "no process can be started" in driver.ask(tmp_path).problem
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_library_without_the_calls_is_an_answer_too(tmp_path):
    assert "ended the process" in ask(tmp_path, loader(libcuda=object())).problem
