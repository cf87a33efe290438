"""What a check is handed: the plan, the gates, a scratch folder, and the framework, imported when first asked for."""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional, cast

from smoke import gates
from smoke.everyday import Everyday
from smoke.frameworks import Framework
from smoke.machine import host
from smoke.plan import Plan, chosen_backend, declared, of_ranks
from smoke.report.result import Result, not_run

PRECISIONS = ("f64", "f32", "tf32", "fp16", "bf16")
LOW = ("tf32", "fp16", "bf16")
# What the runner sets in every process that trains: what is made at run time is made anew there, and a crash leaves
# its stack in the output.
ALWAYS = ("TMPDIR=(an empty folder)", "faulthandler.enable()")
# Two processes train side by side on the CPU. A thread that spins while it waits would hold up those it waits for.
SIDE_BY_SIDE = ("OMP_WAIT_POLICY=PASSIVE",)


class Context:
    """The context of one process. ``notes`` keeps what a later family of the same process reports (the cost);
    ``facts`` keeps what goes into the report's stack beside the framework's own words."""

    def __init__(self, plan: Plan, scratch: Path, deterministic: bool) -> None:
        self.plan = plan
        self.scratch = scratch
        self.gates: Mapping[str, Any] = gates.load()
        self.backend = chosen_backend(plan.framework)
        self.notes: dict[str, float] = {}
        self.facts: dict[str, Any] = {}
        self._deterministic = deterministic
        self.importable = True
        self._module: Optional[Framework] = None
        self._ready = False

    def load(self) -> Framework:
        """Imports the framework and its file, on no device yet. Raises whatever the import raises."""
        if self._module is None:
            start = time.perf_counter()
            self.importable = False
            importlib.import_module(self.plan.module)
            self._module = cast(Framework, importlib.import_module("smoke.frameworks." + self.plan.framework))
            self.importable = True
            self.notes["import_seconds"] = time.perf_counter() - start
        return self._module

    def everyday(self) -> Everyday:
        """The framework's everyday file, which imports the framework as users do. Raises what the import raises."""
        return cast(Everyday, importlib.import_module("smoke.everyday." + self.plan.framework))

    def cannot_everyday(self, family: str, name: str) -> str:
        """The reason why the framework itself cannot do one of these; empty if it is to be tried."""
        reasons = self.everyday().CANNOT
        return reasons.get(f"{family}.{name}", "") or reasons.get(f"{family}.{name}.{self.backend}", "")

    @property
    def framework(self) -> Framework:
        """The framework's file, on the device that the plan declares. Raises DeviceMissing if that is absent."""
        module = self.load()
        if not self._ready:
            if self._deterministic:
                module.be_deterministic()
            module.use_device(self.plan.device)
            self._ready = True
        return module

    def stack(self) -> Optional[dict[str, Any]]:
        """What is loaded, in the framework's own words; None as long as nothing is."""
        return self._module.describe() if self._module is not None and self._ready else None

    def switches(self, family: str, check_id: str) -> tuple[str, ...]:
        """The switches that a result was found with: the runner's, and those that the framework's file declares.

        ``SWITCHES`` there has them by the family, the check_id, a class of numbers, the device, or "deterministic";
        each also for one backend only. A device that is the only one needs no switch.
        """
        precision = check_id.rpartition(".")[2]
        chosen = ["environment", "process", family, check_id, *([precision] if precision in PRECISIONS else [])]
        chosen += [self.plan.device] if self.plan.device == "gpu" or host.has_gpu_device() else []
        chosen += ["deterministic"] if self._deterministic else []
        switches: Mapping[str, tuple[str, ...]] = declared(self.plan.framework, "SWITCHES")
        found = [one for name in chosen for key in (name, f"{name}.{self.backend}") for one in switches.get(key, ())]
        found += of_ranks(self.plan.framework, "SWITCHES") if self.plan.ranks and family == "ranks" else ()
        return (*ALWAYS, *(SIDE_BY_SIDE if self.plan.device == "cpu" else ()), *dict.fromkeys(found))

    def refused(self, family: str, check_id: str, requested: str = "") -> Optional[Result]:
        """The result of a check that is not run here, with the reason; None if the check is to be run."""
        reason = self.cannot(family, check_id)
        return not_run(check_id, family, reason, requested) if reason else None

    def cannot(self, family: str, check_id: str) -> str:
        """The reason why a check is not run here; empty if it is to be run.

        The framework's file may give a reason for the family, for the check_id, or for a class of numbers ("bf16");
        each also for one backend only ("bf16.jax").
        """
        reasons: Mapping[str, str] = self.load().CANNOT
        precision = check_id.rpartition(".")[2]
        names = (family, check_id, precision)
        for name in (*names, *(f"{one}.{self.backend}" for one in names)):
            if name in reasons:
                return reasons[name]
        if precision in LOW and self.plan.device == "cpu":
            return "certified on a GPU only (level E4), and the plan declares the CPU"
        return ""
