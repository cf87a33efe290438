"""Images broken on purpose, and the check that catches each: none may get through.

They stand on a real image with the framework that the fault is about, one mutant to several faults, so that the table
takes a minute and not five; what tells the faults apart is the reason, which must name the culprit.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from assay import catalog, engine
from assay.catalog import Image
from assay.catalog.built import tag
from assay.engine import BuildRequest, RunRequest
from tests.images import wheels

pytestmark = pytest.mark.engine

SITE = "$(python -c 'import sysconfig; print(sysconfig.get_path(\"purelib\"))')"
# The image refuses to replace what is certified; this is the way around that it names.
PIP = "PIP_CONSTRAINT=/dev/null python -m pip install -qq --no-deps --no-index --no-compile --root-user-action=ignore"


@dataclass(frozen=True)
class Mutant:
    """An image with this framework, and what is done to it; ``wheels`` are at hand, ``only`` is what is checked."""

    framework: str
    step: str = ""
    wheels: tuple[str, ...] = ()
    only: tuple[str, ...] = ("static",)


MUTANTS = {
    "none": Mutant("torch"),
    "files": Mutant(
        "torch",
        f"rm {SITE}/nvidia/cudnn/lib/libcudnn_engines_precompiled.so.*; "
        f"echo '# changed' >> {SITE}/torch/nn/functional.py; "
        f"touch {SITE}/sitecustomize.py",
    ),
    # With PyTorch 2.15 both resolve to the newest, and one is for CUDA 13.2, the other for 13.0.
    "packages": Mutant(
        "torch",
        f"{PIP} /run/wheels/torchaudio* /run/wheels/nvidia*; {PIP} --force-reinstall /run/wheels/numpy*",
        ("torchaudio==2.11.0", "nvidia-cuda-runtime-cu12==12.9.79", "numpy==2.3.5"),
    ),
    # MXNet's own metadata allows any NumPy below 2.
    "numpy": Mutant(
        "mxnet",
        f"{PIP} --force-reinstall /run/wheels/numpy*; "
        "cp --dereference /usr/lib/libcuda.so.1 /usr/lib/x86_64-linux-gnu/libcuda.so.1",
        ("numpy==1.24.4",),
        ("static", "imports"),
    ),
    # Its code for a GPU is made by NVRTC, which still loads without this and compiles nothing.
    "compiler": Mutant("theano", f"rm {SITE}/nvidia/cuda_nvrtc/lib/libnvrtc-builtins.so.*"),
}
# A framework that is known not to import is not tried again; here nobody has found out before.
MUTANTS["untried"] = dataclasses.replace(MUTANTS["numpy"], only=("static.loaded",))


@dataclass(frozen=True)
class Mutation:
    """What is wrong with which mutant, and which check tells of it in which words; ``plan`` changes the plan."""

    mutant: str
    check: str
    told: str
    plan: dict[str, dict[str, str]] = field(default_factory=dict)


LIE = {"labels": {"cuda": "12.9"}}
LOCKED = {"packages": {"torchaudio": "2.11.0"}}
NEWER = {"packages": {"numpy": "1.24.4"}}
TABLE = {
    "a cuDNN sub-library deleted": Mutation("files", "static.closure", "libcudnn_engines_precompiled"),
    "and its file is missed": Mutation("files", "static.packages", "libcudnn_engines_precompiled"),
    "a file changed after installation": Mutation("files", "static.packages", "torch/nn/functional.py has"),
    "a file added that no package brought": Mutation("files", "static.packages", "sitecustomize.py"),
    "torchaudio of another CUDA": Mutation("packages", "static.loaded", "import torchaudio raised", LOCKED),
    "a second CUDA major": Mutation("packages", "static.closure", "libcudart.so.12 is of CUDA 12", LOCKED),
    "a NumPy that is not the locked one": Mutation("packages", "static.packages", "numpy", LOCKED),
    "a NumPy too new for MXNet, though locked": Mutation("numpy", "imports.framework", "no attribute 'bool'", NEWER),
    "and nothing trains with it": Mutation("untried", "static.loaded", "no attribute 'bool'", NEWER),
    "and it is not the locked one": Mutation("numpy", "static.packages", "numpy 1.23.5 is locked, 1.24.4 is"),
    "a run-time compiler that makes no code": Mutation("compiler", "static.coverage", "hold no code for any GPU"),
    "a stub before the driver": Mutation("numpy", "static.contract", "may be found before it"),
    "a label that lies: the runtime": Mutation("none", "static.closure", "and CUDA 12.9 is promised", LIE),
    "a label that lies: what is loaded": Mutation("none", "static.loaded", "and CUDA 12.9 is promised", LIE),
}


class Mutants:
    """Builds and runs each mutant once for each plan."""

    def __init__(self, root: Path, running: engine.Engine, scratch: Path) -> None:
        self.root, self.engine, self.scratch = root, running, scratch
        self.catalog = catalog.load(root)
        self.reports: dict[str, dict[str, Any]] = {}
        self.built: list[str] = []

    def report(self, name: str, plan: dict[str, dict[str, str]]) -> dict[str, Any]:
        """The mutant's report; skips where no image with its framework is built."""
        key = name + json.dumps(plan, sort_keys=True)
        if key not in self.reports:
            image = self._image(MUTANTS[name].framework)
            built = self._build(name, MUTANTS[name], image)
            self.reports[key] = self._run(MUTANTS[name], built, image, plan)
        return self.reports[key]

    def _image(self, framework: str) -> Image:
        images = [one for one in self.catalog.frameworks() if one.framework and one.framework.name == framework]
        able = [one for one in images if self.engine.digest(tag(one.name, "latest"))]
        if not able:
            pytest.skip(f"no image with {framework} is built: run `assay build` first")
        return able[0]

    def _build(self, name: str, mutant: Mutant, image: Image) -> str:
        parent = tag(image.name, "latest")
        if not mutant.step:
            return parent
        made = f"trial/{name}:mutant"
        if made in self.built:
            return made
        folder = self.scratch / name
        folder.mkdir(exist_ok=True)
        dockerfile = folder / "Dockerfile"
        mount = "--mount=type=bind,from=wheels,target=/run/wheels"
        dockerfile.write_text(f"FROM {parent}\nUSER 0\nRUN {mount} set -eu; {mutant.step}\nUSER 1000:1000\n")
        at_hand = {"wheels": str(self._wheels(folder / "wheels", mutant, image))}
        self.engine.build(BuildRequest(made, dockerfile, folder, contexts=at_hand), lambda _: None)
        self.built.append(made)
        return made

    def _wheels(self, folder: Path, mutant: Mutant, image: Image) -> Path:
        folder.mkdir(exist_ok=True)
        if mutant.wheels and not list(folder.iterdir()):
            wheels.download(folder, image, "--no-deps", *mutant.wheels)
        return folder

    def _run(self, mutant: Mutant, name: str, image: Image, changes: dict[str, dict[str, str]]) -> dict[str, Any]:
        shared = self.scratch / f"run{len(self.reports)}"
        shared.mkdir()
        shared.chmod(0o777)
        plan: dict[str, Any] = dict(catalog.plan(image))
        for key, change in changes.items():
            plan[key] = {**plan[key], **change}
        (shared / "plan.json").write_text(json.dumps(plan))
        options = ("--plan", "/run/assay/plan.json", "--report", "/run/assay/report.json", "--only", *mutant.only)
        mounts = {shared: "/run/assay", self.root / "smoke": "/opt/assay/smoke"}
        ran = self.engine.run(RunRequest(name, ("smoke", *options), mounts=mounts, seconds=300))
        assert ran.exit_code == 0, ran.output
        report: dict[str, Any] = json.loads((shared / "report.json").read_text())
        return report


