"""Counts what can be constructed and runs. The standard library and NumPy only."""

from __future__ import annotations

import contextlib
import inspect
import json
import math
import os
import select
import signal
import sys
import time
from typing import Any, Callable, Iterable, Iterator, NamedTuple, Optional

import numpy as np

STEPS = 10  # that an optimizer has to lower a loss
PATIENCE = 10  # how much longer a child process may last than it may compute


TICK = 0.02  # seconds: the clock of processors counts in hundredths, and may be one behind


class Trial(NamedTuple):
    """What is tried: ``run`` constructs it, runs it and returns arrays, or a nest of them."""

    name: str
    run: Callable[[], Any]


class TimeUp(BaseException):
    """A trial took too long. Not an Exception: nothing that is tried is to catch it."""


def counted(trials: Iterable[Trial], each: float, whole: float, apart: bool = False) -> dict[str, Any]:
    """How many of the trials ran, and why the others did not.

    ``each`` and ``whole`` are seconds of processor time: for one trial, and for all of them. Trials ``apart`` run in
    a child process each, for frameworks that end the process where others raise.
    """
    end = _processor() + whole
    ran: list[str] = []
    failed: list[str] = []
    for trial in trials:
        start = _processor()
        left = min(each, end - start)
        why = (_why_apart if apart else why_not)(trial, left) if left > TICK else f"the {whole:g} seconds were over"
        print(f"{trial.name}: {why or 'ran'} ({_processor() - start:.1f} s)", file=sys.stderr, flush=True)
        if why is None:
            ran.append(trial.name)
        else:
            failed.append(f"{trial.name}: {why}")
    return {"found": len(ran) + len(failed), "ran": len(ran), "names": ran, "did_not_run": failed}


def _processor() -> float:
    """Seconds that this process and its children have computed: other load on the machine takes none of them."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def why_not(trial: Trial, seconds: float) -> Optional[str]:
    """Why a trial did not run, in one line; None if it did."""
    try:
        with limited(seconds):
            numbers = list(flat(trial.run()))
    except TimeUp:
        return f"it took more than {seconds:.1f} seconds"
    except Exception as error:  # whatever it raises is the reason
        return reason(error)
    if not numbers or not sum(one.size for one in numbers):
        return "nothing came out"
    if not all(np.isfinite(one).all() for one in numbers):
        return "what came out is not finite"
    return None


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise TimeUp in here after so many seconds of processor time, as soon as Python has the word again."""

    def over(*_: Any) -> None:
        raise TimeUp

    before = signal.signal(signal.SIGPROF, over)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _why_apart(trial: Trial, seconds: float) -> Optional[str]:
    """As ``why_not``, in a child process that may end in any way."""
    sys.stdout.flush()
    sys.stderr.flush()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        code = 1
        try:
            os.dup2(writing, 2)  # the last words of a process that ends itself
            os.write(writing, b"\n" + json.dumps(why_not(trial, seconds)).encode() + b"\n")
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    said, late = _read(reading, time.monotonic() + PATIENCE * seconds)
    os.close(reading)
    if late:
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    lines = said.decode(errors="replace").strip().splitlines()
    if status == 0:
        return json.loads(lines[-1])
    return f"it took more than {seconds:.1f} seconds" if late else last_words(lines)


def _read(pipe: int, end: float) -> tuple[bytes, bool]:
    """All that comes out of a pipe, and whether it was still open in the end."""
    said = b""
    while select.select([pipe], [], [], max(0.0, end - time.monotonic()))[0]:
        more = os.read(pipe, 65536)
        if not more:
            return said, False
        said += more
    return said, True


def last_words(lines: list[str]) -> str:
    """What a process said of why it ended: the last line of an error, where glog wrote one."""
    told = [line.split("] ", 1)[1] for line in lines if line.startswith("F") and "] " in line]
    return "it ended the process: " + _short(told[-1] if told else (lines[-1] if lines else "without a word"))


def reason(error: BaseException) -> str:
    """An error in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return _short(f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__)


def _short(text: str) -> str:
    return text if len(text) <= 200 else text[:197] + "..."


def flat(nest: Any) -> Iterator[np.ndarray]:
    """The arrays of numbers in a nest of lists, tuples, dictionaries and whatever NumPy takes for an array."""
    if nest is None or isinstance(nest, str):
        return
    if isinstance(nest, dict):
        nest = list(nest.values())
    if isinstance(nest, (list, tuple)):
        for one in nest:
            yield from flat(one)
        return
    array = np.asarray(nest)
    if array.dtype.kind in "biufc":
        yield array


def public(namespace: Any, base: type) -> list[tuple[str, type]]:
    """The public classes below ``base`` in a namespace, each once, by its own name if it has that there."""
    found: dict[type, str] = {}
    for name, one in sorted(vars(namespace).items()):
        if not name.startswith("_") and inspect.isclass(one) and issubclass(one, base) and one is not base:
            found[one] = name if name == one.__name__ else found.get(one, name)
    return sorted((name, one) for one, name in found.items())


def built(make: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    """What ``make`` makes of the arguments that it must have, each taken by its name; a callable one is called."""
    given = {}
    for name, parameter in inspect.signature(make).parameters.items():
        if parameter.default is parameter.empty and parameter.kind not in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        ):
            if name not in arguments:
                raise TypeError(f"nothing is known here that it could be given as {name}")
            given[name] = arguments[name]() if callable(arguments[name]) else arguments[name]
    return make(**given)


def first(attempts: Iterable[Callable[[], Any]]) -> Any:
    """What the first attempt gives that raises nothing and gives finite numbers; else the first error is raised."""
    errors: list[Exception] = []
    for attempt in attempts:
        try:
            made = attempt()
            numbers = list(flat(made))
            if numbers and all(np.isfinite(one).all() for one in numbers):
                return made
        except Exception as error:  # noqa: PERF203 -- the next attempt may go well
            errors.append(error)
    raise errors[0] if errors else ValueError("nothing that is finite came out")


def lowered(losses: list[float]) -> list[float]:
    """The losses of some steps, if the last is below the first."""
    if not losses[-1] < losses[0] or math.isnan(losses[-1]):
        raise ArithmeticError(f"the loss went from {losses[0]:.6g} to {losses[-1]:.6g} in {len(losses) - 1} steps")
    return losses
