"""Runs a plan: fresh processes, bounded in time and in output, whose findings become the report.

Standard library only. A process that crashes, hangs or is killed costs the family that it was in; the others of that
process go on in a new one.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, Optional

from smoke import host
from smoke.checks import FAMILIES, STAGES, UNTOUCHED, Family
from smoke.plan import Plan, backend_environment, declared
from smoke.report import SUITE, Fault, Report, Result, fault_from, not_run, result_from

# A process of checks: the suite comes in by its path, so that no variable tells of it.
START = "import sys; sys.path.insert(0, sys.argv.pop(1)); from smoke.child import main; sys.exit(main(sys.argv[1:]))"
KEPT_OUTPUT = 4096
TICK = 0.05


def wanted(plan: Plan, only: Sequence[str] = ()) -> list[Family]:
    """The families that a plan asks for, less those that no prefix in ``only`` touches."""
    asked = set(plan.workloads)
    domain = asked & set(declared(plan.framework, "WORKLOADS"))
    chosen = [one for one in FAMILIES if not one.optional or one.name in asked or (one.name == "domain" and domain)]
    if not only:
        return chosen
    return [one for one in chosen if any(_touches(prefix, one.prefix) for prefix in only)]


def run(plan: Plan, only: Sequence[str] = ()) -> Report:
    """Runs the plan and returns the report; what goes wrong in a check is in it. Raises OSError without scratch."""
    scratch = Path(tempfile.mkdtemp(prefix="smoke-"))
    runners = [Runner(plan, *part, scratch) for part in parts(plan, wanted(plan, only))]
    try:
        run_stages(runners)
    finally:
        shutil.rmtree(str(scratch), ignore_errors=True)
    results = [one for runner in runners for one in runner.results()]
    return Report(
        image=plan.image,
        plan=plan.as_json(),
        host=host.describe(plan.device),
        stack=_stack(runners),
        results=tuple(
            sorted(
                (one for one in results if not only or any(_touches(prefix, one.id) for prefix in only)),
                key=_place,
            )
        ),
        faults=tuple(one for runner in runners for one in runner.faults()),
        complete=not only,
    )


def parts(plan: Plan, families: list[Family]) -> list[tuple[str, list[Family]]]:
    """The families of a run by backend: with each backend those about the framework, with "" what is run once."""
    if not plan.backends:
        return [("", families)]
    once = [one for one in families if one.once]
    rest = [one for one in families if not one.once]
    return [("", once), *((backend, rest) for backend in plan.backends)]


def _stack(runners: Sequence[Runner]) -> dict[str, Any]:
    """What was loaded, in the framework's own words: ``details``, or ``backends`` with the words of each."""
    told = {one.backend: one.found.stack for one in runners if one.found.stack}
    facts: dict[str, Any] = {}
    for one in runners:
        for name, value in one.found.facts.items():
            facts[name] = {**facts.get(name, {}), **value} if isinstance(value, dict) else value
    if not told:
        return facts
    framework = "{name} {version}".format_map(next(iter(told.values())))
    words = {"details": told[""]} if "" in told else {"backends": told}
    return {"python": platform.python_version(), "framework": framework, **words, **facts}


def _place(result: Result) -> int:
    """Where a result stands in the report: with those whose ids begin as its own does."""
    beginning = result.id.partition(".")[0]
    return next(at for at, one in enumerate(FAMILIES) if one.prefix.partition(".")[0] == beginning)


def _touches(prefix: str, check_id: str) -> bool:
    return check_id.startswith(prefix) or prefix.startswith(check_id + ".")


