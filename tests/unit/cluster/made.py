"""Images that are built and in a registry, and a Slurm that only pretends: what it is told, and what its nodes do."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from assay import cluster
from assay.catalog import write_images
from assay.certify import Options, Outcome
from assay.cluster import Place, Wishes, watch
from assay.host import process
from assay.registry import OCI_MANIFEST, digest_of
from tests.fake_registry import FakeRegistry
from tests.unit.certify import made

REPORT = made.answer


@dataclass
class Slurm:
    """Answers Slurm's commands. ``row`` is what squeue says of a task at each look: state, reason, restarts.

    ``node`` is what a node does with the folder of a task when its job is submitted.
    """

    node: Callable[[Path], None] = lambda task: None
    rows: dict[int, list[tuple[str, str, str]]] = field(default_factory=dict)
    refuses: dict[str, process.Completed] = field(default_factory=dict)
    scripts: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    environments: list[dict[str, str]] = field(default_factory=list)
    looks: int = 0
    on_look: Callable[[], None] = lambda: None

    def run(self, argv: list[str], env: dict[str, str], **_: Any) -> process.Completed:
        program = Path(argv[0]).name
        self.environments.append(env)
        if program in self.refuses:
            return self.refuses[program]
        if argv[1:] == ["--version"]:
            return process.Completed(0, "slurm 24.11\n", "")
        return getattr(self, program)(argv)  # type: ignore[no-any-return]

    def sbatch(self, argv: list[str]) -> process.Completed:
        script = Path(argv[-1])
        self.scripts.append(script.read_text())
        for task in sorted(path for path in script.parent.iterdir() if path.name.isdigit()):
            self.node(task)
            self.rows.setdefault(int(task.name), [("COMPLETED", "None", "0")])
        return process.Completed(0, f"{100 + len(self.scripts)};tests\n", "")

    def squeue(self, argv: list[str]) -> process.Completed:
        self.looks += 1
        self.on_look()
        lines = []
        for index, rows in self.rows.items():
            state, reason, restarts = rows.pop(0) if len(rows) > 1 else rows[0]
            if state:
                lines.append(f"{index:<16}|{state:<24}|{reason:<200}|{'n1':<200}|{restarts:<10}|\n")
        return process.Completed(0, "".join(lines), "")

    def scancel(self, argv: list[str]) -> process.Completed:
        self.cancelled += argv[1:]
        return process.Completed(0, "", "")


class View:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.states: list[str] = []
        self.outcomes: list[Outcome] = []

    def state(self, name: str, text: str) -> None:
        self.states.append(f"{name}: {text}")

    def done(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)


class Site(made.Place):
    """A repository whose images are built and in the registry, and a cluster."""

    def __init__(self, root: Path, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(root)
        self.registry = registry
        for name, built in self.built.items():
            content = json.dumps({"schemaVersion": 2, "for": name}).encode()
            digest = digest_of(content)
            registry.manifests[f"team/{name}", digest] = (OCI_MANIFEST, content)
            self.built[name] = msgspec.structs.replace(built, digest=digest)
        write_images(root, self.built)
        self.slurm = Slurm(node=self.answering())
        self.view = View()
        self.slept: list[float] = []
        self.now = 0.0
        self.on_sleep: Callable[[], None] = lambda: None
        run = process.run  # git and the like, for what is not Slurm's
        names = ("sbatch", "squeue", "scancel")
        monkeypatch.setattr(
            process, "run", lambda argv, **how: (self.slurm.run if argv[0] in names else run)(argv, **how)
        )
        monkeypatch.setattr(watch, "sleep", self._sleep)
        monkeypatch.setattr(watch, "monotonic", lambda: self.now)

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        self.on_sleep()

    @property
    def shared(self) -> Path:
        return self.root / "build/cluster"

    def place(self, **changes: Any) -> Place:
        wishes = Wishes(**changes.pop("wishes", {}))
        return Place(f"{self.registry.host}/team", self.shared, wishes, **changes)

    def on_slurm(self, *names: str, again: bool = False, device: str = "cpu", **changes: Any) -> dict[str, Outcome]:
        self.view = View()
        how = Options(device, again, ranks=changes.pop("ranks", 0))
        found = cluster.certify(self.catalog, names, how, self.place(**changes), self.view)
        assert {id(outcome) for outcome in found} == {id(outcome) for outcome in self.view.outcomes}
        return {outcome.image: outcome for outcome in found}

    def answering(self, attempt: int = 0, **changes: Any) -> Callable[[Path], None]:
        """A node that trains well, and answers with these changes."""

        def answer(task: Path) -> None:
            job = dict(line.partition("=")[::2] for line in (task / "job").read_text().splitlines())
            told = {
                "nonce": job["nonce"],
                "digest": job["digest"],
                "attempt": attempt,
                "node": "n1",
                "runtime": "apptainer version 1.4",
                "stage": "train",
                "status": 0,
                "seconds": 7,
            }
            folder = task / f"answer.{attempt}.n1.{len(list(task.iterdir()))}"
            folder.mkdir()
            plan = json.loads((task / "plan.json").read_text())
            (folder / "report.json").write_text(json.dumps(REPORT(plan, self.known)))
            (folder / "log").write_text("chatter\nlast words\n")
            (folder / "answer.json").write_text(json.dumps({**told, **changes}))

        return answer
