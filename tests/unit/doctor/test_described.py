"""A machine by what nvidia-smi printed there, and by what is given beside."""

from __future__ import annotations

import pytest

from assay import doctor
from assay.doctor import judge
from assay.errors import UsageError
from tests.unit.doctor.images import TENSORFLOW, TORCH
from tests.unit.doctor.recorded import RECORDED, found, gpus


@pytest.mark.parametrize("name", ["table-540-orin", "table-580-gb10"])
def test_a_machine_with_an_arm_processor(name: str) -> None:
    """Jetson's driver has no number there, and needs none: no image runs."""
    machine, findings = doctor.pasted(RECORDED[name])
    assert machine.architecture == "arm64"
    assert found(findings, "processor")[0].startswith("ok: aarch64")
    assert not found(findings, "cuda")
    assert judge(machine, TORCH).runs == "no"


def test_a_name_tells_an_arm_processor_where_the_capability_does_not() -> None:
    text = "name, driver_version, compute_cap\nNVIDIA {} 480GB, 570.86.15, 9.0\n"
    assert doctor.pasted(text.format("GH200"))[0].architecture == "arm64"
    machine, findings = doctor.pasted(text.format("H100"))
    assert machine.architecture == "amd64"
    assert not found(findings, "processor")


@pytest.mark.parametrize(
    ("name", "why", "identity", "message"),
    [
        ("failed", "the driver does not answer", "driver", "NVIDIA-SMI has failed because it couldn't communicate"),
        ("mismatch", "the driver does not answer", "driver", "Driver/library version mismatch"),
        ("lost", "the driver does not answer", "driver", "GPU0000:07:00.0: Unknown Error"),
        ("none", "the driver finds no GPU", "driver", "No devices were found"),
        ("absent", "there is no nvidia-smi", "driver", "there is no nvidia-smi"),
        (
            "table-450-no-mig-device",
            "MIG is on, and there is no MIG device",
            "mig",
            "MIG is on for 1 GPU(s), with no",
        ),
    ],
)
def test_where_no_gpu_can_be_used(name: str, why: str, identity: str, message: str) -> None:
    machine, (finding,) = doctor.pasted(RECORDED[name])
    assert judge(machine, TORCH) == doctor.Answer("cpu", why)
    assert finding.id == identity
    assert message in finding.message
    assert finding.remedy


def test_a_gpu_that_mig_is_on_for_without_a_device_is_left_out() -> None:
    """Of two GPUs, so that the other one is of use; and with the driver's number."""
    text = RECORDED["table-510-mig"].split("| MIG devices:")[0] + "|  No MIG devices found    |"
    machine, findings = doctor.pasted(text)
    assert gpus(machine) == ["NVIDIA A100-SXM...: 8.0, 80"]
    assert found(findings, "mig") == ["fail: MIG is on for 1 GPU(s), with no MIG device"]


@pytest.mark.parametrize(
    ("text", "what", "todo"),
    [
        ("", "nothing came on standard input", "nvidia-smi 2>&1 | assay doctor -"),
        (" \n\t\n", "nothing came on standard input", ""),
        ("Total: 3 GPUs, driver fine", "is not of nvidia-smi: 'Total: 3 GPUs, driver fine'", "--query-gpu=name,"),
        ("name\nBob\nname, age\nBob, 8.6\n", "is not of nvidia-smi", ""),
        ("NVIDIA GPUs are fast, 8.6 times faster", "is not of nvidia-smi", ""),
        ('{"gpus": [{"name": "NVIDIA H100"}]}', "is not of nvidia-smi", ""),
        (RECORDED["list-two"], "does not say the driver's version", "Add --driver VERSION"),
        (RECORDED["list-mig"], "does not say the driver's version", "Add --driver VERSION"),
        (RECORDED["version-610"], "names no GPU", "Add --compute-capability X.Y"),
        (RECORDED["q-580-no-cuda"], "names no GPU", "Add --compute-capability X.Y"),
        (RECORDED["table-331"], "compute capability of GeForce GTX 680 is not known", "Add --compute-capability X.Y"),
        (
            RECORDED["table-470-cut"],
            "capability of NVIDIA GeForce ... is not known",
            "--query-gpu=name,driver_version",
        ),
        (
            RECORDED["table-580-two"] + RECORDED["table-610-b200"],
            "several drivers: 580.82.09, 610.43.02",
            "one machine",
        ),
        (
            'Field "compute_cap" is not a valid field to query.\n',
            "does not know the field 'compute_cap'",
            "nvidia-smi -q",
        ),
    ],
)
def test_where_there_is_no_answer(text: str, what: str, todo: str) -> None:
    with pytest.raises(UsageError) as raised:
        doctor.pasted(text)
    assert what in raised.value.what
    assert todo in raised.value.todo