@dataclass
class Findings:
    """What the processes have written down so far; ``over`` names the families that cannot go on."""

    results: list[Result] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    stack: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    over: set[str] = field(default_factory=set)

    def take(self, line: dict[str, Any]) -> None:
        """Takes in one line of a process."""
        if "result" in line:
            self.add(result_from(line["result"]))
        elif "fault" in line:
            self.faults.append(fault_from(line["fault"]))
        elif "stack" in line:
            self.stack = self.stack or line["stack"]
        elif "facts" in line:
            self.facts.update(line["facts"])

    def add(self, result: Result) -> None:
        """Takes in a result. A family in error is over: its later processes would judge what is not there."""
        self.results.append(result)
        if result.state == "error":
            self.over.add(result.family)

    def lacks_framework(self) -> bool:
        """True once the framework is known not to import, so that each family need not find it out in turn."""
        return any(one.family == "imports" and _is_import_failure(one) for one in self.results)


def _is_import_failure(one: Result) -> bool:
    return one.state == "error" or (one.id == "imports.framework" and one.state != "pass")


def run_stages(runners: Sequence[Runner]) -> None:
    """Runs all lanes to their end, one runner after the other in each. If told to end, so are the children."""
    stop = threading.Event()

    def lane(processes: Sequence[str]) -> None:
        for runner in runners:
            runner.lane(processes, stop)

    for stage in STAGES:
        with ThreadPoolExecutor(len(stage) if runners[0].plan.device == "cpu" else 1) as pool:
            lanes = [pool.submit(lane, processes) for processes in stage]
            try:
                for one in lanes:
                    one.result()
            except BaseException:
                stop.set()
                raise


class Runner:
    """One run of families with one backend ("" where the framework has none): its processes, and what they found."""

    def __init__(self, plan: Plan, backend: str, families: list[Family], scratch: Path) -> None:
        self.plan = plan
        self.backend = backend
        self.families = families
        self.scratch = scratch / backend
        self.scratch.mkdir(exist_ok=True)
        self.found = Findings()

    def results(self) -> list[Result]:
        """What was found, under ids that name the backend."""
        return [dataclasses.replace(one, id=self._named(one.id)) for one in self.found.results]

    def faults(self) -> list[Fault]:
        """The faults that were put in, under ids that name the backend."""
        named = self._named
        return [dataclasses.replace(one, id=named(one.id), check=named(one.check)) for one in self.found.faults]

    def _named(self, check_id: str) -> str:
        return f"{check_id}.{self.backend}" if self.backend else check_id

    def lane(self, processes: Sequence[str], stop: threading.Event) -> None:
        """Runs one lane's processes, one after the other."""
        for process in processes:
            left = [one for one in self.families if process in one.processes and one.name not in self.found.over]
            while left and not stop.is_set():
                if self.found.lacks_framework():
                    for one in left:
                        self._refuse(one)
                    break
                ended = self._process(process, [one.name for one in left], stop)
                left = [one for one in left if one.name not in ended]

    def _temporary(self) -> Path:
        folder = self.scratch / "tmp"
        folder.mkdir(exist_ok=True)
        return folder

    def _refuse(self, family: Family) -> None:
        self.found.over.add(family.name)
        reason = "the framework cannot be imported, see imports"
        self.found.results.append(not_run(family.prefix, family.name, reason))

    def _process(self, process: str, names: list[str], stop: threading.Event) -> set[str]:
        """Runs one process to its end and takes its findings in; returns the families that need no other try."""
        out, plan_file = self.scratch / (process + ".jsonl"), self.scratch / (process + ".plan.json")
        out.write_text("")
        plan_file.write_text(json.dumps(self.plan.as_json()))
        child = [sys.executable, "-c", START, str(SUITE.parent)]
        argv = [*child, process, ",".join(names), str(plan_file), str(out)]
        chosen = backend_environment(self.plan.framework, self.backend)
        if process not in UNTOUCHED:
            chosen["TMPDIR"] = str(self._temporary())
            if self.plan.device == "cpu":  # see bench.SIDE_BY_SIDE; who has set it keeps his own
                chosen["OMP_WAIT_POLICY"] = os.environ.get("OMP_WAIT_POLICY", "PASSIVE")
        ending = bounded(argv, self.scratch, out, self.plan.seconds_per_check, stop, chosen)
        began, ended = _take_all(out, self.found)
        if ending.reason or not ended:
            name = _blamed(names, began, ended)
            prefix = next(one.prefix for one in FAMILIES if one.name == name)
            reason = ending.reason or "the process ended by itself before the check did"
            self.found.add(Result(prefix, name, "error", reason + ending.evidence(), ending.remedy))
            ended.append(name)
        return set(ended)


