"""The whole answer: in which order, with which command, for people and for programs."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from assay import doctor
from assay.cli import console
from assay.cli.doctor import show_diagnosis
from assay.doctor import Answer, Certified, Surroundings, Tools
from assay.errors import VerificationFailed
from tests.unit.doctor.known import (
    GIB,
    H100,
    gathered,
    keep,
    statement,
)

LOCAL = Certified(image="one", digest="sha256:d", reference="assay/one")

REMOTE = Certified(image="one", digest="sha256:d", reference="ghcr.io/x/one@sha256:d")

ON_GPU, ON_CPU = Answer("gpu", "why"), Answer("cpu", "why")

UNKNOWN = Certified(image="one", digest="sha256:d", reference="REGISTRY/one@sha256:d")


@pytest.mark.parametrize(
    ("image", "verdict", "tools", "command"),
    [
        (LOCAL, Answer("no", "why"), Tools(("docker",)), None),
        (LOCAL, ON_CPU, Tools(("docker",), "cdi"), "assay run one python"),
        (LOCAL, ON_GPU, Tools(), "assay run one python"),
        (UNKNOWN, ON_GPU, Tools(("docker",)), None),
        (
            REMOTE,
            ON_GPU,
            Tools(("docker",), "cdi", apptainer="apptainer 1"),
            "docker run -it --rm --init --device nvidia.com/gpu=all ",
        ),
        (
            REMOTE,
            ON_GPU,
            Tools(("DOCKER_HOST=unix:///run/x", "/x/docker"), "cdi", network="host"),
            "DOCKER_HOST=unix:///run/x /x/docker run -it --rm --init --device nvidia.com/gpu=all ",
        ),
        (REMOTE, ON_CPU, Tools(("docker",)), "docker run -it --rm --init --user "),
        (REMOTE, ON_GPU, Tools(podman="podman 5"), "podman run -it --rm --init --device nvidia.com/gpu=all "),
        (REMOTE, ON_GPU, Tools(podman="podman 5", apptainer="apptainer 1.4.1"), "podman run "),
        (REMOTE, ON_GPU, Tools(apptainer="apptainer 1.4.1"), "apptainer run --cleanenv --nv --bind "),
        (REMOTE, ON_GPU, Tools(), "docker run -it --rm --init --gpus all "),
    ],
)
def test_the_command(image: Certified, verdict: Answer, tools: Tools, command: str | None) -> None:
    found = doctor.command(image, verdict, tools)
    assert found == command or str(found).startswith(f"{command}")
    if image is REMOTE:
        assert str(found).endswith("ghcr.io/x/one@sha256:d python")


def test_the_answer_for_this_machine(place: Path) -> None:
    answer = doctor.diagnose(gathered(place))
    assert [(row.image.image, row.answer.runs) for row in answer.rows] == [("old", "gpu"), ("new", "cpu")]
    assert answer.here
    assert {one.id for one in answer.findings} >= {"driver", "gpu", "engine", "gpu-access", "shm", "disk"}
    doctor.require_usable(answer)


def test_the_answer_for_another_machine_looks_at_nothing_here(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Surroundings, "here")
    answer = doctor.diagnose(gathered(place), doctor.another("580.65.06", ["9.0"]))
    assert [(row.image.image, row.answer.runs) for row in answer.rows] == [("new", "gpu"), ("old", "gpu")]
    assert not answer.findings
    assert not answer.here
    assert answer.rows[0].command is None, "where its registry is, nobody said"


def test_the_json(place: Path) -> None:
    data = json.loads(json.dumps(doctor.as_json(doctor.diagnose(gathered(place)))))
    assert data["schema"] == 1
    assert data["machine"] == {
        "here": True,
        "architecture": "amd64",
        "driver": "550.54.14",
        "windows": False,
        "cuda": None,
        "serves": "CUDA up to 12.x",
        "gpus": [{"name": H100.name, "compute_capability": "9.0", "memory_bytes": 80 * GIB}],
    }
    assert data["unusable"] == []
    assert set(data["findings"][0]) == {"id", "state", "message", "remedy"}
    first = data["images"][0]
    assert first["image"] == "old"
    assert first["runs"] == "gpu"
    assert first["cuda"] == "12.9"
    assert first["served"] == {"wholly": ["8.0", "9.0"], "partly": ["7.5"]}
    assert first["levels"] == {"cpu": "E2"}
    assert first["command"] is None
    assert any("minor-version compatibility" in note for note in first["notes"])


def test_a_certificate_of_no_use_is_exit_5_after_the_answer(place: Path) -> None:
    keep(place / "certificates", "{", "bad/cpu")
    answer = doctor.diagnose(gathered(place))
    assert len(answer.rows) == 2
    assert doctor.as_json(answer)["unusable"][0]["certificate"] == "certificates/bad/cpu.json"
    with pytest.raises(VerificationFailed, match=r"certificates/bad/cpu\.json says nothing"):
        doctor.require_usable(answer)


@pytest.mark.parametrize("terminal", [True, False])
def test_what_a_person_sees(place: Path, monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    target = io.StringIO()
    shown = Console(file=target, force_terminal=terminal, width=200, soft_wrap=True)
    monkeypatch.setattr(console, "standard_output", lambda: shown)
    keep(place / "certificates", statement("evil", framework="x\x1b[2Jy"), "evil/cpu")
    show_diagnosis(doctor.diagnose(gathered(place)))
    text = target.getvalue()
    assert ("\x1b[" in text) == terminal
    assert "\x1b[2J" not in text
    for words in ("550.54.14 serves CUDA up to 12.x", "nvidia-ctk cdi generate", "on the GPU", "on the CPU"):
        assert words in text
    assert "needs driver 580 or later" in text
    assert "REGISTRY" not in text
    assert "assay build old (it is not built here)" in text