@pytest.mark.parametrize(
    ("name", "driver", "capabilities", "theirs"),
    [
        ("list-two", "570.86.15", [], ["NVIDIA TITAN V: 7.0, 0", "NVIDIA RTX 5880 Ada Generation: 8.9, 0"]),
        ("list-mig", "R550", [], ["NVIDIA A100 80GB PCIe: 8.0, 0"]),
        ("version-610", None, ["8.6", "9.0"], ["GPU: 8.6, 0", "GPU: 9.0, 0"]),
        ("table-470-cut", None, ["8.6"], ["NVIDIA GeForce ...: 8.6, 8"]),
        ("table-331", None, ["3.0"], ["GeForce GTX 680: 3.0, 4"] * 2),
        ("table-331", None, ["3.0", "3.5"], ["GeForce GTX 680: 3.0, 4", "GeForce GTX 680: 3.5, 4"]),
        ("table-580-two", "550.54.14", [], ["NVIDIA GeForce RTX 5090: 12.0, 32", "NVIDIA GeForce RTX 4090: 8.9, 24"]),
    ],
)
def test_what_the_text_lacks_is_given(
    name: str, driver: str | None, capabilities: list[str], theirs: list[str]
) -> None:
    machine, findings = doctor.pasted(RECORDED[name], driver, capabilities)
    assert gpus(machine) == theirs
    assert machine.driver
    assert found(findings, "driver")
    # With another driver than the one that lists a GPU, the table says whether it knows that GPU.
    assert machine.seen == (driver is None and name != "version-610")


def test_another_driver_than_that_of_the_text_is_asked_by_the_table() -> None:
    machine, _ = doctor.pasted(RECORDED["table-580-two"], "550.54.14")
    assert machine.cuda is None
    verdict = judge(machine, TENSORFLOW)
    assert verdict.runs == "gpu"
    assert "does not know compute capability 12.0, which needs driver 570.26" in verdict.notes[0]


@pytest.mark.parametrize(("name", "capabilities"), [("table-580-two", ["8.9"]), ("table-331", ["3.0", "3.0", "3.0"])])
def test_capabilities_that_no_gpu_lacks(name: str, capabilities: list[str]) -> None:
    with pytest.raises(UsageError, match="compute capabilities are given") as raised:
        doctor.pasted(RECORDED[name], None, capabilities)
    assert "once for all of them" in raised.value.todo


def test_one_gpu_of_several_may_be_unknown() -> None:
    text = RECORDED["table-580-two"].replace("RTX 4090", "XYZ 9999")
    machine, findings = doctor.pasted(text)
    assert gpus(machine) == ["NVIDIA GeForce RTX 5090: 12.0, 32"]
    assert any(message.startswith("warn: NVIDIA GeForce XYZ 9999") for message in found(findings, "gpu"))
    assert gpus(doctor.pasted(text, None, ["8.9"])[0])[1] == "NVIDIA GeForce XYZ 9999: 8.9, 24"


@pytest.mark.parametrize(
    ("named", "state"),
    [
        ("N/A", "warn: nvidia-smi finds no CUDA library"),
        ("ERR!", "warn: nvidia-smi finds no CUDA library"),
        ("13.1", "ok: nvidia-smi names CUDA 13.1, newer than the driver: cuda-compat"),
    ],
)
def test_a_cuda_version_that_is_not_the_drivers(named: str, state: str) -> None:
    machine, findings = doctor.pasted(
        RECORDED["table-580-two"].replace("CUDA Version: 13.0", f"CUDA Version: {named}")
    )
    assert machine.cuda is None
    (message,) = found(findings, "cuda")
    assert message.startswith(state)


def test_a_lost_gpu_beside_others_is_said() -> None:
    lost = "Unable to determine the device handle for gpu 0000:02:00.0: GPU is lost."
    machine, findings = doctor.pasted(f"{RECORDED['table-580-two']}\n{lost}\n")
    assert len(machine.gpus) == 2
    assert f"warn: {lost}" in found(findings, "gpu")