@pytest.fixture(scope="module")
def mutants(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mutants]:
    running = engine.find()
    found = Mutants(root, running, tmp_path_factory.mktemp("mutants"))
    yield found
    for name in found.built:
        running.remove(name)
    running.close()


def test_unbroken_it_passes(mutants: Mutants) -> None:
    report = mutants.report("none", {})
    assert {one["id"]: one["state"] for one in report["results"]} == {
        f"static.{name}": "pass" for name in ("closure", "coverage", "driver", "loaded", "contract", "packages")
    }
    assert [(one["id"], one["state"]) for one in report["faults"]] == [("hidden-sublibrary", "fail")]


def test_what_is_in_no_lock_is_counted_and_named(mutants: Mutants) -> None:
    """Whether it may be there is for the judge to say, who knows whether the image is a derived one."""
    report = mutants.report("packages", LOCKED)
    assert report["stack"]["added"]["nvidia-cuda-runtime-cu12"] == "12.9.79"
    (result,) = [one for one in report["results"] if one["id"] == "static.packages"]
    counted = {one["name"]: one["value"] for one in result["metrics"]}
    assert counted["added"] == str(len(report["stack"]["added"]))


@pytest.mark.parametrize("name", TABLE)
def test_each_mutation_is_caught(name: str, mutants: Mutants) -> None:
    mutation = TABLE[name]
    results = {one["id"]: one for one in mutants.report(mutation.mutant, mutation.plan)["results"]}
    caught = results[mutation.check]
    assert caught["state"] == "fail"
    assert mutation.told in caught["reason"]
    assert caught["remedy"]
