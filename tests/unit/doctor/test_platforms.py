"""An image that is certified for two processors, or built for one and declared for another."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from assay import doctor
from assay.certificate import Suites
from assay.doctor import Certified, another
from assay.doctor.compatibility import judge, served
from assay.doctor.cuda import Code, Library
from tests.conftest import ROOT

SPARK = another("580", ["12.1"])
ORIN = another("580", ["8.7"])
H100 = another("580", ["9.0"])


def library(*cubin: str, ptx: tuple[str, ...] = ()) -> Library:
    return Library("libtorch_cuda.so", frozenset(map(Code.parse, cubin)), frozenset(map(Code.parse, ptx)))


def image(architecture: str = "amd64", *libraries: Library, **more: object) -> Certified:
    found = Certified(
        image="torchy",
        digest=f"sha256:{architecture}",
        reference="assay/torchy",
        architecture=architecture,
        cuda=(13, 2),
        toolkit=(13, 2),
        least_driver=(580,),
        libraries=libraries or (library("8.0", "9.0", "12.0"),),
        wholly=frozenset({(8, 0), (9, 0), (12, 1)}),
        levels={"cpu": "E2"},
    )
    return dataclasses.replace(found, **more)  # type: ignore[arg-type]


def rows(*images: Certified, machine: doctor.Machine) -> list[tuple[str, str]]:
    answer = doctor.diagnose((list(images), []), machine)
    return [(row.image.architecture, row.answer.runs) for row in answer.rows]


def test_of_two_processors_the_machine_s_own_is_named() -> None:
    both = (image(), image("arm64"))
    assert rows(*both, machine=SPARK) == [("arm64", "gpu")]
    assert rows(*both, machine=H100) == [("amd64", "gpu")]


def test_of_another_processor_alone_it_is_said_what_to_do() -> None:
    assert rows(image(), machine=SPARK) == [("amd64", "no")]
    assert "assay build" not in judge(SPARK, image()).why
    declared = image(declares=("linux/amd64", "linux/arm64"))
    assert judge(SPARK, declared).why.endswith("assay build --platform linux/arm64 torchy")


def test_code_of_an_earlier_minor_serves_no_embedded_gpu() -> None:
    """Its own machine code and PTX do."""
    for libraries, answer in (
        (library("8.0"), "not"),
        (library("8.0", "8.7"), "partly"),
        (library("8.0", ptx=("8.0",)), "partly"),
    ):
        assert served((8, 7), image("arm64", libraries)) == answer
    assert judge(ORIN, image("arm64")).runs == "cpu"


def test_the_platforms_of_a_checkout_are_known() -> None:
    found, _ = doctor.gather(ROOT, Suites.read(ROOT))
    assert {one.architecture for one in found} == {"amd64"}
    assert any("linux/arm64" in one.declares for one in found)


def test_a_folder_without_images_declares_nothing(tmp_path: Path) -> None:
    (tmp_path / "certificates").symlink_to(ROOT / "certificates")
    found, _ = doctor.gather(tmp_path, Suites.read(ROOT))
    assert found
    assert not any(one.declares for one in found)
