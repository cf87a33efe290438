"""Which image runs where: NVIDIA's rules, case by case."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.doctor import Answer, Certified, Gpu, Machine, judge, order
from assay.doctor.cuda import Code, Library
from assay.doctor.drivers import LINUX, WINDOWS
from tests.unit.doctor.images import CAFFE, MXNET, TENSORFLOW, THEANO, TORCH, image, library, on


@pytest.mark.parametrize(
    ("driver", "capability", "facts", "runs", "why"),
    [
        # minor-version compatibility: a whole major, from its first driver on, and everything older
        ("580.65.06", "9.0", TORCH, "gpu", "code and driver serve GPU (9.0)"),
        ("595.45.04", "9.0", TORCH, "gpu", ""),
        ("580", "9.0", TORCH, "gpu", ""),
        ("579.99.99", "9.0", TORCH, "cpu", "serves CUDA up to 12.x, and CUDA 13.2 needs driver 580 or later"),
        ("535.104.05", "9.0", TORCH, "cpu", "driver 535.104.05 serves CUDA up to 12.x"),
        ("535.104.05", "9.0", TENSORFLOW, "gpu", ""),
        ("525.60.13", "9.0", TENSORFLOW, "gpu", ""),
        ("525.60.12", "9.0", TENSORFLOW, "cpu", "serves CUDA up to 11.x, and CUDA 12.9 needs driver 525.60.13"),
        ("525", "9.0", TENSORFLOW, "gpu", ""),
        ("520.61.05", "9.0", TENSORFLOW, "cpu", "serves CUDA up to 11.x"),
        ("450.80.02", "8.0", MXNET, "gpu", ""),
        ("450.80.01", "8.0", MXNET, "cpu", "serves CUDA up to 11.0, and CUDA 11.8 needs driver 450.80.02 or later"),
        ("440.33.01", "7.5", MXNET, "cpu", "serves CUDA up to 10.2"),
        ("390.157", "7.5", MXNET, "cpu", "serves no CUDA that is known here"),
        ("615.10", "8.6", MXNET, "gpu", ""),
        # machine code: its own major from its minor up
        ("580.65.06", "8.7", MXNET, "gpu", ""),
        ("580.65.06", "9.0", MXNET, "cpu", "no machine code for compute capability 9.0; served: 5.0, 5.2, 6.0"),
        ("580.65.06", "12.0", MXNET, "cpu", "no machine code for compute capability 12.0"),
        ("580.65.06", "7.0", TORCH, "cpu", "no machine code for compute capability 7.0"),
        ("580.65.06", "7.5", TORCH, "gpu", ""),
        # PTX: whatever is not older, by a driver that knows the toolkit
        ("580.65.06", "12.0", TENSORFLOW, "gpu", ""),
        ("570.26", "12.0", TENSORFLOW, "gpu", ""),
        ("520.61.05", "9.0", CAFFE, "gpu", ""),
        ("580.65.06", "12.0", CAFFE, "gpu", ""),
        ("580.65.06", "7.0", CAFFE, "cpu", "no machine code for compute capability 7.0"),
        # code that is made when the framework runs, for the very GPU that is there
        ("520.61.05", "9.0", THEANO, "gpu", ""),
        ("515.65.01", "8.6", THEANO, "cpu", "only PTX of CUDA 11.8, which driver 515.65.01 cannot compile"),
        ("580.65.06", "8.7", THEANO, "cpu", "no machine code for compute capability 8.7; served: 5.0, 8.6, 9.0"),
        ("580.65.06", "12.0", THEANO, "cpu", "no machine code for compute capability 12.0"),
        # GPUs that a driver does not know yet, or no longer
        ("550.54.14", "12.0", TENSORFLOW, "cpu", "does not know compute capability 12.0, which needs driver 570.26"),
        ("550", "12.0", TENSORFLOW, "cpu", "driver 550 does not know compute capability 12.0"),
        ("570", "12.1", TENSORFLOW, "cpu", "needs driver 575.51.03 or later"),
        ("580.95.05", "6.1", TENSORFLOW, "gpu", ""),
        ("585.10", "6.1", TENSORFLOW, "gpu", ""),
        ("590.44.01", "6.1", TENSORFLOW, "cpu", "no longer knows compute capability 6.1: 580 was the last to"),
        ("590.44.01", "7.0", TENSORFLOW, "cpu", "no longer knows"),
        ("590.44.01", "7.5", TENSORFLOW, "gpu", ""),
    ],
)
def test_a_machine_and_an_image(driver: str, capability: str, facts: Certified, runs: str, why: str) -> None:
    verdict = judge(on(driver, capability), facts)
    assert verdict.runs == runs, verdict
    assert why in verdict.why


def test_ptx_of_a_toolkit_that_the_driver_does_not_know_is_of_no_use() -> None:
    """With the machine code of the same image the driver has no trouble: minor-version cuda."""
    facts = dataclasses.replace(CAFFE, toolkit=(11, 8))
    seen = on("515.65.01", "9.0", seen=True)  # as if it knew the GPU
    assert judge(seen, facts) == Answer(
        "cpu",
        "for compute capability 9.0 there is only PTX of CUDA 11.8, which driver 515.65.01 cannot compile; "
        "driver 520.61.05 or later can",
    )
    assert judge(on("515.65.01", "8.6", seen=True), facts).runs == "gpu"
    unknown = dataclasses.replace(facts, toolkit=(19, 0))
    assert "a newer one can" in judge(on("615.10", "9.0"), unknown).why


def test_a_toolkit_between_two_that_are_known_counts_as_the_later() -> None:
    """There is no CUDA 12.7 in the table."""
    facts = dataclasses.replace(TENSORFLOW, toolkit=(12, 7))
    assert judge(on("560.28.03", "12.0", seen=True), facts).runs == "cpu"
    assert judge(on("570.26", "12.0"), facts).runs == "gpu"


@pytest.mark.parametrize(
    ("machine", "facts", "runs", "why"),
    [
        (Machine(), TORCH, "cpu", "there is no NVIDIA GPU"),
        (Machine(driver=(580, 65, 6)), TORCH, "cpu", "the driver lists no GPU"),
        (Machine(driver=(580, 65, 6), obstacle="it sleeps"), TORCH, "cpu", "it sleeps"),
        (Machine(gpus=(Gpu("GPU", (9, 0)),)), TORCH, "cpu", "there is no NVIDIA driver"),
        (on("580", "9.0"), dataclasses.replace(TORCH, cuda=None), "cpu", "it has no CUDA"),
        (on("580", "9.0"), image("13.2"), "cpu", "its framework has no code for any GPU"),
        (Machine(architecture="arm64"), TORCH, "no", "it is built for amd64, and this machine is arm64"),
        (Machine(), dataclasses.replace(TORCH, levels={}), "no", "amounts to E0 only"),
        (
            on("580", "9.0"),
            dataclasses.replace(TORCH, levels={"cpu": "E1"}, shortcoming="P2.train.f32: too far"),
            "no",
            "its certificate amounts to E1 only: P2.train.f32: too far",
        ),
        (on("580", "9.0"), dataclasses.replace(TORCH, levels={"gpu": "E3"}), "gpu", ""),
    ],
)
def test_what_does_without_a_gpu_and_what_does_not_run(
    machine: Machine, facts: Certified, runs: str, why: str
) -> None:
    verdict = judge(machine, facts)
    assert verdict.runs == runs
    assert why in verdict.why


def test_a_cuda_that_is_newer_than_this_table_goes_by_its_certificate() -> None:
    facts = image("14.0", library("9.0"), wholly="9.0", least_driver=(650, 10))
    assert judge(on("650.10", "9.0"), facts).runs == "gpu"
    assert "CUDA 14.0 needs driver 650.10 or later" in judge(on("595.45.04", "9.0"), facts).why
    nothing = dataclasses.replace(facts, least_driver=())
    assert judge(on("650.10", "9.0"), nothing) == Answer("cpu", "which driver CUDA 14.0 needs is not known")


def test_a_gpu_that_the_driver_lists_is_one_that_it_knows() -> None:
    assert judge(on("550.54.14", "12.0"), TENSORFLOW).runs == "cpu"
    facts = dataclasses.replace(TENSORFLOW, toolkit=(12, 4))
    assert judge(on("550.54.14", "12.0", seen=True), facts).runs == "gpu"


def test_several_gpus_of_which_one_is_of_use() -> None:
    verdict = judge(on("580.65.06", "9.0", "6.1"), TORCH)
    assert verdict.runs == "gpu"
    assert verdict.why == "code and driver serve GPU (9.0)"
    assert verdict.notes[0].startswith("not on all of the GPUs: no machine code for compute capability 6.1")
    assert judge(on("580.65.06", "6.0", "6.1"), TORCH).why.count("no machine code") == 2


@pytest.mark.parametrize(
    ("driver", "capability", "facts", "note"),
    [
        ("580.65.06", "7.5", TORCH, "a part of its code does not serve compute capability 7.5"),
        ("580.65.06", "9.0", TORCH, "driver 580.65.06 came with CUDA 13.0: CUDA 13.2 runs by minor-version"),
        ("580.65.06", "12.0", TENSORFLOW, "served by PTX: the driver compiles it"),
        ("580.65.06", "6.1", TENSORFLOW, "CUDA's own libcudnn_ops have no code for compute capability 6.1"),
        ("525", "9.0", TENSORFLOW, "any release of branch 525 was assumed; it has to be driver 525.60.13 or later"),
        ("595.45.04", "9.0", TORCH, "certified on the CPU; that it runs on the GPU follows from"),
        ("595.45.04", "9.0", dataclasses.replace(TORCH, certified_on=("NVIDIA H100",)), "certified on NVIDIA H100"),
        (
            "595.45.04",
            "9.0",
            dataclasses.replace(TORCH, levels={"cpu": "E2", "gpu": "E1"}),
            "its certificate on a GPU amounts to E1 only",
        ),
    ],
)
def test_what_else_is_worth_knowing(driver: str, capability: str, facts: Certified, note: str) -> None:
    verdict = judge(on(driver, capability), facts)
    assert verdict.runs == "gpu"
    assert any(note in one for one in verdict.notes), verdict.notes


def test_nothing_is_noted_without_a_reason() -> None:
    assert len(judge(on("595.45.04", "9.0"), TORCH).notes) == 1
    assert len(judge(on("595.45.04", "9.0"), TENSORFLOW).notes) == 1


def test_the_newest_that_runs_comes_first() -> None:
    machine = on("580.65.06", "9.0")
    old = dataclasses.replace(TENSORFLOW, image="old", python="3.9")
    new = dataclasses.replace(TENSORFLOW, image="new", python="3.13")
    broken = dataclasses.replace(TORCH, image="broken", levels={})
    images = [broken, MXNET, old, new, TORCH, dataclasses.replace(TORCH, image="b")]
    found = sorted(images, key=lambda one: order(one, judge(machine, one)))
    assert [one.image for one in found] == ["b", "one", "new", "old", "one", "broken"]
    assert found[4] == MXNET


CAPABILITIES = st.tuples(st.integers(0, 20), st.integers(0, 9))

CODES = st.builds(Code, CAPABILITIES, st.sampled_from(["", "a", "f"]))

LIBRARIES = st.builds(
    Library, st.sampled_from(["libx.so", "libcudnn_ops.so.9"]), st.frozensets(CODES), st.frozensets(CODES)
)

CUDA = st.none() | st.tuples(st.integers(0, 20), st.integers(0, 20))

FACTS = st.builds(
    Certified,
    image=st.text(),
    digest=st.text(),
    reference=st.text(),
    cuda=CUDA,
    toolkit=CUDA,
    least_driver=st.lists(st.integers(0, 999), max_size=3).map(tuple),
    libraries=st.lists(LIBRARIES, max_size=3).map(tuple),
    wholly=st.frozensets(CAPABILITIES),
    partly=st.frozensets(CAPABILITIES),
    levels=st.dictionaries(st.sampled_from(["cpu", "gpu"]), st.sampled_from(["E0", "E1", "E2", "E3", "E4"])),
)

DRIVERS = st.lists(st.integers(0, 999), min_size=1, max_size=4).map(tuple)

MACHINES = st.builds(
    Machine,
    driver=st.none() | DRIVERS,
    gpus=st.lists(st.builds(Gpu, st.text(), CAPABILITIES), max_size=3).map(tuple),
    seen=st.booleans(),
)


@given(MACHINES, FACTS)
def test_every_machine_and_image_has_a_verdict_with_a_reason(machine: Machine, facts: Certified) -> None:
    verdict = judge(machine, facts)
    assert verdict.why
    assert (verdict.runs == "no") == (not any(level >= "E2" for level in facts.levels.values()))
    if verdict.runs == "gpu":
        assert machine.driver
        assert facts.cuda
        assert machine.gpus
    sorted([(facts, verdict)] * 2, key=lambda pair: order(*pair))


REAL = st.sampled_from([TORCH, TENSORFLOW, MXNET, CAFFE])

REAL_GPUS = st.sampled_from([(7, 5), (8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (10, 3), (12, 0), (12, 1)])


@given(REAL, REAL_GPUS, st.booleans(), st.data())
def test_a_newer_driver_loses_nothing_that_it_knows(
    facts: Certified, gpu: tuple[int, int], windows: bool, data: st.DataObject
) -> None:
    """Drivers are backward compatible: what runs with one runs with every later one that still knows the GPU."""
    table = st.sampled_from(sorted((WINDOWS if windows else LINUX).toolkit.values()))
    older, newer = (
        judge(Machine(driver=driver, gpus=(Gpu("GPU", gpu),), windows=windows), facts).runs
        for driver in sorted([data.draw(table), data.draw(table)])
    )
    assert (older, newer) != ("gpu", "cpu")


@pytest.mark.parametrize(
    ("driver", "capability", "facts", "runs", "why"),
    [
        ("528.33", "8.6", TENSORFLOW, "gpu", ""),
        ("527.56", "8.6", TENSORFLOW, "cpu", "serves CUDA up to 11.x, and CUDA 12.9 needs driver 528.33 or later"),
        ("452.39", "8.0", MXNET, "gpu", ""),
        ("452.06", "8.0", MXNET, "cpu", "driver 452.06 serves CUDA up to 11.0, and CUDA 11.8 needs driver 452.39"),
        ("581.80", "9.0", TORCH, "gpu", ""),
        ("576.88", "9.0", TORCH, "cpu", "and CUDA 13.2 needs driver 580 or later"),
        ("570.65", "12.0", TENSORFLOW, "gpu", ""),
        ("570.50", "12.0", TENSORFLOW, "cpu", "compute capability 12.0, which needs driver 570.65 or later"),
        ("522.06", "9.0", CAFFE, "gpu", ""),  # by PTX of CUDA 11.2
        ("591.44", "6.1", TENSORFLOW, "cpu", "no longer knows compute capability 6.1: 580 was the last to"),
        ("582.16", "6.1", TENSORFLOW, "gpu", ""),
    ],
)
def test_a_driver_of_windows_and_an_image(
    driver: str, capability: str, facts: Certified, runs: str, why: str
) -> None:
    verdict = judge(dataclasses.replace(on(driver, capability), windows=True), facts)
    assert verdict.runs == runs, verdict
    assert why in verdict.why


def test_what_the_driver_says_of_its_cuda_is_better_than_the_table() -> None:
    """551.23 of Windows is older than the driver that CUDA 12.4 came with, and says that it has CUDA 12.4."""
    facts = dataclasses.replace(CAFFE, toolkit=(12, 4), cuda=(12, 4))
    machine = dataclasses.replace(on("551.23", "9.0", seen=True), windows=True)
    assert "cannot compile; driver 551.61 or later can" in judge(machine, facts).why
    told = judge(dataclasses.replace(machine, cuda=(12, 4)), facts)
    assert told.runs == "gpu"
    assert not any("minor-version" in note for note in told.notes)
    newer = dataclasses.replace(facts, cuda=(12, 9))
    assert any(
        "551.23 came with CUDA 12.4" in n for n in judge(dataclasses.replace(machine, cuda=(12, 4)), newer).notes
    )
