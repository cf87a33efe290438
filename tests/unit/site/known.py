"""A small checkout with two certified images, and results of a comparison of two frameworks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from assay import catalog, certificate, site
from assay.compare import Answer, Comparison, Control, Interval, Problem, Question, Ratio
from assay.compare.line import Limits, Line, Machine
from tests.unit.certificate import reports
from tests.unit.repository import repository

D = "sha256:" + "d" * 64
LABELS = {"python": "3.13", "cuda": "13.2"}


def statement(image: str, plan: Mapping[str, Any], stack: Mapping[str, Any], **facts: Any) -> dict[str, Any]:
    """A certificate in which all holds, of an image that says of itself what is given."""
    report = reports.written(reports.a_plan(image=image, labels={"python": "3.13"}, **plan))
    report["stack"].update(stack)
    return reports.stated(report, name=image, **facts)


def checkout(root: Path, *statements: dict[str, Any]) -> list[site.Subject]:
    """The images of a checkout that has these certificates, or two plain ones."""
    repository(root)
    made = statements or (statement("torchy", {}, {}), statement("tensory", {"framework": "newcomer"}, {}))
    for number, one in enumerate(made):
        certificate.write(root / f"certificates/{number}/cpu.json", one)
    return site.of_checkout(catalog.load(root), reports.SUITES)


def question(name: str, kind: Any = "facts", cells: Iterable[str] = ("a", "b")) -> Question:
    measures = {"steps": "a steady step"} if kind == "timed" else {}
    titles = {cell: f"The cell {cell}".replace("/", ", ") for cell in cells}
    return Question(name, f"How about {name}?", f"A claim on {name}.", kind, titles, measures, ("torch", "keras"))


def line(question: str, cell: str, framework: str, outcome: Any = "done", **more: Any) -> Line:
    return Line(
        **{
            "question": question, "cell": cell, "framework": framework, "outcome": outcome, "seconds": 0.5,
            "image": "torchy", "name": "assay/torchy:1", "digest": D, "layers": (D,), "device": "cpu",
            "program": "c" * 64, "set": "1", "block": None, "place": 0, "threads": 2, "load": 0.0,
            "limits": Limits(cpus="0-1", memory_bytes=2**33), "started": "2026-11-27T10:00:00Z",
            "machine": Machine(cpu="A processor", cores=2, memory_bytes=2**34, kernel="6"), **more,
        }
    )  # fmt: skip


def fact(question: str, cell: str, framework: str, outcome: Any = "done", **more: Any) -> Answer:
    """An answer with its line; ``because`` where it is not done."""
    return Answer(
        question, cell, framework, outcome, more.get("because"), line(question, cell, framework, outcome, **more)
    )


def timed(question: str, cell: str, framework: str, middle: float, verdict: Any = "shown") -> Answer:
    interval = Interval(middle * 0.98, middle, middle * 1.02)
    points = {block: middle * (0.97 + 0.01 * block) for block in range(6)}
    ratio = Ratio("steps", interval, 0.001, points, 0.002 * middle, 0.002, "1", None, verdict)
    return Answer(question, cell, framework, "done", None, line(question, cell, framework), {"steps": ratio})


def comparison(*answers: Answer, problems: Iterable[Problem] = (), controls: Iterable[Control] = ()) -> Comparison:
    """Of all questions of the answers; those with slashes in their cells are timed."""
    cells: dict[str, list[str]] = {}
    for one in answers:
        cells.setdefault(one.question, []).append(one.cell)
    asked = {
        name: question(name, "timed" if "/" in its[0] else "facts", dict.fromkeys(its)) for name, its in cells.items()
    }
    return Comparison(asked, answers, tuple(controls), tuple(problems))


def with_questions(root: Path, found: Comparison) -> Comparison:
    """The comparison, whose questions have a file in the checkout."""
    for name in found.questions:
        path = root / "compare" / name / "question.py"
        path.parent.mkdir(parents=True)
        path.write_text(f'"""How about {name}? What is done is told here.\n\nValues: none."""\n')
    return found
