"""The real Apptainer runs an image as a cluster's user does: no root, no daemon, a read-only image, his own home."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from assay import certificate, engine
from tests.apptainer import USER, Machine
from tests.integration.conftest import Newcomer, assay, publish
from tests.registries import Registry

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def box(
    machine: Machine, first_newcomer: Newcomer, key: Path, programs: Path, tmp_path_factory: pytest.TempPathFactory
) -> Machine:
    """The newcomer's image as published, which the user has pulled from the registry and unpacked."""
    done = assay(first_newcomer.checkout, "smoke", "newcomer")
    assert done.returncode == 0, done.stdout + done.stderr
    with Registry(programs / "docker-registry", tmp_path_factory.mktemp("registry")) as registry:
        (made,) = publish(first_newcomer, registry, key)
        done = machine.run(f"apptainer build --no-https --sandbox box docker://{made['reference']}")
        assert done.returncode == 0, done.stderr
    return machine


def test_the_suite_trains_and_its_evidence_amounts_to_e2(box: Machine, first_newcomer: Newcomer) -> None:
    done = box.run("apptainer run --cleanenv box smoke --report report.json", seconds=900)
    assert done.returncode == 0, done.stdout + done.stderr
    report = certificate.read_report(box.home / "report.json")
    verdict = certificate.judge(report, certificate.Suite.read(first_newcomer.checkout))
    assert verdict.passed, verdict.problems
    assert verdict.level == "E2"
    assert report.host["uid"] == int(USER)


def test_a_gpu_that_is_not_there_is_a_failure(box: Machine) -> None:
    done = box.run("apptainer run --nv --cleanenv box preflight --device gpu --json")
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["state"] == "fail"


def test_exec_finds_the_environment_and_nothing_of_the_users_home_gets_in(box: Machine) -> None:
    version = box.run("apptainer exec --cleanenv box python -c 'import sys; print(\"%d.%d\" % sys.version_info[:2])'")
    packages = box.home / f".local/lib/python{version.stdout.strip()}/site-packages"
    packages.mkdir(parents=True, exist_ok=True)
    (packages / "autograd.py").write_text("raise ImportError('the wrong one')\n")
    done = box.run("apptainer exec --cleanenv box python -c 'import autograd; print(autograd.__file__)'")
    assert done.stdout.startswith("/opt/env/"), done.stdout + done.stderr


def test_the_line_that_assay_prints(box: Machine) -> None:
    """But for where the image is: the user has unpacked it already."""
    (box.home / "train.py").write_text(
        "import os, autograd; open('out', 'w').write(os.getcwd())\n"
        "open('/data/out', 'w').write(os.environ['ONE'] + ' ' + os.environ['QUOTED'])\n"
    )
    (box.home / "data, mine").mkdir(exist_ok=True)
    os.chown(box.home / "data, mine", int(USER), int(USER))
    given = {"environment": ("ONE=1,TWO=2", 'QUOTED="x"'), "volumes": ("./data, mine:/data",)}
    line = engine.printed("apptainer", engine.Recipe("IMAGE", ("python", "train.py"), **given))
    done = box.run(line.replace("docker://IMAGE", "box"))
    assert done.returncode == 0, done.stderr
    assert (box.home / "out").read_text() == "/work"
    assert (box.home / "data, mine/out").read_text() == '1,TWO=2 "x"'
    assert (box.home / "out").stat().st_uid == int(USER)


def test_the_image_is_read_only_and_the_home_is_the_users(box: Machine) -> None:
    done = box.run("apptainer run --cleanenv box sh -c 'touch $HOME/mine && echo $HOME; touch /opt/env/x'")
    assert done.stdout == "/home/researcher\n"
    assert "Read-only file system" in done.stderr
    assert (box.home / "mine").is_file()
