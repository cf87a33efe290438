"""How easy is it to debug? The same mistakes of a user in each framework, and what the framework says to them.

A program trains a small network in steps, and has one mistake, on a line that ends in "# <- the mistake". Just before
it, the program prints a value that is there. It is run by itself and with the framework's compiler ("-compiled").
A framework's file has, besides what run.py asks for,
    eager, compiled     what its functions get as their second argument: the way to run a function. There is no
                        compiled where there is but one way, and ONE_WAY says which
A function returns the losses of the steps; or, where the mistake cannot be made, a sentence that says why.

Values: possible (the mistake can be made), raised, error (the class), step (of training, from 1 on; 0: before it),
names_line (the last line of the user's file that the error shows is the mistake), shows_line (one of them is),
names_it (the message has the sizes, types or devices that do not fit), printable (print shows numbers there),
warned, harmless (nothing was raised, and the losses are as if there were no mistake), losses (nothing was raised).
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import tempfile
import traceback
import warnings
from pathlib import Path
from typing import Any, Callable, Iterator, Optional

import numpy as np

TITLE = "How easy is it to debug?"
CLAIM = "PyTorch's dynamic graph is easier to debug."
KIND = "facts"
CELLS = {
    "wrong-shape": "A sum of two layers of different widths",
    "wrong-shape-compiled": "A sum of two layers of different widths, compiled",
    "wrong-dtype": "Integers where the weights are floats",
    "wrong-dtype-compiled": "Integers where the weights are floats, compiled",
    "nan": "NaN in the seventh layer, from the third step on",
    "nan-compiled": "NaN in the seventh layer, from the third step on, compiled",
    "nan-checked": "NaN in the seventh layer, with the framework's check for it",
    "nan-checked-compiled": "NaN in the seventh layer, with the framework's check for it, compiled",
    "label-range": "A label that no class has, in the third step",
    "label-range-compiled": "A label that no class has, in the third step, compiled",
    "gradients-kept": "Gradients that nobody resets",
    "gradients-kept-compiled": "Gradients that nobody resets, compiled",
    "two-devices": "A product of values on two devices",
    "two-devices-compiled": "A product of values on two devices, compiled",
    "in-place": "A value is changed that the gradient needs",
    "in-place-compiled": "A value is changed that the gradient needs, compiled",
    "broadcast": "A difference of a column and a row: broadcast to a square",
    "broadcast-compiled": "A difference of a column and a row: broadcast to a square, compiled",
    "broadcast-loss": "A column and a row in the framework's own squared loss",
    "broadcast-loss-compiled": "A column and a row in the framework's own squared loss, compiled",
    "own-print": "No mistake: a value in mid-net, printed by what the framework has for it",
    "own-print-compiled": "No mistake: a value in mid-net, printed by what the framework has for it, compiled",
}
APART = False
LIMIT = 900
STEPS, BAD_STEP = 5, 3
MARK = "# <- the mistake"
NAMED = {  # what a message names if it names what does not fit
    "wrong-shape": (r"\b5\b", r"\b4\b"),
    "wrong-dtype": (r"(?i)int64|long|float64", r"(?i)float"),
    "label-range": (r"(?i)(target|label|index)[^\d:\n]{0,30}\b3\b",),
    "two-devices": (r"(?i)cpu", r"(?i)meta|cpu\(1\)|cpu:1|CpuDevice\(id=1\)|\[1\]"),
    "nan-checked": (r"(?i)nan",),
    "broadcast": (r"\b8\b", r"\b1\b"),
    "broadcast-loss": (r"\b8\b", r"\b1\b"),
}
NUMBERS = re.compile(r"\[\[ *-?\d")  # how every framework's print begins a matrix, and no symbol
COLOURS = re.compile(r"\x1b\[[\d;]*m")
# Before the path of a source in C++, as /home/maker/framework/src/operator.cc has it.
COMPILED_IN = re.compile(r"(?<![\w.-])/(?:[\w.-]+/)*(?=[\w.-]+/src/[\w./-]+\.(?:cc|cpp|cu|h|hpp)\b)")
LOGGED = re.compile(r"[IWEF]\d{4} ")  # of Google's logging library


class Task:
    """What a program is given: float32 weights, and batches as it asks for them.

    scores = tanh(x w1) w2, x (8, 6), w1 (6, 5), w2 (5, 3), classes 0 to 2; narrow (6, 4) is the layer that does not
    fit, and gain (5,) is one. Of regressions: w_one (5, 1), and targets y (8,). Of the deep network: deep, ten
    weights (6, 6).
    """

    def __init__(self, seed: int) -> None:
        random = np.random.RandomState(seed)

        def weights(*shape: int) -> np.ndarray:
            return (random.randn(*shape) / 2).astype(np.float32)

        self.w1, self.w2, self.narrow, self.w_one = weights(6, 5), weights(5, 3), weights(6, 4), weights(5, 1)
        self.gain = np.ones(5, np.float32)
        self.deep = [weights(6, 6) for _ in range(10)]
        self.x = random.randint(0, 4, (STEPS, 8, 6)).astype(np.float32)
        self.labels, self.targets = random.randint(0, 3, (STEPS, 8)), random.randn(STEPS, 8).astype(np.float32)
        self.rate, self.step = 0.1, 0

    def batches(self, x: Any = None, y: Any = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """x and labels of each step; counts the steps."""
        for one in zip(self.x if x is None else x, self.labels if y is None else y):
            self.step += 1
            print(f"step {self.step}", file=sys.stderr, flush=True)
            yield one

    def integer_batches(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The same numbers in x, of NumPy's type int64."""
        return self.batches(x=self.x.astype(np.int64))

    def empty_batches(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """x of the third step is zero: so is what comes to the seventh layer, which divides by its length."""
        x = self.x.copy()
        x[BAD_STEP - 1] = 0
        return self.batches(x=x)

    def bad_label_batches(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The third step has a label 3."""
        labels = self.labels.copy()
        labels[BAD_STEP - 1, 0] = 3
        return self.batches(y=labels)

    def regression_batches(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """With targets instead of labels."""
        return self.batches(y=self.targets)


# What the losses are without the mistake


def _classified(task: Task, masked: bool = False) -> list[float]:
    """With masked, the first example's hidden values are zero."""
    w1, w2, losses = np.float64(task.w1), np.float64(task.w2), []
    for x, y in zip(np.float64(task.x), task.labels):
        h = np.tanh(x @ w1)
        slope = 1 - h * h
        if masked:
            h[0], slope[0] = 0, 0
        scores = h @ w2
        p = np.exp(scores - scores.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        losses.append(-float(np.log(p[np.arange(8), y]).mean()))
        back = (p - np.eye(3)[y]) / 8
        w1, w2 = w1 - task.rate * x.T @ (back @ w2.T * slope), w2 - task.rate * h.T @ back
    return losses


def _regressed(task: Task) -> list[float]:
    w1, w2, losses = np.float64(task.w1), np.float64(task.w_one), []
    for x, y in zip(np.float64(task.x), task.targets):
        h = np.tanh(x @ w1)
        error = h @ w2 - y[:, None]
        losses.append(float((error**2).mean()))
        back = 2 * error / 8
        w1, w2 = w1 - task.rate * x.T @ (back @ w2.T * (1 - h * h)), w2 - task.rate * h.T @ back
    return losses


RIGHT: dict[str, Callable[[Task], list[float]]] = {
    "wrong-dtype": _classified,
    "gradients-kept": _classified,
    "two-devices": _classified,
    "own-print": _classified,
    "in-place": lambda task: _classified(task, masked=True),
    "broadcast": _regressed,
    "broadcast-loss": _regressed,
}


def program(cell: str) -> str:
    """One for both ways."""
    return cell.replace("-compiled", "").replace("-", "_")


def cannot(cell: str, module: Any) -> Optional[str]:
    """Nothing is asked twice of a framework that has one way."""
    return module.ONE_WAY if cell.endswith("-compiled") and not hasattr(module, "compiled") else None


class _Both(io.StringIO):
    """What Python prints is kept, and printed at once: a crash must not take it along."""

    def write(self, text: str) -> int:
        sys.stderr.write(text)
        return super().write(text)


@contextlib.contextmanager
def _all_printed() -> Iterator[io.StringIO]:
    """What is printed meanwhile, from C++ too; it goes to standard error afterwards."""
    kept, before = io.StringIO(), (os.dup(1), os.dup(2))
    with tempfile.TemporaryFile() as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
        try:
            yield kept
        finally:
            for stream, number, old in zip((sys.stdout, sys.stderr), (1, 2), before):
                stream.flush()
                os.dup2(old, number)
                os.close(old)
            file.seek(0)
            kept.write(file.read().decode("utf-8", "replace"))
            sys.stderr.write(kept.getvalue())


def measure(cell: str, function: Callable[..., Any], task: Any) -> dict[str, Any]:
    """Run the program, and look at what it raises or returns."""
    mistake, how = cell.replace("-compiled", ""), "compiled" if cell.endswith("-compiled") else "eager"
    given, raised, losses = Task(task.seed), None, None
    printing = _all_printed() if mistake == "own-print" else contextlib.redirect_stdout(_Both())
    with warnings.catch_warnings(record=True) as warned, printing as printed:
        warnings.simplefilter("default")
        try:
            losses = function(given, getattr(task.module, how))
        except Exception as why:
            raised = why
    if isinstance(losses, str):
        return {"values": {"possible": False}, "text": losses}
    told = "".join(f"{one.category.__name__}: {one.message}\n" for one in warned if _a_users(one))
    values = {"possible": True, "raised": raised is not None, "warned": bool(told)}
    values["printable"] = NUMBERS.search(printed.getvalue()) is not None
    if raised is None:
        assert losses is not None, "it returned nothing"
        return {"values": {**values, **_silent(mistake, Task(task.seed), losses)}, "text": told.strip() or None}
    here = raised.__traceback__  # the traceback begins where the user's program does
    text = told + "".join(traceback.format_exception(type(raised), raised, here.tb_next if here else None))
    sys.stderr.write(text)
    return {
        "values": {**values, **_loud(mistake, task.module, raised, text), "step": given.step},
        "text": _last(text),
    }


def _a_users(warning: Any) -> bool:
    """A warning that says that something may be wrong, and not that something will change."""
    return not issubclass(warning.category, (DeprecationWarning, FutureWarning, ResourceWarning))


def _silent(mistake: str, task: Task, losses: Any) -> dict[str, Any]:
    losses = [float(one) for one in losses]
    assert len(losses) == STEPS, f"{len(losses)} losses of {STEPS} steps"
    shown = [round(one, 6) if np.isfinite(one) else str(one) for one in losses]
    if mistake.startswith("nan"):
        assert "nan" in shown, f"no loss is NaN: {shown}"
    if mistake not in RIGHT:
        return {"harmless": False, "losses": shown}
    right = RIGHT[mistake](task)
    return {"harmless": bool(np.allclose(losses, right, rtol=1e-4)), "losses": shown}


def _loud(mistake: str, module: Any, raised: Exception, text: str) -> dict[str, Any]:
    file = Path(module.__file__)
    source = file.read_text(encoding="utf-8").splitlines()
    place = re.escape(f"{file.parent.name}/{file.name}")
    shown = [int(one or other) for one, other in re.findall(rf'{place}", line (\d+)|{place}:(\d+)', text)]
    faulty = [MARK in source[one - 1] for one in shown]
    named = NAMED.get(mistake)
    names = {} if named is None else {"names_it": all(re.search(one, str(raised)) for one in named)}
    return {
        "error": type(raised).__name__,
        "names_line": bool(faulty and faulty[-1]),
        "shows_line": any(faulty),
        **names,
    }


def _last(text: str, lines: int = 20) -> str:
    """The last lines, but for those that only underline, and without the folder where the framework was compiled."""
    text = COMPILED_IN.sub("", COLOURS.sub("", text))
    said = [line[:300] for line in text.strip().splitlines() if line.strip(" ~^")]
    return "\n".join(said[-lines:])


def after_crash(cell: str, ending: str, lines: list[str]) -> dict[str, Any]:
    """The process is gone: what it said last is all that a user has."""
    mistake = cell.replace("-compiled", "")
    steps = [int(one.split()[1]) for one in lines if re.fullmatch(r"step \d+", one)]
    text = [line for line in lines if not re.fullmatch(r"step \d+", line)]
    last = "\n".join(line for line in text if line.startswith("F"))
    values = {
        "possible": True, "raised": True, "warned": False, "error": ending, "step": steps[-1] if steps else 0,
        "names_line": False, "shows_line": False,
        "printable": any(NUMBERS.search(line) and not LOGGED.match(line) for line in text),
    }  # fmt: skip
    if mistake in NAMED:
        values["names_it"] = all(re.search(one, last) for one in NAMED[mistake])
    return {"values": values, "text": _last("\n".join(text), 12)}
