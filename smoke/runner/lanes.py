"""The processes of a run: which run side by side, what they found, and who takes the blame if one ends badly."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smoke import SUITE
from smoke.plan import Plan, backend_environment, process_environment
from smoke.report.result import Fault, Result, fault_from, not_run, result_from
from smoke.runner.families import FAMILIES, SIDE_BY_SIDE, STAGES, UNTOUCHED, Family
from smoke.runner.process import bounded

# A process of checks: the suite comes in by its path, so that no variable tells of it.
START = """import sys
sys.path.insert(0, sys.argv.pop(1))
from smoke.runner.child import main
sys.exit(main(sys.argv[1:]))"""


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
    """Runs all chains to their end, each with one runner after the other. If told to end, so are the children."""
    stop = threading.Event()
    for stage in STAGES:
        with ThreadPoolExecutor(SIDE_BY_SIDE if runners[0].plan.device == "cpu" else 1) as pool:
            chains = [pool.submit(runner.chain, processes, stop) for processes in stage for runner in runners]
            try:
                for one in chains:
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

    def chain(self, processes: Sequence[str], stop: threading.Event) -> None:
        """Runs one chain's processes, one after the other."""
        temporary = self.scratch / ("tmp-" + processes[0])
        temporary.mkdir()
        for process in processes:
            left = [one for one in self.families if process in one.processes and one.name not in self.found.over]
            while left and not stop.is_set():
                if self.found.lacks_framework():
                    for one in left:
                        self._refuse(one)
                    break
                ended = self._process(process, [one.name for one in left], stop, temporary)
                left = [one for one in left if one.name not in ended]

    def _refuse(self, family: Family) -> None:
        self.found.over.add(family.name)
        reason = "the framework cannot be imported, see imports"
        self.found.results.append(not_run(family.prefix, family.name, reason))

    def _process(self, process: str, names: list[str], stop: threading.Event, temporary: Path) -> set[str]:
        """Runs one process to its end and takes its findings in; returns the families that need no other try."""
        out, plan_file = self.scratch / (process + ".jsonl"), self.scratch / (process + ".plan.json")
        out.write_text("")
        plan_file.write_text(json.dumps(self.plan.as_json()))
        child = [sys.executable, "-c", START, str(SUITE.parent)]
        argv = [*child, process, ",".join(names), str(plan_file), str(out)]
        chosen = backend_environment(self.plan.framework, self.backend)
        if process not in UNTOUCHED:
            chosen.update(process_environment(self.plan.framework, str(temporary)))
            if self.plan.device == "cpu":  # see context.SIDE_BY_SIDE; who has set it keeps his own
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
