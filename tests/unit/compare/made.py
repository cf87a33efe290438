"""A checkout with certified images and two questions, and an engine whose containers answer as a test says."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from assay import catalog, compare
from assay.catalog import Built, Catalog, write_images
from assay.catalog.built import tag
from assay.certify import table
from assay.compare import Comparison, Options, results
from assay.engine import RunRequest, RunResult
from tests.unit.certify import made

FACTS = """
TITLE = "Can it?"
CLAIM = "It " "can."
KIND = "facts"
CELLS = {"one": "The first", "two": "The second"}
SIZES = tuple(range(3))
"""
TIMED = """
TITLE = "How fast?"
CLAIM = "Fast."
KIND = "timed"
CELLS = {"net/written": "As written", "net/tuned": "Tuned"}
"""
FRAMEWORKS = {"torch": "torchy", "tensor": "tensory", "plain": "plain"}
ENVIRONMENT = (f"sha256:{'1' * 64}", f"sha256:{'2' * 64}")
LIMITS = {"cpus": "0-1", "threads": 2}


def prepare(root: Path) -> None:
    """Write the checkout: images that are built and certified, and the questions."""
    place = made.Place(root)
    for name, built in place.built.items():
        layers = (*ENVIRONMENT, f"sha256:{'3' * 64}", f"sha256:{'4' * 64}")
        digest = f"sha256:{name.encode().hex():0>64}"
        place.built[name] = Built("k", built.suite, digest, "sha256:c", layers, (), 1, 2, 3.0, "now")
        place.engine.names[tag(name, "latest")] = digest
    write_images(root, place.built)
    place.smoke()
    table.keep(root)
    for question, text in (("can", FACTS), ("fast", TIMED)):
        folder = root / "compare" / question
        folder.mkdir(parents=True)
        (folder / "question.py").write_text(text)
        for framework in FRAMEWORKS:
            (folder / f"{framework}.py").write_text(f"CANNOT = {{}}  # {framework}\n")
    (root / "compare/run.py").write_text("# runs\n")


Answers = dict[str, dict[str, Any]]  # by cell, what differs from an answer that is done


class Engine:
    """Runs a container as `truth` says: steps of so many seconds for each framework, times noise."""

    def __init__(self, root: Path) -> None:
        self.requests: list[RunRequest] = []
        self.packed: list[str] = []
        self.names = {tag(name, "latest"): built.digest for name, built in catalog.read_images(root).images.items()}
        self.truth: dict[str, float] = {"torch": 1.0, "tensor": 1.0, "plain": 1.0}
        self.noise = 0.004
        self.random = random.Random(1)
        self.answers: dict[str, Answers] = {}
        self.on_run: Callable[[RunRequest, Path], RunResult | None] = lambda request, file: None

    def digest(self, reference: str) -> str | None:
        return self.names.get(reference)

    def tags(self, repository: str) -> list[str]:
        return [name for name in self.names if name.rpartition(":")[0] == repository]

    def pack(self, references: Iterable[str]) -> None:
        self.packed += references

    def gpu_access(self) -> str | None:
        return None

    def run(self, request: RunRequest) -> RunResult:
        self.requests.append(request)
        (file,) = [path for path, inside in request.mounts.items() if inside.endswith("/lines.jsonl")]
        question, framework, *rest = request.command[4:]
        cells = ("one", "two") if question == "can" else ("net/written", "net/tuned")
        slowed = 1.05 if "slowdown=1.05" in rest else 1.0
        lines = [json.dumps(self.line(question, framework, cell, slowed)) + "\n" for cell in cells]
        file.write_text("".join(lines))
        return self.on_run(request, file) or RunResult(0, False, False, "said on stderr\n", 1.0)

    def line(self, question: str, framework: str, cell: str, slowed: float) -> dict[str, Any]:
        seconds = self.truth[framework] * slowed * math.exp(self.random.gauss(0, self.noise))
        values: dict[str, Any] = {"steps": [seconds] * 3} if question == "fast" else {"error": 1e-15}
        if question == "fast":
            values |= {"loss": [2.3, 2.2], "reference": [2.3, 2.2]}
        known = {
            "schema": 1,
            "question": question,
            "framework": framework,
            "cell": cell,
            "outcome": "done",
            "because": None,
            "values": values,
            "text": None,
            "lines": 3,
            "seconds": 0.5,
        }
        return known | self.answers.get(framework, {}).get(cell, {})

    @property
    def asked(self) -> list[tuple[str, ...]]:
        """What each container was asked: question, framework, settings."""
        return [(*one.command[4:6], *one.command[8:]) for one in self.requests]


class View:
    """Writes down what it hears."""

    def __init__(self) -> None:
        self.total = 0
        self.phases: list[tuple[str, str]] = []
        self.count = 0

    def begin(self, containers: int) -> None:
        self.total = containers

    def phase(self, name: str, text: str) -> None:
        self.phases.append((name, text))

    def ran(self, count: int) -> None:
        self.count += count


class Place:
    """The checkout, its engine and what was heard."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.engine = Engine(root)
        self.view = View()
        self.notes: list[str] = []

    @property
    def catalog(self) -> Catalog:
        return catalog.load(self.root)

    def measure(self, *names: str, question: str | None = None, **options: Any) -> list[tuple[str, ...]]:
        """Measure, and return what was asked."""
        self.engine.requests, self.view, self.notes = [], View(), []
        who = compare.participants(self.catalog, self.engine, names, "cpu", self.notes.append)  # type: ignore[arg-type]
        how = Options(**{**LIMITS, **options})
        there = compare.questions(self.root)
        asked = [one for one in there.values() if question in {None, one.name}]
        self.failures = compare.Measuring(self.root, self.engine, how, self.folder, self.view).measure(asked, who)  # type: ignore[arg-type]
        return self.engine.asked

    @property
    def folder(self) -> Path:
        return self.root / "compare/results"

    def compare(self) -> Comparison:
        return compare.compare(self.root)

    def problems(self) -> list[str]:
        return [one.what for one in self.compare().problems if one.void]

    def edit(self, question: str, change: Callable[[list[dict[str, Any]]], Any]) -> None:
        """Change the kept lines; `change` does it in place."""
        path = self.folder / f"{question}.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        change(lines)
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))

    def lines(self, question: str) -> list[Any]:
        return [entry.line for entry in results.read(self.folder).entries if entry.line.question == question]
