"""Asks one framework one question, in its image: python /compare/run.py QUESTION FRAMEWORK [--cell NAME]...

Standard output holds one JSON line for each cell and nothing else; what programs print goes to standard error:

    {"schema": 1, "question": …, "framework": …, "cell": …, "outcome": "done" | "cannot" | "failed",
     "because": why it cannot or failed, else null, "values": {…}, "text": … | null,
     "lines": lines of working code | null, "seconds": …}

A question is a folder. Its question.py imports the standard library and NumPy only, and has
    TITLE, CLAIM, KIND      the question; what is claimed; "facts" or "timed": literals
    CELLS                   {cell: title}, in their order: a literal, so that a reader needs not run it
    measure(cell, function, task)
                            runs the framework's function and returns {"values": {…}, "text": …}. Wrong results raise
                            AssertionError (the cell failed). {"cannot": reason} says that it cannot be done here;
                            "program": name is another function of the file, whose lines are counted instead.
and may have
    program(cell)           the name of the function that answers the cell; by default the cell's, "-" and "/" as "_"
    cannot(cell, module)    the reason why this framework need not be asked, or None
    after_crash(cell, signal, lines)
                            what a crash means: as measure returns it, from the signal's name and the last lines on
                            standard error. By default the cell failed.
    LIMIT                   seconds that a cell may take (300)
    APART                   True (the default): each cell gets a process of its own. False: the cells of a framework
                            share one, and a crash ends only the cell that crashed.

A framework's file, <question>/<framework>.py, imports the standard library, NumPy and the framework. It has one
function a cell, and may have
    CANNOT = {cell: reason}   what it cannot do, one sentence each
    NOTES = {cell: sentence}  what a reader must know about a program: the cell's value "note"
    APART = True | False      overrules the question's

`task` has: question, framework, module (the framework's file), seed, threads (0: as many as there are), settings
(what --set gave, as strings).
Lines of working code: those of the function, and of what it uses in its file, without imports, blanks, comments and
docstrings. A name in the file's tuple SCAFFOLD is not counted, nor is what only that one uses.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import json
import os
import sys
import time
import traceback
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Callable, Iterator, Optional

import working_code
from process import TAIL, Process

HERE = Path(__file__).resolve().parent
SCHEMA = 1
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def main() -> int:
    """The command; 2 on wrong usage, else 0: a cell that failed is an answer."""
    asked = _arguments()
    asking = _file(asked).with_name("question.py")
    for file in (asking, _file(asked)):
        if not file.is_file():
            return _wrong(f"there is no {file}")
    answers = os.fdopen(_take_stdout(), "w", encoding="utf-8")
    question = _load(asking)
    unknown = [cell for cell in asked.cell if cell not in question.CELLS]
    if unknown:
        return _wrong(f"{asked.question} has no cell {', '.join(unknown)}; it has {', '.join(question.CELLS)}")
    cells = [cell for cell in question.CELLS if not asked.cell or cell in asked.cell]
    for line in _answer_here(asked, question, cells) if asked.here else _answers(asked, question, cells):
        answers.write(_written(line) + "\n")
        answers.flush()
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("question")
    parser.add_argument("framework")
    parser.add_argument("--cell", action="append", default=[], metavar="NAME", help="ask this cell only; repeatable")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=0, help="threads of a process (0: as many as there are)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the question")
    parser.add_argument("--questions", default=str(HERE), help="the folder of the questions")
    parser.add_argument("--here", action="store_true", help="all cells in this very process")
    return parser.parse_args()


def _wrong(why: str) -> int:
    print(why, file=sys.stderr)
    return 2


def _file(asked: argparse.Namespace) -> Path:
    """The framework's file."""
    return Path(asked.questions, asked.question, f"{asked.framework}.py")


