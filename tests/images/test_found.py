"""Each image as a user finds it: its commands as they stand, however they are started, with any driver or none."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from assay import doctor
from assay.catalog.built import tag
from assay.certificate import Suites
from assay.doctor import Answer, Certified, Surroundings
from smoke.plan import declared
from tests.conftest import ROOT
from tests.images.conftest import Subject

pytestmark = pytest.mark.engine

REFUSING = Path(__file__).with_name("refusing-driver.c")
BACKEND = "_BACKEND"
# What is run by hand in the README, and needs neither a GPU nor a file.
IN_THE_README = [
    line.removeprefix("$ ").partition(" #")[0].strip()
    for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("$ docker run ") and "--gpus" not in line and "-v " not in line
]


def first_lines(subject: Subject) -> str:
    """The framework's first lines, as text for `python -c`."""
    assert subject.image.framework is not None
    return str(declared(subject.image.framework.name, "FIRST_LINES"))


def backends(subject: Subject) -> list[dict[str, str]]:
    """What chooses each of the framework's backends, in variables; nothing where it has none."""
    made = subject.image.framework
    assert made is not None
    return [{made.name.upper() + BACKEND: one} for one in made.backends] or [{}]


def answer(output: str) -> dict[str, Any]:
    """The last line that is an answer: the errors' lines may come after it."""
    lines = [line for line in output.splitlines() if line.startswith('{"sum"')]
    assert lines, output
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def on_a_terminal(command: str, folder: Path = ROOT) -> tuple[int, str]:
    """Runs a command of the shell's on a terminal, as `docker run -it` wants one."""
    if shutil.which("script") is None:
        pytest.skip("no `script` here, which gives a command a terminal")
    done = subprocess.run(
        ["script", "-qec", command, "/dev/null"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )
    return done.returncode, done.stdout.decode(errors="replace")


def test_the_command_that_doctor_prints(subject: Subject, root: Path, tmp_path: Path) -> None:
    images, _ = doctor.gather(root, Suites.read(root))
    (facts,) = [one for one in images if one.image == subject.image.name]
    local = Certified(facts.image, subject.facts.digest, tag(subject.image.name, "latest"))
    command = doctor.command(local, Answer("cpu", "no GPU is asked for"), Surroundings.here().tools())
    assert command is not None
    assert command.endswith(" python")
    code, said = on_a_terminal(f"{command} -c {shlex.quote(first_lines(subject))}", tmp_path)
    assert code == 0, said
    assert '"device": ' in said


@pytest.mark.parametrize("line", IN_THE_README)
def test_the_commands_of_the_readme(subject: Subject, line: str) -> None:
    """With this image in the place of the one that is named there; the self-test up to what trains."""
    program = " ".join(Surroundings.here().tools().docker or ())
    words = line.replace("docker", program, 1).split()
    named = next(word for word in words if word.startswith("assay/"))
    command = " ".join(tag(subject.image.name, "latest") if word == named else word for word in words)
    assert command.endswith(" smoke"), "another command needs another short form here"
    code, said = on_a_terminal(f"{command} --only as-found")
    assert code == 0, said
    assert "as-found" in said


def test_the_readme_has_such_commands() -> None:
    assert IN_THE_README


@pytest.mark.parametrize("entrypoint", [None, ("python",)], ids=["as docker run does", "without the entrypoint"])
def test_the_first_lines_run_however_they_are_started(subject: Subject, entrypoint: tuple[str, ...] | None) -> None:
    """Without the entrypoint: as `docker exec`, a pod's command and Apptainer start it."""
    command = ("-c", first_lines(subject)) if entrypoint else ("python", "-c", first_lines(subject))
    for variables in backends(subject):
        home = {**variables, "HOME": "/tmp"}  # its own home cannot be written to here
        script = "import os; os.chdir('/tmp')\n" + command[-1]
        ran = subject.run(*command[:-1], script, environment=home, entrypoint=entrypoint)
        assert ran.exit_code == 0, (variables, ran.output)
        assert "cpu" in answer(ran.output)["device"].lower()


@pytest.mark.parametrize("refusal", [803, 100], ids=["too old", "without a device"])
def test_the_first_lines_run_with_a_driver_that_refuses(subject: Subject, refusal: int) -> None:
    if "compile" not in subject.image.workloads:
        pytest.skip(f"{subject.image.name} has no compiler to make the driver with")
    build = (
        f"gcc -w -shared -fPIC -nostdlib -DREFUSAL={refusal} -Wl,-soname,libcuda.so.1 -o /tmp/libcuda.so.1 /driver.c"
    )
    script = f'cd /tmp && {build} && LD_LIBRARY_PATH=/tmp exec python -c "$0"'
    for variables in backends(subject):
        mounts = {REFUSING: "/driver.c"}
        ran = subject.run("sh", "-c", script, first_lines(subject), mounts=mounts, environment=variables)
        assert ran.exit_code == 0, (variables, ran.output)
        assert "cpu" in answer(ran.output)["device"].lower()


# Version calls that nothing makes without a driver

PROFILED = """
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils import collect_env
for activities in ([ProfilerActivity.CPU], [ProfilerActivity.CPU, ProfilerActivity.CUDA], None):
    with profile(activities=activities) as found:
        (torch.ones(8, 8) @ torch.ones(8, 8)).sum()
    assert any("aten::" in one.key for one in found.key_averages())
with torch.autograd.profiler.profile(use_device="cuda"):
    torch.ones(8).sum()
torch.cuda.is_available(), torch.cuda.device_count(), torch.cuda.is_initialized()
try:
    torch.cuda.init()
except RuntimeError:
    pass
print(collect_env.get_pretty_env_info())
print("profiled")
"""
ASK_CUPTI = """
import ctypes, pathlib, sys
(path,) = pathlib.Path(sys.prefix).rglob("site-packages/nvidia/*/lib/libcupti.so.*")
ctypes.CDLL(str(path)).cuptiGetVersion(ctypes.byref(ctypes.c_int()))
"""
# By the framework's name: what would make the call if anything did, and what does make it.
CALLERS = {("torch", "libcupti.so.13"): (PROFILED, ASK_CUPTI)}


def test_a_version_call_that_crashes_is_made_by_nothing(subject: Subject) -> None:
    """The library that crashes is its own counter: whatever calls it does not live to say so."""
    made = subject.image.framework
    assert made is not None
    if not subject.image.uncalled:
        pytest.skip(f"{subject.image.name} names no such library")
    for soname in subject.image.uncalled:
        program, asking = CALLERS[made.name, soname]
        ran = subject.run("python", "-W", "ignore", "-c", program)
        assert ran.exit_code == 0, ran.output
        assert "profiled" in ran.output
        crashed = subject.run("python", "-c", asking)
        assert crashed.exit_code == 139, f"{soname} answers now: take it out of [uncalled]"