def _blamed(names: list[str], began: list[str], ended: list[str]) -> str:
    """The family in which a process ended badly.

    Between two families there is none: then the next takes the blame, so that each try is one family nearer to the
    end. After the last one, it is the last.
    """
    for one in began + names:
        if one not in ended:
            return one
    return names[-1]


def _take_all(out: Path, found: Findings) -> tuple[list[str], list[str]]:
    began, ended = [], []
    for text in out.read_text(encoding="utf-8").split("\n"):
        try:
            line = json.loads(text)
        except ValueError:  # the last line of a process that was killed while it wrote
            continue
        if "begin" in line:
            began.append(line["begin"])
        elif "end" in line:
            ended.append(line["end"])
        else:
            found.take(line)
    return began, ended


@dataclass(frozen=True)
class Exit:
    """How a process ended: ``reason`` is empty if well, ``output`` is the last of what it said."""

    reason: str = ""
    remedy: str = ""
    output: str = ""

    def evidence(self) -> str:
        """The process's last words, to stand under the reason."""
        return "\nlast output: " + self.output.strip()[-KEPT_OUTPUT:] if self.output.strip() else ""


def bounded(
    argv: Sequence[str],
    scratch: Path,
    out: Path,
    seconds: float,
    stop: threading.Event,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> Exit:
    """Runs ``argv`` in a process group of its own until it ends, or ``stop`` is set.

    It is ended, too, if it writes nothing to ``out`` for ``seconds``. ``variables`` are added to its environment.
    """
    child = subprocess.Popen(
        list(argv),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=str(scratch),
        env={**os.environ, **variables},
        start_new_session=True,
    )
    tail = _Tail(child.stdout)
    late = not _wait(child.pid, out, seconds, stop)
    # The leader is not reaped yet, so its number is still that of its group: no other process can be hit.
    os.killpg(child.pid, signal.SIGKILL)
    code = child.wait()
    output = tail.end()
    if late:
        return Exit(
            f"no check came to its end within {seconds} s; the process was ended",
            "Raise seconds_per_check if the machine is slow; otherwise the check hangs.",
            output,
        )
    return Exit(*_reason(code), output=output) if code else Exit()


def _wait(pid: int, out: Path, seconds: float, stop: threading.Event) -> bool:
    """Waits for the end without reaping. False if no family began or ended, nor any result came, in time."""
    size, since = 0, time.monotonic()
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None and not stop.is_set():
        written, now = out.stat().st_size, time.monotonic()
        if written != size:
            size, since = written, now
        if now - since > seconds:
            return False
        stop.wait(TICK)
    return True


def _reason(code: int) -> tuple[str, str]:
    if code == -signal.SIGKILL:
        return (
            "the process was killed (signal 9), most likely by the kernel because memory ran out",
            "Give the container more memory.",
        )
    if code == -signal.SIGBUS:
        return "the process was killed (signal 7, bus error), likely no room in /dev/shm", "Raise --shm-size."
    if code < 0:
        return f"the process was killed by signal {-code} ({signal.Signals(-code).name})", ""
    return f"the process ended with exit code {code}", ""


class _Tail:
    """Reads a pipe to its end in a thread and keeps only the last bytes, however much comes."""

    def __init__(self, pipe: Optional[IO[bytes]]) -> None:
        assert pipe is not None
        self._pipe = pipe
        self._kept = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while True:
            block = os.read(self._pipe.fileno(), 65536)
            if not block:
                return
            self._kept = (self._kept + block)[-KEPT_OUTPUT:]

    def end(self) -> str:
        """What was kept. A process that left the group may hold the pipe open: it is not waited for."""
        self._thread.join(timeout=2)
        if not self._thread.is_alive():
            self._pipe.close()
        return self._kept.decode("utf-8", "replace")