def _take_stdout() -> int:
    """Keep standard output for the answers: whatever else writes to it, C++ included, writes to standard error."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    return kept


def _load(file: Path) -> ModuleType:
    """A module of a file whose name a framework has too: it goes by another one."""
    spec = importlib.util.spec_from_file_location(f"{file.parent.name}_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where pickle and Caffe look for a file's classes
    spec.loader.exec_module(module)
    return module


# Each cell, in the processes that answer them


def _answers(asked: argparse.Namespace, question: ModuleType, cells: list[str]) -> Iterator[dict[str, Any]]:
    """A line for each cell. What a process leaves unanswered because it died goes on in another."""
    apart, limit = _apart(asked, question), float(getattr(question, "LIMIT", 300))
    rest = list(cells)
    while rest:
        process = Process(_command(asked), _environment(asked), rest[:1] if apart else rest, limit)
        answered = 0
        for line in process.lines():
            answered += 1
            yield line
        if answered < len(process.cells):
            yield _crashed(asked, question, process.cells[answered], process)
            answered += 1
        rest = rest[answered:]


def _apart(asked: argparse.Namespace, question: ModuleType) -> bool:
    """Read from the framework's file without running it: this process imports no framework."""
    tree = ast.parse(_file(asked).read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and [one.id for one in node.targets if isinstance(one, ast.Name)] == [
            "APART"
        ]:
            return bool(ast.literal_eval(node.value))
    return bool(getattr(question, "APART", True))


def _crashed(asked: argparse.Namespace, question: ModuleType, cell: str, process: Process) -> dict[str, Any]:
    """The line of the cell that the process died of."""
    lines = list(process.tail)
    answer = {"failed": f"its process ended: {process.ending}", "text": "\n".join(lines)}
    if hasattr(question, "after_crash") and process.ending.startswith("SIG"):
        answer = question.after_crash(cell, process.ending, lines)
    counted = working_code.lines_of(_file(asked), _program(question, cell))
    return _line(asked, cell, answer, time.perf_counter() - process.start, counted)


def _command(asked: argparse.Namespace) -> list[str]:
    settings = [word for one in asked.set for word in ("--set", one)]
    more = ["--here", "--questions", asked.questions, "--seed", str(asked.seed), "--threads", str(asked.threads)]
    return [sys.executable, str(Path(__file__).resolve()), asked.question, asked.framework, *more, *settings]


def _environment(asked: argparse.Namespace) -> dict[str, str]:
    """Libraries read their number of threads when they are loaded."""
    threads = dict.fromkeys(THREADS, str(asked.threads)) if asked.threads else {}
    return {**os.environ, "PYTHONUNBUFFERED": "1", **threads}


# One cell


def _answer_here(asked: argparse.Namespace, question: ModuleType, cells: list[str]) -> Iterator[dict[str, Any]]:
    file = _file(asked)
    module = _load(file)
    task = SimpleNamespace(
        question=asked.question,
        framework=asked.framework,
        module=module,
        seed=asked.seed,
        threads=asked.threads,
        settings=dict(one.partition("=")[::2] for one in asked.set),
    )
    for cell in cells:
        start = time.perf_counter()
        name = _program(question, cell)
        answer = _answer(question, module, cell, name, task)
        lines = None if "cannot" in answer else working_code.lines_of(file, answer.get("program", name))
        yield _line(asked, cell, answer, time.perf_counter() - start, lines)
        sys.stdout.flush()


def _program(question: ModuleType, cell: str) -> str:
    return str(question.program(cell) if hasattr(question, "program") else cell.replace("-", "_").replace("/", "_"))


def _answer(question: ModuleType, module: ModuleType, cell: str, name: str, task: SimpleNamespace) -> dict[str, Any]:
    reason = getattr(module, "CANNOT", {}).get(cell)
    if reason is None and hasattr(question, "cannot"):
        reason = question.cannot(cell, module)
    if reason:
        return {"cannot": reason}
    function: Optional[Callable[..., Any]] = getattr(module, name, None)
    if function is None:
        return {"failed": f"the framework's file has no function {name}"}
    try:
        answer = question.measure(cell, function, task)
        note = getattr(module, "NOTES", {}).get(cell)
        return answer if note is None else {**answer, "values": {**answer.get("values", {}), "note": note}}
    except Exception as why:  # whatever a framework raises is an answer
        text = traceback.format_exc()
        sys.stderr.write(text)
        said = str(why).strip().splitlines() or [""]
        said = said[-1 if said[0].startswith("Traceback") else 0]  # MXNet's messages begin with one of their own
        return {"failed": f"{type(why).__name__}: {said[:300]}", "text": "\n".join(text.splitlines()[-TAIL:])}


def _line(
    asked: argparse.Namespace, cell: str, answer: dict[str, Any], seconds: float, lines: Optional[int]
) -> dict[str, Any]:
    (outcome,) = [one for one in ("cannot", "failed") if one in answer] or ["done"]
    return {
        "schema": SCHEMA,
        "question": asked.question,
        "framework": asked.framework,
        "cell": cell,
        "outcome": outcome,
        "because": answer.get(outcome),
        "values": answer.get("values", {}),
        "text": answer.get("text"),
        "lines": answer.get("lines", lines),
        "seconds": round(seconds, 3),
    }


def _written(line: dict[str, Any]) -> str:
    try:
        return json.dumps(line, default=_plain, allow_nan=False)
    except ValueError:  # JSON has no infinity and no NaN
        return json.dumps({**line, "outcome": "failed", "because": f"no numbers: {line['values']}", "values": {}})


def _plain(value: Any) -> Any:
    """NumPy's numbers and arrays as Python's."""
    return value.tolist()


if __name__ == "__main__":
    sys.exit(main())
