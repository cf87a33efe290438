"""What a GPU's name says of it."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.doctor import names
from assay.doctor.cuda import Code, dotted

LISTED = [name for names_ in tomllib.loads(names._TABLE.read_text())["capabilities"].values() for name in names_]


@pytest.mark.parametrize(
    ("name", "capability"),
    [
        # as nvidia-smi prints them
        ("Tesla K80", "3.7"),
        ("GeForce GTX TITAN X", "5.2"),
        ("NVIDIA TITAN X (Pascal)", "6.1"),
        ("GeForce GTX 1080 Ti", "6.1"),
        ("NVIDIA GeForce GTX 1060 6GB", "6.1"),
        ("NVIDIA GeForce GTX 960M", "5.0"),
        ("NVIDIA GeForce GTX 960", "5.2"),
        ("Tesla P100-SXM2-16GB", "6.0"),
        ("Quadro P1000", "6.1"),
        ("Tesla V100-SXM2-32GB", "7.0"),
        ("Tesla T4", "7.5"),
        ("NVIDIA T400 4GB", "7.5"),
        ("NVIDIA GeForce GTX 1650 with Max-Q Design", "7.5"),
        ("NVIDIA GeForce RTX 2080 SUPER", "7.5"),
        ("NVIDIA GeForce RTX 2050", "8.6"),
        ("Quadro RTX 6000", "7.5"),
        ("NVIDIA RTX A6000", "8.6"),
        ("NVIDIA RTX 6000 Ada Generation", "8.9"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "12.0"),
        ("NVIDIA RTX 4000 SFF Ada Generation", "8.9"),
        ("NVIDIA A100-SXM4-80GB", "8.0"),
        ("A100-SXM4-40GB", "8.0"),
        ("NVIDIA A100 80GB PCIe", "8.0"),
        ("NVIDIA A10", "8.6"),
        ("NVIDIA A10G", "8.6"),
        ("NVIDIA A30", "8.0"),
        ("NVIDIA A40-48Q", "8.6"),
        ("GRID T4-8Q", "7.5"),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", "8.0"),
        ("NVIDIA GeForce RTX 3050 Laptop GPU", "8.6"),
        ("NVIDIA GeForce RTX 3050 A Laptop GPU", "8.9"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "8.9"),
        ("NVIDIA L4", "8.9"),
        ("NVIDIA L40S", "8.9"),
        ("NVIDIA H100 80GB HBM3", "9.0"),
        ("NVIDIA H100 PCIe", "9.0"),
        ("NVIDIA H200 NVL", "9.0"),
        ("NVIDIA GH200 480GB", "9.0"),
        ("NVIDIA B200", "10.0"),
        ("NVIDIA B300 SXM6 AC", "10.3"),
        ("NVIDIA GeForce RTX 5090 D", "12.0"),
        ("NVIDIA GB10", "12.1"),
        ("Orin (nvgpu)", "8.7"),
        ("NVIDIA Thor", "11.0"),
        # cut off by the table
        ("NVIDIA GeForce RTX 2080 ...", "7.5"),
        ("GeForce RTX 207...", "7.5"),
        ("NVIDIA A100-SXM...", "8.0"),
        ("Tesla V100-SXM2...", "7.0"),
        ("NVIDIA RTX 4000 SFF Ada ...", "8.9"),
        ("NVIDIA RTX PRO 6000 Blac...", "12.0"),
    ],
)
def test_a_name_that_is_known(name: str, capability: str) -> None:
    found = names.capability(name)
    assert found
    assert dotted(found) == capability


@pytest.mark.parametrize(
    "name",
    [
        *("", "NVIDIA", "NVIDIA GeForce", "NVIDIA GeForce RTX", "NVIDIA Graphics Device", "GeForce GTX 680", "A1000"),
        *("T40", "NVIDIA RTX 6000", "NVIDIA GeForce RTX 9090", "[N/A]", "Unknown Error"),
        # cut off where several could follow
        *("NVIDIA GeForce ...", "NVIDIA ...", "...", "NVIDIA A10...", "NVIDIA GeForce GTX 9..."),
        "NVIDIA GeForce RTX 3050 ...",
    ],
)
def test_a_name_that_says_nothing(name: str) -> None:
    assert names.capability(name) is None


@pytest.mark.parametrize(
    "name", ["NVIDIA GH200 480GB", "NVIDIA GB200", "NVIDIA GB300", "NVIDIA GB10", "Orin (nvgpu)"]
)
def test_a_name_of_a_gpu_beside_an_arm_processor(name: str) -> None:
    assert names.on_arm(name)


@pytest.mark.parametrize("name", ["NVIDIA H200", "NVIDIA B200", "NVIDIA B300 SXM6 AC", "NVIDIA G", "Tesla T4", ""])
def test_a_name_that_says_nothing_of_the_processor(name: str) -> None:
    assert not names.on_arm(name)


def test_no_gpu_is_listed_twice_and_those_on_arm_have_a_capability() -> None:
    table = tomllib.loads(names._TABLE.read_text())
    assert len(LISTED) == len(set(LISTED))
    assert set(table["arm64"]) <= set(LISTED)
    for text, each in table["capabilities"].items():
        for name in each:
            assert names.capability(f"NVIDIA {name}") == Code.parse(text).capability, name


@given(st.sampled_from(LISTED), st.integers(1, 20))
def test_a_name_that_is_cut_off_never_says_another_thing_than_the_whole(name: str, length: int) -> None:
    cut = names.capability(f"NVIDIA {name[:length]}...")
    assert cut is None or cut == names.capability(name)
