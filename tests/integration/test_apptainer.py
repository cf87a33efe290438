"""The real Apptainer runs an image as a cluster's user does: no root, no daemon, a read-only image, his own home.

Apptainer is in Debian's unstable suite only, and needs that suite's libc. So a root file system of it is made, and
entered in a mount namespace; in there an ordinary user unpacks the image and runs it in a user namespace.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from assay import certificate, engine
from assay.engine import apt
from assay.rootfs import bootstrap
from tests.integration.conftest import Newcomer, assay, publish
from tests.registries import Registry, tool_missing

pytestmark = pytest.mark.engine

USER = "12345"
# Apptainer refuses a chroot, so the root is pivoted to. /dev is the machine's own.
ENTER = """
mount --bind "$0" "$0"; mount -t proc proc "$0/proc"; mount --rbind /sys "$0/sys"; mount --rbind /dev "$0/dev"
cd "$0"; mkdir -p old; pivot_root . old; umount --lazy /old; cd /; exec "$@"
"""


@dataclass(frozen=True)
class Cluster:
    """A machine with Apptainer on it and one ordinary user."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / "home/researcher"

    def run(self, command: str, seconds: int = 300) -> subprocess.CompletedProcess[str]:
        """A command line of the user's, in his home."""
        enter = ["unshare", "--mount", "--propagation", "private", "sh", "-e", "-c", ENTER, str(self.root)]
        become = ["setpriv", "--reuid", USER, "--regid", USER, "--clear-groups"]
        environment = ["env", "-i", "PATH=/usr/bin:/bin", "HOME=/home/researcher", "USER=researcher"]
        return subprocess.run(
            [*enter, *become, *environment, "sh", "-c", f"cd; {command}"],
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """Debian unstable with Apptainer, bootstrapped anew."""
    if not apt.available():
        pytest.skip("bootstrapping a Debian needs Linux, root and apt")
    if subprocess.run(["unshare", "--user", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine allows no user namespaces, which Apptainer works with")
    tools, root = bootstrap.programs(), tmp_path_factory.mktemp("apptainer") / "root"
    mirrors = sorted({address for address, suite, _ in apt.host_sources() if suite == apt.host_codename()})
    argv = [
        *(str(tools / "usr/bin/mmdebstrap"), "--mode=root", "--variant=minbase", "--include=apptainer"),
        f"--keyring={tools / 'usr/share/keyrings'}",
        # A mirror that is frozen in time serves an unstable suite whose index has expired; it is signed all the same.
        '--aptopt=Acquire::Check-Valid-Until "false"',
        '--aptopt=APT::Sandbox::User "root"',
        *("sid", str(root), *(f"deb {mirror} sid main" for mirror in mirrors[:1])),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode:
        last = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        tool_missing(["apptainer"], last[0] if last else done.stderr[-200:])
    made = Cluster(root)
    for name, text in (("hosts", "127.0.0.1 localhost\n"), ("resolv.conf", "")):
        (root / "etc" / name).unlink(missing_ok=True)
        (root / "etc" / name).write_text(text)
    with (root / "etc/passwd").open("a") as passwd:
        passwd.write(f"researcher:x:{USER}:{USER}::/home/researcher:/bin/sh\n")
    made.home.mkdir()
    os.chown(made.home, int(USER), int(USER))
    return made


@pytest.fixture(scope="module")
def box(
    cluster: Cluster, first_newcomer: Newcomer, key: Path, programs: Path, tmp_path_factory: pytest.TempPathFactory
) -> Cluster:
    """The newcomer's image as published, which the user has pulled from the registry and unpacked."""
    done = assay(first_newcomer.checkout, "smoke", "newcomer")
    assert done.returncode == 0, done.stdout + done.stderr
    with Registry(programs / "docker-registry", tmp_path_factory.mktemp("registry")) as registry:
        (made,) = publish(first_newcomer, registry, key)
        done = cluster.run(f"apptainer build --no-https --sandbox box docker://{made['reference']}")
        assert done.returncode == 0, done.stderr
    return cluster


def test_the_suite_trains_and_its_evidence_amounts_to_e2(box: Cluster, first_newcomer: Newcomer) -> None:
    done = box.run("apptainer run --cleanenv box smoke --report report.json", seconds=900)
    assert done.returncode == 0, done.stdout + done.stderr
    report = certificate.read_report(box.home / "report.json")
    verdict = certificate.judge(report, certificate.Suite.read(first_newcomer.checkout))
    assert verdict.passed, verdict.problems
    assert verdict.level == "E2"
    assert report.host["uid"] == int(USER)


def test_a_gpu_that_is_not_there_is_a_failure(box: Cluster) -> None:
    done = box.run("apptainer run --nv --cleanenv box preflight --device gpu --json")
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["state"] == "fail"


def test_exec_finds_the_environment_and_nothing_of_the_users_home_gets_in(box: Cluster) -> None:
    version = box.run("apptainer exec --cleanenv box python -c 'import sys; print(\"%d.%d\" % sys.version_info[:2])'")
    packages = box.home / f".local/lib/python{version.stdout.strip()}/site-packages"
    packages.mkdir(parents=True, exist_ok=True)
    (packages / "autograd.py").write_text("raise ImportError('the wrong one')\n")
    done = box.run("apptainer exec --cleanenv box python -c 'import autograd; print(autograd.__file__)'")
    assert done.stdout.startswith("/opt/env/"), done.stdout + done.stderr


def test_the_line_that_assay_prints(box: Cluster) -> None:
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


def test_the_image_is_read_only_and_the_home_is_the_users(box: Cluster) -> None:
    done = box.run("apptainer run --cleanenv box sh -c 'touch $HOME/mine && echo $HOME; touch /opt/env/x'")
    assert done.stdout == "/home/researcher\n"
    assert "Read-only file system" in done.stderr
    assert (box.home / "mine").is_file()
