"""The rules as a table: the script that reads it gives the answers of the doctor, word for word."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import assay.site
from assay import doctor
from assay.doctor import Certified, Machine, described, names
from assay.doctor.cuda import dotted
from assay.doctor.drivers import LINUX, WINDOWS
from assay.doctor.table import ARM, NONE, decision_table
from tests import node
from tests.unit.doctor.images import CAFFE, TENSORFLOW, THEANO, TORCH, image, library

SCRIPT = Path(assay.site.__file__).with_name("templates") / "doctor.js"
MACHINES = 500
PLAIN = Certified("plain", "sha256:" + "e" * 64, "assay/plain", levels={"cpu": "E2"})
IMAGES = [
    *(
        dataclasses.replace(facts, image=name)
        for name, facts in {"tf": TENSORFLOW, "theano": THEANO, "caffe": CAFFE}.items()
    ),
    dataclasses.replace(TORCH, levels={"cpu": "E2", "gpu": "E4"}, certified_on=("NVIDIA H100",)),
    dataclasses.replace(TORCH, image="bad", levels={"cpu": "E1"}, shortcoming="P2.train.f32: {driver} <b>"),
    image("14.1", library("9.0"), wholly="9.0", image="newer", least_driver=(650, 1)),
    PLAIN,
]


@pytest.fixture(scope="module")
def table() -> dict[str, Any]:
    return decision_table(IMAGES)


def machines(count: int) -> Iterator[tuple[str, str]]:
    """Drivers and compute capabilities, half of the drivers beside one that NVIDIA's tables name."""
    chance = random.Random(20)
    named = [
        version for drivers in (LINUX, WINDOWS) for version in (*drivers.toolkit.values(), *drivers.least.values())
    ]
    for _ in range(count):
        near = list(chance.choice(named))
        near[-1] = max(near[-1] + chance.choice((-1, 0, 0, 1)), 0)
        anywhere = [chance.randint(300, 680), *(chance.randint(0, 120) for _ in range(chance.randint(0, 2)))]
        version = near if chance.random() < 0.5 and near[0] >= 300 else anywhere
        yield dotted(version), chance.choice(list(names.listed()))


def answers(machine: Machine) -> list[dict[str, Any]]:
    """What the doctor answers for each image, the best first."""
    given = sorted(((one, doctor.judge(machine, one)) for one in IMAGES), key=lambda pair: doctor.order(*pair))
    return [
        {"image": one.image, "runs": found.runs, "why": found.why, "notes": list(found.notes)} for one, found in given
    ]


def test_the_script_answers_for_five_hundred_machines_as_the_doctor_does(table: dict[str, Any]) -> None:
    asked = list(machines(MACHINES))
    told = node.evaluated(
        SCRIPT,
        "given.asked.map(([text, kind]) => found.answers(given.table, found.driver(given.table, text), kind))",
        table=table,
        asked=asked,
    )
    assert len(told) == MACHINES
    for (driver, capability), answer in zip(asked, told, strict=True):
        assert answer == answers(doctor.another(driver, [capability])), (driver, capability)
    assert {row["runs"] for answer in told for row in answer} == {"gpu", "cpu", "no"}


def test_a_machine_without_a_gpu_and_one_with_an_arm_processor(table: dict[str, Any]) -> None:
    expression = "given.kinds.map((kind) => found.answers(given.table, null, kind))"
    without, on_arm = node.evaluated(SCRIPT, expression, table=table, kinds=[NONE, ARM])
    assert without == answers(Machine())
    assert on_arm == answers(Machine(architecture="arm64"))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("550.54.14", [550, 54, 14]),
        (" Driver Version: 535.104.05 ", [535, 104, 5]),
        ("R550", [550]),
        ("v572.70", [572, 70]),
        ("12.4", None),
        ("100.2", None),
        ("1234.5", None),
        ("", None),
        ("<b>", None),
    ],
)
def test_which_texts_are_drivers(table: dict[str, Any], text: str, found: list[int] | None) -> None:
    assert node.evaluated(SCRIPT, "found.driver(given.table, given.text)", table=table, text=text) == found


def test_a_cuda_version_is_told_from_a_driver(table: dict[str, Any]) -> None:
    told = node.evaluated(SCRIPT, "found.problem(given.table, 'CUDA 12.4')", table=table)
    assert told == "12.4 is a CUDA version. It came with driver 550.54.14 (Windows: 551.61)."


def test_what_is_said_of_the_machine_itself(table: dict[str, Any]) -> None:
    for kind in names.listed():
        machine = doctor.another("580.65.06", [kind])
        said = [(one.state, one.message, one.remedy) for one in described.remarks(machine)]
        assert table["remarks"].get(kind, []) == said
    assert "9.0" in table["remarks"]


def test_a_rule_stands_there_once(table: dict[str, Any]) -> None:
    """Images that are alike share their steps, and a step that changes nothing is left out."""
    twice = decision_table([PLAIN, dataclasses.replace(PLAIN, image="two")])
    one, two = (row["steps"] for row in twice["images"])
    assert one == two
    for ladder in table["ladders"]:
        given = [answer for _, answer in ladder]
        assert all(first != second for first, second in itertools.pairwise(given))
