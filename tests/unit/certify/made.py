"""Images that are built, an engine that only pretends, and what may happen to a container."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from assay import catalog, certificate, certify
from assay.catalog import Built, write_images
from assay.catalog.built import tag
from assay.certify import Options, Outcome
from assay.engine import RunRequest, RunResult
from tests.unit.certificate import reports
from tests.unit.repository import repository

DIGEST = "sha256:" + "d" * 64


class Engine:
    """Does what `assay.engine.Engine` does for a smoke run, without one."""

    description = "docker 28 (fake)"

    def __init__(self) -> None:
        self.requests: list[RunRequest] = []
        self.names: dict[str, str] = {}
        self.gpu: str | None = None
        self.on_run: dict[str, Callable[[Path], RunResult | None]] = {}
        self.packed: list[str] = []
        self.held: list[str] = []
        self.there = True

    def answers(self) -> bool:
        return self.there

    def tags(self, repository: str) -> list[str]:
        return [name for name in self.names if name.rpartition(":")[0] == repository]

    def pack(self, references: Iterable[str]) -> None:
        self.packed += references

    def hold(self, reference: str) -> None:
        self.held.append(reference)

    def digest(self, reference: str) -> str | None:
        return self.names.get(reference)

    def gpu_access(self) -> str | None:
        return self.gpu

    def run(self, request: RunRequest) -> RunResult:
        self.requests.append(request)
        (report,) = request.mounts
        shared = report.parent
        name = request.image.partition("/")[2].partition(":")[0]
        plan = json.loads((shared / "plan.json").read_text())
        assert plan["image"] == name
        (shared / "report.json").write_text(json.dumps(answer(plan, self.known)))
        found = self.on_run.get(name, lambda folder: None)(shared)
        return found or RunResult(0, False, False, "chatter\nlast words\n", 1.25)

    known: certificate.Suite


def answer(plan: dict[str, Any], known: certificate.Suite) -> dict[str, Any]:
    """A report in which all that the suite asks of this plan holds."""
    return reports.written(plan, known)


class Place:
    """A repository whose images are all built, and an engine that has them."""

    def __init__(self, root: Path) -> None:
        self.root = repository(root)
        (root / "build").mkdir()
        self.engine = Engine()
        self.known = self.engine.known = certificate.Suite.read(root)
        self.built: dict[str, Built] = {}
        for image in self.catalog.images.values():
            suite = self.known.digest_of(image.framework.name) if image.framework else None
            self.built[image.name] = Built("k", suite, DIGEST, "sha256:c", ("a",), (), 1, 2, 3.0, "now")
            self.engine.names[tag(image.name, "latest")] = DIGEST
        write_images(root, self.built)
        self.begun: list[str] = []

    @property
    def catalog(self) -> catalog.Catalog:
        return catalog.load(self.root)

    def smoke(self, *names: str, **options: Any) -> dict[str, Outcome]:
        told: list[Outcome] = []
        self.begun = []
        made = certify.certify(
            self.catalog,
            self.engine,  # type: ignore[arg-type]
            names,
            Options(**options),
            self.begun.append,
            told.append,
        )
        assert made == told
        return {outcome.image: outcome for outcome in made}

    def certificate(self, name: str, device: str = "cpu") -> Path:
        return self.root / "build/certificates" / name / f"{device}.json"

    def edit(self, change: Callable[[dict[str, Any]], None], name: str = "plain") -> None:
        path = self.certificate(name)
        data = json.loads(path.read_text())
        change(data)
        path.write_text(json.dumps(data))


def edited(**changes: Any) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        data = json.loads((folder / "report.json").read_text())
        (folder / "report.json").write_text(json.dumps({**data, **changes}))

    return edit


def ended(**how: Any) -> Callable[[Path], RunResult]:
    return lambda folder: dataclasses.replace(RunResult(0, False, False, "one\nlast words\n\n", 2.0), **how)
