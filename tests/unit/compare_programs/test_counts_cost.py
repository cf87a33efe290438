"""Licences, room on the disk, and first steps, without a framework."""

from __future__ import annotations

import os
from email.message import Message
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.unit.compare_programs.questions import COMPARE, answers, load

licences = load(COMPARE / "cost" / "_licences.py")
question = load(COMPARE / "cost" / "question.py")


def fields(*lines: tuple[str, str]) -> Message:
    made = Message()
    for name, value in lines:
        made[name] = value
    return made


# As packages state it.
@pytest.mark.parametrize(
    ("stated", "licence", "kind"),
    [
        ([("License-Expression", "Apache-2.0")], "Apache-2.0", "permissive"),
        ([("License-Expression", "MPL-2.0 AND MIT")], "MPL-2.0 AND MIT", "copyleft"),
        ([("License-Expression", "GPL-2.0-or-later OR MIT")], "GPL-2.0-or-later OR MIT", "permissive"),
        ([("License-Expression", "(GPL-3.0 OR MPL-2.0) AND MIT")], "(GPL-3.0 OR MPL-2.0) AND MIT", "copyleft"),
        (
            [("License-Expression", "LicenseRef-NVIDIA-SOFTWARE-LICENSE")],
            "LicenseRef-NVIDIA-SOFTWARE-LICENSE",
            "proprietary",
        ),
        ([("License", "NVIDIA Proprietary Software")], "LicenseRef-NVIDIA-Proprietary", "proprietary"),
        ([("Classifier", "License :: Other/Proprietary License")], "LicenseRef-NVIDIA-Proprietary", "proprietary"),
        ([("Classifier", "License :: OSI Approved :: MIT License")], "MIT", "permissive"),
        ([("Classifier", "License :: OSI Approved"), ("License", "BSD")], "BSD", "permissive"),
        (
            [("Classifier", "License :: OSI Approved :: BSD License"), ("License", "BSD-3-Clause")],
            "BSD-3-Clause",
            "permissive",
        ),
        (
            [("Classifier", "License :: OSI Approved :: BSD License"), ("License", "Copyright (c)\nmore")],
            "BSD",
            "permissive",
        ),
        (
            [("Classifier", "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)")],
            "MPL-2.0",
            "copyleft",
        ),
        (
            [("Classifier", "License :: OSI Approved :: GNU Lesser General Public License v2 or later (LGPLv2+)")],
            "LGPL",
            "copyleft",
        ),
        ([("License", "Apache 2.0")], "Apache-2.0", "permissive"),
        (
            [("License", "Apache License, Version 2.0"), ("Classifier", "Programming Language :: Python")],
            "Apache-2.0",
            "permissive",
        ),
        ([("License", "UNKNOWN")], "unknown", "unknown"),
        ([("License", "Dual License")], "unknown", "unknown"),
        ([], "unknown", "unknown"),
    ],
)
def test_a_licence(stated: list[tuple[str, str]], licence: str, kind: str) -> None:
    assert licences.licence_of(fields(*stated)) == licence
    assert licences.kind_of(licence) == kind


def test_licences_are_counted_and_those_that_bind_are_named() -> None:
    packages = [
        SimpleNamespace(metadata=fields(("Name", name), ("License-Expression", licence)))
        for name, licence in (("a", "MIT"), ("b", "MIT"), ("certifi", "MPL-2.0"), ("nvidia-x", "LicenseRef-NVIDIA"))
    ]
    assert licences.summed([*packages, SimpleNamespace(metadata=fields(("Name", "z")))]) == {
        "licences": ["MIT: 2", "LicenseRef-NVIDIA: 1", "MPL-2.0: 1", "unknown: 1"],
        "copyleft": ["certifi: MPL-2.0"],
        "proprietary": ["nvidia-x: LicenseRef-NVIDIA"],
        "unknown": ["z: unknown"],
    }


def test_room(tmp_path: Path) -> None:
    (tmp_path / "site" / "nvidia" / "cublas").mkdir(parents=True)
    (tmp_path / "site" / "nvidia" / "cublas" / "libcublas.so").write_bytes(b"x" * 1000)
    (tmp_path / "site" / "a.py").write_bytes(b"y" * 10)
    os.link(tmp_path / "site" / "a.py", tmp_path / "site" / "again.py")
    (tmp_path / "site" / "link.py").symlink_to("a.py")
    assert question.room(tmp_path) == {"bytes": 1010, "nvidia_bytes": 1000, "files": 2}


def test_the_step_goes_down_the_slope() -> None:
    rows, targets = question.problem()

    def loss(weights: np.ndarray) -> float:
        return float(((rows.astype(float) @ weights[:, None] - targets) ** 2).mean())

    slope = [(loss(move) - loss(-move)) / 2e-4 for move in 1e-4 * np.eye(3)]
    assert question.stepped(rows, targets) == pytest.approx(-question.RATE * np.array(slope), rel=1e-5)


MADE = """
def imported():
    import json
def first_step(rows, targets, rate):
    print("what a framework says when it starts")
    return rate * {factor} * rows.T @ targets / len(rows)
"""


@pytest.mark.parametrize(("factor", "outcome"), [(2, "done"), (1, "failed")])
def test_a_first_step_is_judged(tmp_path: Path, factor: int, outcome: str) -> None:
    folder = tmp_path / "cost"
    folder.mkdir()
    for name in ("question.py", "_licences.py"):
        (folder / name).symlink_to(COMPARE / "cost" / name)
    (folder / "made.py").write_text(MADE.format(factor=factor))
    (line,) = answers(tmp_path, "cost", "made", "--cell", "first-step").values()
    assert line["outcome"] == outcome
    if outcome == "done":
        assert len(line["values"]["each"]) == 3
        assert line["values"]["difference"] < 1e-6
    else:
        assert "away from float64" in line["because"]
