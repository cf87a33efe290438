"""The real docker compose: with the file that Assay prints."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from assay import engine
from assay.engine import apt
from tests import registries
from tests.integration.conftest import Newcomer, assay

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def program() -> Path:
    if not apt.available():
        pytest.skip("unpacking Debian's packages needs Linux, root and apt")
    return registries.compose()


def compose(program: Path, text: str, folder: Path, *words: str, **environment: str) -> str:
    """What compose prints, where it finds a text as its file."""
    (folder / "compose.yaml").write_text(text)
    done = subprocess.run(
        [program, *words], cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_session_of_an_image_that_is_here(program: Path, certified: Newcomer, running: engine.Engine) -> None:
    folder = certified.checkout / "a project, mine"
    folder.mkdir(exist_ok=True)
    (folder / "train.py").write_text(
        "import autograd, os, sys; print(sys.argv[1:], os.getcwd(), os.environ['ONE'], os.path.expanduser('~'))\n"
        "open('out.txt', 'w').close()"
    )
    printed = assay(
        folder, "run", "-e", "ONE=$HOME", "--print", "compose", "newcomer", "python", "train.py", "--rate", "1e-3"
    )
    assert printed.returncode == 0, printed.stderr
    said = compose(program, printed.stdout, folder, "run", "--rm", "-T", "session", **running.environment)
    assert said == "['--rate', '1e-3'] /work $HOME /home/assay\n"
    written = (folder / "out.txt").stat()
    assert (written.st_uid, written.st_gid) == (os.geteuid(), os.getegid())
    assert not running.client.containers.list(
        all=True, filters={"label": f"com.docker.compose.project.working_dir={folder}"}
    )


def test_compose_reads_what_is_meant(program: Path, tmp_path: Path) -> None:
    recipe = engine.Recipe(
        "registry.example/team/one:1", ("python", "a train's.py", "--x=${HOME}"), gpu=True, cdi=True, network="mine",
        environment=("NAME=two words",), volumes=("kept:/kept:ro",), ports=("127.0.0.1:8888:80",),
    )  # fmt: skip
    read = compose(program, engine.printed("compose", recipe), tmp_path, "config", "--format", "json")
    whole: dict[str, Any] = json.loads(read)
    service = whole["services"]["session"]
    assert service["command"] == ["python", "a train's.py", "--x=$${HOME}"]
    assert service["environment"] == {"NAME": "two words"}
    here, kept = service["volumes"]
    assert (here["source"], here["target"]) == (str(tmp_path), "/work")
    assert (kept["type"], kept["source"], kept["target"], kept["read_only"]) == ("volume", "kept", "/kept", True)
    assert whole["volumes"] == {"kept": {"name": "kept"}}
    assert whole["networks"]["mine"]["external"]
    (port,) = service["ports"]
    assert (port["host_ip"], port["published"], port["target"]) == ("127.0.0.1", "8888", 80)
    (gpus,) = service["deploy"]["resources"]["reservations"]["devices"]
    assert gpus == {"driver": "cdi", "device_ids": ["nvidia.com/gpu=all"], "capabilities": ["gpu"]}
