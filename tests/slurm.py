"""A real Slurm of three nodes on this machine, from Debian's packages that are merely unpacked; ended by pid."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from assay.engine import apt
from tests.registries import free_port, unpacked

NAMES = (
    *("libhwloc15", "liblua5.1-0", "libmunge2", "munge"),
    *("slurm-wlm-basic-plugins", "slurm-client", "slurmctld", "slurmd"),
)
PACKAGES = tuple(apt.Wanted(name, host_suite=True) for name in NAMES)
LIBRARIES = "usr/lib/x86_64-linux-gnu"
NODES = ("n1", "n2", "n3")
SETTINGS = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={run}/munge/socket,cred_expire=5
CryptoType=crypto/munge
PluginDir={libraries}/slurm-wlm
StateSaveLocation={run}/state
SlurmdSpoolDir={run}/spool-%n
SlurmctldPidFile={run}/slurmctld.pid
SlurmdPidFile={run}/slurmd-%n.pid
SlurmctldLogFile={run}/slurmctld.log
SlurmdLogFile={run}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
MinJobAge=3600
DefMemPerCPU=500
ReturnToService=2
SlurmdTimeout=20
KillWait=5
MpiDefault=none
SchedulerParameters=sched_interval=2
{nodes}
PartitionName=all Nodes=n[1-3] Default=YES State=UP MaxTime=120
PartitionName=closed Nodes=n[1-3] State=DOWN
"""


@dataclass
class Slurm:
    """A cluster. ``first`` are folders that its nodes' programs are looked up in before this machine's."""

    programs: Path
    folder: Path
    first: tuple[Path, ...] = ()
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @classmethod
    def unpacked(cls, folder: Path, *first: Path) -> Self:
        return cls(unpacked(PACKAGES), folder, first)

    @property
    def environment(self) -> dict[str, str]:
        """In which Slurm's commands reach this cluster."""
        libraries = self.programs / LIBRARIES
        folders = [*self.first, self.programs / "usr/bin", self.programs / "usr/sbin"]
        return {
            "SLURM_CONF": str(self.folder / "slurm.conf"),
            "PATH": ":".join([*map(str, folders), os.environ["PATH"]]),
            "LD_LIBRARY_PATH": f"{libraries}:{libraries}/slurm-wlm",
        }

    def run(self, *argv: str) -> str:
        """A command of Slurm's, and what it says."""
        environment = {**os.environ, **self.environment}
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def __enter__(self) -> Self:
        munge = self.folder / "munge"
        munge.mkdir(mode=0o700)
        (munge / "key").write_bytes(os.urandom(1024))
        (munge / "key").chmod(0o400)
        (self.folder / "state").mkdir()
        self._configure()
        files = (f"--{name}-file={munge / name}" for name in ("key", "pid", "log", "seed"))
        self._start("munged", "usr/sbin/munged", "-F", "-f", *files, f"--socket={munge}/socket", "--num-threads=1")
        self._await((munge / "socket").exists)
        self._start("slurmctld", "usr/sbin/slurmctld-wlm", "-D", "-c")
        for node in NODES:
            self.start_node(node)
        self._await(self._all_idle)
        return self

    def start_node(self, name: str) -> None:
        (self.folder / f"spool-{name}").mkdir(exist_ok=True)
        step = self.programs / "usr/sbin/slurmstepd-wlm"
        self._start(name, "usr/sbin/slurmd-wlm", "-D", "-N", name, "-d", str(step))

    def state(self, node: str) -> str:
        return self.run("sinfo", "--noheader", "--Node", f"--nodes={node}", "--format=%T").split()[0]

    def resume(self, node: str) -> None:
        """Bring a node back; one that a job's end or its own word brought back already is left as it is."""
        if self.state(node).rstrip("*") in {"down", "drained", "draining"}:
            self.run("scontrol", "update", f"nodename={node}", "state=resume")

    def __exit__(self, *_: object) -> None:
        self.run("scancel", "--user=root")
        time.sleep(0.5)
        for name in [*reversed(self.processes)]:
            process = self.processes.pop(name)
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _configure(self) -> None:
        host = socket.gethostname().partition(".")[0]
        nodes = "\n".join(
            f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={free_port()} CPUs=2 RealMemory=4000"
            for name in NODES
        )
        libraries = self.programs / LIBRARIES
        text = SETTINGS.format(host=host, port=free_port(), run=self.folder, libraries=libraries, nodes=nodes)
        (self.folder / "slurm.conf").write_text(text)

    def _start(self, name: str, program: str, *arguments: str) -> None:
        with (self.folder / f"{name}.out").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [str(self.programs / program), *arguments],
                env={**os.environ, **self.environment},
                stdout=log,
                stderr=log,
            )

    def _all_idle(self) -> bool:
        environment = {**os.environ, **self.environment}
        argv = ["sinfo", "--noheader", "--partition=all", "--states=idle", "--format=%D"]
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=30, check=False)
        return sum(map(int, done.stdout.split())) == len(NODES)

    def _await(self, holds: Callable[[], bool], seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if holds():
                return
            time.sleep(0.2)
        logs = {path.name: path.read_text()[-600:] for path in sorted(self.folder.glob("*.out"))}
        raise AssertionError(f"Slurm did not start: {logs}")
