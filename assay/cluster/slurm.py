"""Slurm, by its own commands: one array of jobs, whose placing, retries and limits are Slurm's."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from assay.cluster.place import Wishes
from assay.cluster.tasks import Run
from assay.errors import EngineMissing, UsageError
from assay.host import process

SECONDS = 60  # for one command to answer
MINUTES = 60  # for one image, with its pull
CPUS = 2
WAITING = {"PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"}
GOING_ON = {"CONFIGURING", "COMPLETING", "RUNNING", "RESIZING", "SIGNALING", "STAGE_OUT", "STOPPED", "SUSPENDED"}
_COLUMNS = {"ArrayTaskID": 16, "State": 24, "Reason": 200, "NodeList": 200, "RestartCnt": 10}
_HERE = "Run this on a login node of the cluster; --print writes the script for it, and asks no Slurm."
# What its commands say where no controller answers; all else that they say is about the job.
_AWAY = re.compile(
    r"unable to contact slurm controller|connect failure|munge|authentication|timed out", re.IGNORECASE
)
# A user's habits for squeue, which would hide jobs from us; what would make another array of it; what is said of the
# job that this command itself may run in.
_OTHERS = re.compile(r"SQUEUE_.*|SBATCH_(ARRAY_INX|OUTPUT|WAIT)|SLURM_(ARRAY_.*|MEM_PER_.*|RESTART_COUNT)")
_GONE = re.compile(r"invalid job id", re.IGNORECASE)


@dataclass(frozen=True)
class State:
    """How a job stands, in Slurm's words. ``attempt`` counts how often it was started again."""

    name: str
    reason: str = ""
    node: str = ""
    attempt: int = 0

    @property
    def waits(self) -> bool:
        """Whether it is still to be started, or started again."""
        return self.name in WAITING

    @property
    def lives(self) -> bool:
        """Whether it may still answer."""
        return self.waits or self.name in GOING_ON

    def __str__(self) -> str:
        reason = f" ({self.reason})" if self.reason not in {"", "None"} else ""
        return f"{self.name.lower().replace('_', ' ')}{reason}" + (f" on {self.node}" if self.node else "")


GONE = State("GONE")


def script(run: Run, wishes: Wishes) -> str:
    """The batch script of a run. Variables of Slurm's such as SBATCH_TIMELIMIT come before what stands in it."""
    directives = [
        "--job-name=assay-smoke",
        f"--array={','.join(map(str, sorted(run.tasks)))}",
        f"--output={run.folder}/%a/slurm.log",
        "--open-mode=append",
        "--requeue",
        "--nodes=1",
        "--ntasks=1",
        f"--cpus-per-task={CPUS}",
        f"--time={MINUTES}",
        *([f"--mem={-(-wishes.memory_bytes // 2**20)}M"] if wishes.memory_bytes else []),
        *(["--gpus=1"] if wishes.gpu else []),
        *([f"--partition={shlex.quote(wishes.partition)}"] if wishes.partition else []),
    ]
    lines = ["#!/bin/sh", *(f"#SBATCH {each}" for each in directives)]
    return "\n".join([*lines, f'exec sh {run.folder}/node.sh "{run.folder}/$SLURM_ARRAY_TASK_ID"', ""])


def submit(text: str, folder: Path) -> str:
    """Submit a batch script; returns the job's id. Raises `UsageError` for a job that Slurm does not take."""
    path = folder / "batch.sh"
    path.write_text(text, encoding="utf-8")
    done = _asked("sbatch", "--parsable", str(path))
    if done.returncode != 0:
        why = done.last_line().removeprefix("sbatch: error: ").removeprefix("Batch job submission failed: ")
        raise UsageError(
            f"Slurm does not take the job: {why}",
            "`sinfo` lists the partitions (--partition NAME); what else your cluster wants, its variables say: "
            "SBATCH_ACCOUNT, SBATCH_QOS.",
        )
    return done.stdout.strip().partition(";")[0]


def states(job: str) -> dict[int, State]:
    """How the tasks of a job stand; those that Slurm has forgotten are absent.

    Raises `EngineMissing` where no controller answers.
    """
    columns = ",".join(f"{name}:{width}|" for name, width in _COLUMNS.items())
    done = _asked("squeue", "--noheader", "--array", "--states=all", f"--jobs={job}", f"--Format={columns}")
    if done.returncode != 0 and not _GONE.search(done.stderr):
        raise EngineMissing(f"Slurm does not say how job {job} stands: {done.last_line()}", _HERE)
    found = {}
    for line in done.stdout.splitlines():
        index, name, reason, node, restarts, *_ = (*(word.strip() for word in line.split("|")), "", "", "", "")
        if index.isdigit():
            found[int(index)] = State(name, reason, node, int(restarts) if restarts.isdigit() else 0)
    return found


def cancel(job: str, tasks: Iterable[int]) -> None:
    """Cancel these tasks of a job; one that has ended is left as it is."""
    names = [f"{job}_{index}" for index in tasks]
    if names:
        _asked("scancel", *names)


def version() -> str:
    """What Slurm calls itself."""
    return _asked("sbatch", "--version").stdout.strip() or "slurm"


def _asked(program: str, *arguments: str) -> process.Completed:
    """Run one of Slurm's commands. Raises `EngineMissing` where it is not here, or reaches no controller."""
    environment = {name: value for name, value in process.environment().items() if not _OTHERS.fullmatch(name)}
    done = process.run([program, *arguments], env=environment, timeout=SECONDS)
    if done.returncode == 127:
        raise EngineMissing(f"there is no Slurm here: {program} is not found", _HERE)
    if done.returncode != 0 and (_AWAY.search(done.stderr) or done.returncode == 124):
        raise EngineMissing(
            f"Slurm does not answer: {done.last_line()}", "`scontrol ping` says more; try again then."
        )
    return done
