"""What nvidia-smi prints: recordings of many versions, and whatever else a text may be."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay import doctor
from assay.doctor import Gpu, judge
from assay.doctor.cuda import dotted
from assay.errors import UsageError
from tests.unit.doctor.images import CAFFE, MXNET, TENSORFLOW, THEANO, TORCH
from tests.unit.doctor.recorded import RECORDED, found, gpus


@pytest.mark.parametrize(
    ("name", "driver", "cuda", "theirs"),
    [
        ("table-410-k80", "410.104", "10.0", ["Tesla K80: 3.7, 11"]),
        ("table-450-titan", "450.57", "11.0", ["TITAN Xp: 6.1, 12"]),
        ("table-510-mig", "510.47.03", "11.6", ["NVIDIA A100-SXM...: 8.0, 80"] * 2),
        ("table-545-wsl", "546.80", "", ["NVIDIA GeForce RTX 3060 ...: 8.6, 6"]),
        ("table-570-wsl", "572.70", "12.8", ["NVIDIA GeForce RTX 5090: 12.0, 32"]),
        ("table-580-gb10", "580.126.09", "13.0", ["NVIDIA GB10: 12.1, 0"]),
        (
            "table-580-two",
            "580.82.09",
            "13.0",
            ["NVIDIA GeForce RTX 5090: 12.0, 32", "NVIDIA GeForce RTX 4090: 8.9, 24"],
        ),
        ("table-590-mig", "590.48.01", "13.1", ["NVIDIA H100 80GB HBM3: 9.0, 80"]),
        ("table-610-b200", "610.43.02", "13.3", ["NVIDIA B200: 10.0, 179"] * 2),
        ("table-610-windows", "610.62", "13.3", ["NVIDIA GeForce RTX 2080 ...: 7.5, 8"]),
        ("q-415-quoted", "415.27", "10.0", ["Quadro M2200: 5.2, 0"]),
        ("q-510-wsl", "510.06", "11.6", ["NVIDIA GeForce GTX 1660 Ti with Max-Q Design: 7.5, 0"]),
        ("q-590-mig", "590.48.01", "13.1", ["NVIDIA H100 80GB HBM3: 9.0, 80"]),
        ("q-610-windows", "610.62", "13.3", ["NVIDIA GeForce RTX 2080 SUPER: 7.5, 8"]),
        ("x-535", "535.86.05", "12.2", ["NVIDIA GeForce RTX 4090: 8.9, 0"]),
        ("csv-two", "570.86.15", "", ["NVIDIA TITAN V: 7.0, 0", "NVIDIA RTX 5880 Ada Generation: 8.9, 0"]),
    ],
)
def test_a_recording(name: str, driver: str, cuda: str, theirs: list[str]) -> None:
    machine, findings = doctor.pasted(RECORDED[name])
    assert dotted(machine.driver or ()) == driver
    assert dotted(machine.cuda or ()) == cuda
    assert gpus(machine) == theirs
    assert machine.seen
    assert machine.windows == ("wsl" in name or "windows" in name)
    assert found(findings, "driver")[0].startswith(f"ok: {driver} ")
    assert len(found(findings, "gpu")) == len(theirs)
    assert bool(found(findings, "mig")) == ("mig" in name)


@pytest.mark.parametrize(
    ("smi", "driver", "windows"),
    [("560.35.02", "560.94", True), ("560.94", "560.94", False), ("535.183.06", "535.183.01", False)],
)
def test_the_driver_is_of_windows_where_nvidia_smi_is_of_another_version(
    smi: str, driver: str, windows: bool
) -> None:
    header = f"| NVIDIA-SMI {smi}      Driver Version: {driver}      CUDA Version: 12.6 |"
    machine, _ = doctor.pasted(header, None, ["8.6"])
    assert machine.windows == windows


@pytest.mark.parametrize(
    "text",
    [
        "NVIDIA A10, 535.104.05, 8.6\n",  # noheader
        "8.6, NVIDIA A10, 535.104.05\n",
        "0, NVIDIA A10, 535.104.05, 23028 MiB\n",
        "name, driver_version, compute_cap, memory.total [MiB]\nNVIDIA A10, 535.104.05, 8.6, 23028 MiB\n",
        "name, kmd_version, compute_cap\r\nNVIDIA A10, 535.104.05, [N/A]\r\n",
        "gpu_name, driver_version\nNVIDIA A10, 535.104.05\n",
        "index, driver_version, name, mig.mode.current\n0, 535.104.05, NVIDIA A10, [N/A]\n",
    ],
)
def test_csv_of_any_columns(text: str) -> None:
    machine, _ = doctor.pasted(text)
    assert machine.driver == (535, 104, 5)
    assert [(gpu.name, gpu.capability) for gpu in machine.gpus] == [("NVIDIA A10", (8, 6))]


def test_a_list_of_processes_is_no_list_of_gpus() -> None:
    text = "gpu_name, pid, driver_version\nNVIDIA A10, 12, 535.104.05\nNVIDIA A10, 13, 535.104.05\n"
    with pytest.raises(UsageError, match="is not of nvidia-smi"):
        doctor.pasted(text)


# Lines of recordings in any order, with anything between them.
LINES = sorted({line for text in RECORDED.values() for line in text.splitlines()})
TEXTS = st.lists(st.sampled_from(LINES) | st.text(max_size=40), max_size=12).map("\n".join)
IMAGES = (TORCH, TENSORFLOW, MXNET, THEANO, CAFFE)


@given(
    st.text() | TEXTS | st.sampled_from(sorted(RECORDED.values())).flatmap(lambda text: TEXTS.map(text.__add__)),
    st.none() | st.sampled_from(["550", "551.61", "12.4", "", "580.65.06"]),
    st.lists(st.sampled_from(["8.6", "9.0", "8.7", "x"]), max_size=3),
)
def test_any_text_is_an_answer_or_two_lines(text: str, driver: str | None, capabilities: list[str]) -> None:
    refused = None
    try:
        machine, findings = doctor.pasted(text, driver, capabilities)
    except UsageError as error:
        refused = error
    if refused:
        assert refused.what
        assert refused.todo
        return
    assert findings
    assert all(bool(one.remedy) == (one.state != "ok") for one in findings)
    assert all(isinstance(gpu, Gpu) for gpu in machine.gpus)
    for image in IMAGES:
        verdict = judge(machine, image)
        assert verdict.why
        assert (verdict.runs == "no") == (machine.architecture == "arm64")
        assert verdict.runs != "gpu" or not machine.obstacle


@given(st.binary() | st.text().map(lambda text: text.encode("utf-16")))
def test_any_bytes_are_a_text(data: bytes) -> None:
    assert isinstance(doctor.decoded(data), str)


@pytest.mark.parametrize("text", ["\n" * (2**15 + 1), " " * (2**20 + 1)])
def test_a_text_that_is_far_too_long_is_not_read(text: str) -> None:
    with pytest.raises(UsageError, match="too long"):
        doctor.pasted(text)


@pytest.mark.parametrize("line", [1, 60, 2000])
@pytest.mark.parametrize("unit", ["NVIDIA-SMI ", "| 0 NVIDIA ", "<a>", "name,", " ", "GPU 0: ", "CUDA version"])
def test_the_longest_text_is_read_in_seconds(unit: str, line: int) -> None:
    lines = f"{unit * line}\n"
    began = time.monotonic()
    with pytest.raises(UsageError, match=r"nothing came|is not of nvidia-smi"):
        doctor.pasted(lines * min(2**20 // len(lines), 2**15))
    assert time.monotonic() - began < 20
