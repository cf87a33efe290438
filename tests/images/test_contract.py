"""What every image promises, whichever framework is in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from assay import catalog, certificate
from assay.catalog import Catalog, read_images
from assay.rootfs import SOURCE_DATE_EPOCH
from tests.images.conftest import Subject, certificate_path

pytestmark = pytest.mark.engine


def test_what_is_there_is_what_was_built(subject: Subject) -> None:
    assert subject.facts.digest == subject.built.digest
    assert subject.facts.diff_ids == subject.built.diff_ids
    assert subject.built.uncompressed_bytes <= (subject.image.size_gb or 0) * 1e9


def test_the_environment(subject: Subject) -> None:
    environment = subject.facts.environment
    assert environment["PATH"].split(":")[:2] == ["/opt/assay/bin", "/opt/env/bin"]
    assert environment["NVIDIA_VISIBLE_DEVICES"] == "all"
    assert environment["NVIDIA_DRIVER_CAPABILITIES"] == "compute,utility"
    assert "LD_LIBRARY_PATH" not in environment, "it would come before a real driver"
    assert not re.fullmatch(r"(0|root)?(:.*)?", subject.facts.user), "the default user is root"


def test_the_labels_are_those_of_image_toml(subject: Subject) -> None:
    assert subject.facts.labels.items() >= catalog.labels(subject.image).items()
    assert subject.facts.labels["assay.python"] == subject.image.labels["python"]


def test_the_framework_is_imported_by_a_uid_that_nobody_knows(subject: Subject) -> None:
    assert subject.image.framework is not None
    module = subject.image.framework.module
    script = f"import getpass, pathlib, {module}; print(getpass.getuser()); pathlib.Path.home().joinpath('x').touch()"
    ran = subject.run("python", "-c", script, user="54321:54321")
    assert ran.exit_code == 0, ran.output


COMPILED = """
import importlib, pathlib, sys
sys.path.insert(0, "/opt/assay")
for name in sys.argv[1:]:
    importlib.import_module(name)
specs = [module.__spec__ for module in list(sys.modules.values()) if getattr(module, "__spec__", None)]
ours = [one for one in specs if one.has_location and one.origin.startswith("/opt/") and one.origin.endswith(".py")]
assert len(ours) > 50, len(ours)
wanting = [one.name for one in ours if not (one.cached and pathlib.Path(one.cached).exists())]
assert not wanting, wanting
"""


def test_what_is_imported_is_compiled_already(subject: Subject) -> None:
    """Or else every container would compile it anew, and what is certified would not be what people run."""
    assert subject.image.framework is not None
    ran = subject.run(
        "python", "-c", COMPILED, "smoke.runner.run", "smoke.checks.static", subject.image.framework.module
    )
    assert ran.exit_code == 0, ran.output


def test_the_ordinary_user_has_a_home_that_can_be_written_to(subject: Subject) -> None:
    ran = subject.run("sh", "-c", 'id -un; test -w "$HOME" && touch "$HOME/x"', user=subject.facts.user)
    assert ran.exit_code == 0, ran.output
    assert ran.output.strip() == "assay"


def test_no_driver_is_in_the_image(subject: Subject) -> None:
    """A libcuda.so.1 on the loader's path would shadow the one that the container toolkit mounts.

    An image that declares a stub has it in the one place where it does not: see test_stub.py.
    """
    ran = subject.run(
        "sh", "-c", "ldconfig -p | grep libcuda.so || true; find / -xdev -name 'libcuda.so*' 2>/dev/null"
    )
    declared = ["/usr/lib/libcuda.so.1"] if subject.image.labels.get("libcuda") == "stub" else []
    assert [line for line in ran.output.splitlines() if "/opt/env" not in line] == declared


def test_what_is_compiled_at_run_time_can_be(subject: Subject) -> None:
    if "compile" not in subject.image.workloads:
        pytest.skip(f"{subject.image.name} compiles nothing at run time")
    source = "#include <Python.h>\n#include <vector>\nint main() { std::vector<int> v{1}; return v[0] - 1; }"
    headers = f"/usr/include/python{subject.image.labels['python']}"
    script = f"cd /tmp && echo '{source}' > t.cc && g++ -I{headers} t.cc && ./a.out"
    ran = subject.run("sh", "-c", script)
    assert ran.exit_code == 0, ran.output


def test_no_file_of_ours_is_newer_than_the_epoch(subject: Subject) -> None:
    ran = subject.run("sh", "-c", f"find /opt /home /etc -xdev -newermt @{SOURCE_DATE_EPOCH} | head -5", user="0:0")
    # The engine itself mounts these three into every container.
    mounted = {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/mtab", "/etc"}
    assert [line for line in ran.output.splitlines() if line not in mounted] == []


def test_the_self_test_lists_its_options_and_knows_its_plan(subject: Subject) -> None:
    assert subject.run("smoke", "--help").exit_code == 0
    ran = subject.run("python", "-c", "import json; print(json.load(open('/opt/assay/plan.json'))['image'])")
    assert ran.output.strip() == subject.image.name


def test_images_on_one_stack_share_its_layers(known: Catalog, running: object, root: Path) -> None:
    built = read_images(root).images
    pairs = 0
    for image in known.frameworks():
        for below in known.ancestors(image):
            if image.name in built and below.name in built:
                lower = built[below.name].layers
                assert built[image.name].layers[: len(lower)] == lower, f"{image.name} on {below.name}"
                pairs += 1
    if not pairs:
        pytest.skip("no framework image is built: run `make build-all`")


def test_a_certificate_is_of_the_image_and_holds(subject: Subject, root: Path) -> None:
    path = certificate_path(root, subject.image.name)
    statement = certificate.read_statement(path)
    if statement is None:
        pytest.skip(f"{subject.image.name} has no certificate: run `nox -s smoke`")
    assert statement["subject"][0]["digest"]["sha256"] == subject.built.digest.removeprefix("sha256:")
    suites = certificate.Suites.read(root)
    policy = catalog.policy(catalog.load(root), subject.image, subject.built, suites, "cpu")
    verdict = certificate.read(statement, policy).verdict
    assert verdict.passed, verdict.problems
    assert verdict.level == statement["predicate"]["achieved"] == "E2"
