"""python -m smoke.preflight: what this machine gives the image, before anything is trained. It imports no framework.

Exit code 0 if nothing fails, 1 if something does; 2 for a bad option, with what is wrong and what to do on stderr.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pwd
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, Optional

from smoke import coverage
from smoke import driver as drivers
from smoke import plan as plans
from smoke.checks.static import least_driver, numbers
from smoke.coverage import Kept
from smoke.driver import Driver
from smoke.plan import PlanError

SCHEMA = 1
OK, WARN, FAIL = "ok", "warn", "fail"
MIB, GIB = 2**20, 2**30
NO_GPU = "no GPU was asked for"
GIVE_GPU = "Start the container with --gpus all (the host needs NVIDIA's driver and its Container Toolkit)."
SHM_REMEDY = "Start the container with --shm-size=1g, or with --ipc=host."


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: ``state`` is ok, warn or fail, ``facts`` the numbers behind the message."""

    id: str
    state: str
    message: str
    remedy: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Machine:
    """Where things are looked up; the tests hand in folders of their own."""

    environment: Mapping[str, str]
    uid: int
    proc: Path = Path("/proc")
    cgroup: Path = Path("/sys/fs/cgroup")
    shm: Path = Path("/dev/shm")  # noqa: S108 -- its size is asked for
    cores: int = 1


@dataclass(frozen=True)
class Promise:
    """What the image says of itself, and which device it is to be used on."""

    image: str
    cuda: str
    device: str


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise PlanError(message, "preflight --help lists the options.")


def main(arguments: Optional[list[str]] = None) -> int:
    """The command line; returns the exit code."""
    parser = _Parser(prog="preflight", description="Says what this machine gives the image, without the framework.")
    parser.add_argument("--device", help="gpu: a GPU is needed, and its absence is a failure (default: cpu)")
    parser.add_argument("--json", action="store_true", help="print JSON, not the table")
    parser.add_argument("--plan", type=Path, default=plans.BAKED, help="the plan (default: the image's own)")
    parser.add_argument("--coverage", type=Path, default=coverage.BAKED, help=argparse.SUPPRESS)
    try:
        options = parser.parse_args(arguments)
        plan = plans.read(options.plan)
        promise = Promise(plan.image, plan.labels.get("cuda", ""), plans.device(options.device or "cpu"))
    except PlanError as wrong:
        print(f"preflight: {wrong}", file=sys.stderr)
        print(wrong.remedy, file=sys.stderr)
        return 2
    machine = Machine(os.environ, os.getuid(), cores=len(os.sched_getaffinity(0)))
    found = list(findings(promise, machine, drivers.ask(machine.proc), options.coverage))
    print(json.dumps(as_json(promise, found), indent=1) if options.json else table(promise, found))
    return 1 if any(one.state == FAIL for one in found) else 0


def findings(promise: Promise, machine: Machine, driver: Driver, covered: Path) -> Iterator[Finding]:
    """Everything that is looked at, in the order of the table."""
    for one in gpu_findings(promise, driver, covered):
        # A GPU that nobody asked for may be of no use without that being a failure.
        yield dataclasses.replace(one, state=WARN) if one.state == FAIL and promise.device != "gpu" else one
    yield shared_memory(machine)
    yield user(machine)
    yield home(machine)
    yield scratch(machine)
    yield memory(machine)
    yield processors(machine)


def as_json(promise: Promise, found: list[Finding]) -> dict[str, Any]:
    """The findings as plain data, schema 1; ``state`` is the worst of theirs."""
    worst = max((one.state for one in found), key=(OK, WARN, FAIL).index)
    return {
        "schema": SCHEMA,
        "image": promise.image,
        "device": promise.device,
        "state": worst,
        "findings": [dataclasses.asdict(one) for one in found],
    }


def table(promise: Promise, found: list[Finding]) -> str:
    """The findings as a person reads them."""
    lines = [f"{promise.image}  {promise.device}"]
    width = max(len(one.id) for one in found)
    for one in found:
        word = one.state if one.state == OK else one.state.upper()
        lines.append(f"  {word:5} {one.id:{width}}  {one.message}")
        if one.remedy:
            lines.append(" " * (width + 10) + "-> " + one.remedy)
    count = [sum(one.state == state for one in found) for state in (OK, WARN, FAIL)]
    lines.append("{} ok, {} to be looked at, {} failed".format(*count))
    text = "\n".join(lines)
    return "".join(one if one.isprintable() or one == "\n" else "?" for one in text)


# Driver and GPUs


def gpu_findings(promise: Promise, driver: Driver, covered: Path) -> Iterator[Finding]:
    """driver, gpu and coverage."""
    if promise.device == "gpu" and not promise.cuda:
        yield Finding("driver", FAIL, "the image promises no CUDA", "Take an image with CUDA, or use --device cpu.")
        return
    yield judge_driver(promise, driver)
    yield judge_gpus(promise, driver)
    if promise.cuda:
        yield judge_coverage(driver, covered)


def judge_driver(promise: Promise, driver: Driver) -> Finding:
    """The driver is there, in the container too, and new enough for the image's CUDA."""
    version = driver.version or (driver.kernel if driver.kernel != "unknown" else "")
    least = least_driver(promise.cuda)
    facts = {"version": version, "cuda": _dotted(driver.cuda), "least": least, "image_cuda": promise.cuda}
    if not driver.library:
        return dataclasses.replace(_no_driver(promise, driver), facts=facts)
    runs = f", for CUDA up to {facts['cuda']}" if driver.cuda else ""
    shown = "driver {}{}".format(version or "of unknown version", runs)
    if not promise.cuda:
        return Finding("driver", OK, f"{shown}; the image promises no CUDA", facts=facts)
    needs = f"CUDA {promise.cuda} needs {least + ' or later' if least else 'one that is not known'}"
    if _too_old(version, least) or (driver.cuda and driver.cuda[0] < numbers(promise.cuda)[0]):
        remedy = "Install a later driver, or take an image of an older CUDA."
        return Finding("driver", FAIL, f"{shown}: too old, {needs}", remedy, facts)
    if not version and not driver.cuda:
        return Finding("driver", WARN, f"{shown}; {needs}", "Compare with what nvidia-smi says.", facts)
    return Finding("driver", OK, f"{shown}; {needs}", facts=facts)


def _too_old(version: str, least: str) -> bool:
    return bool(version and least) and numbers(version) < numbers(least)


def _no_driver(promise: Promise, driver: Driver) -> Finding:
    if promise.device != "gpu":
        return Finding("driver", OK, f"{NO_GPU}, and no driver is in the container")
    if driver.kernel:
        said = f"the machine has the driver {driver.kernel}, and libcuda.so.1 is not in the container"
        return Finding("driver", FAIL, said, GIVE_GPU)
    return Finding("driver", FAIL, "there is no NVIDIA driver", GIVE_GPU)


def _dotted(pair: Optional[tuple[int, int]]) -> str:
    return "{}.{}".format(*pair) if pair else ""


def judge_gpus(promise: Promise, driver: Driver) -> Finding:
    """There is a GPU that CUDA can use."""
    rows = [{"name": one.name, "capability": _dotted(one.capability)} for one in driver.gpus]
    names = ", ".join("{name} ({capability})".format_map(row).replace(" ()", "") for row in rows)
    facts = {"gpus": rows}
    if driver.problem:
        seen = f" (the driver lists {names})" if names else ""
        remedy = "See CUDA_VISIBLE_DEVICES and the --gpus option, and run nvidia-smi on the host."
        return Finding("gpu", FAIL, driver.problem + seen, remedy, facts)
    if driver.library and rows:
        return Finding("gpu", OK, names, facts=facts)
    if promise.device != "gpu":
        return Finding("gpu", OK, f"not asked for{'; there is ' + names if names else ''}", facts=facts)
    return Finding("gpu", FAIL, "no GPU is in the container", GIVE_GPU, facts)


def judge_coverage(driver: Driver, covered: Path) -> Finding:
    """The framework has code for each GPU that is there."""
    try:
        kept = coverage.read(covered)
    except coverage.Stale as why:
        remedy = "Run `smoke --only static.coverage`: it reads the libraries themselves."
        return Finding("coverage", WARN, f"not known: {why}", remedy)
    served = ", ".join(kept.served()) or "none"
    answers = {one.capability: kept.serves(*one.capability) for one in driver.gpus if one.capability}
    facts = {"served": kept.served(), "gpus": {_dotted(one): answer for one, answer in answers.items()}}
    for state, answer, words in ((FAIL, "not", "no code"), (WARN, "partly", "only a part of its code")):
        lacking = ", ".join(_dotted(one) for one in sorted(answers) if answers[one] == answer)
        if lacking:
            return _lacking(state, lacking, words, served, facts, kept)
    beyond = "; " + kept.unserved() if kept.unserved() else ""
    return Finding("coverage", OK, f"code for compute capability {served}{beyond}", facts=facts)


def _lacking(state: str, lacking: str, words: str, served: str, facts: Mapping[str, Any], kept: Kept) -> Finding:
    if not kept.libraries:
        served = "none: the framework has no code for GPUs"
    said = f"{words} for compute capability {lacking}; served: {served}"
    remedy = "Take an image whose framework has code for the GPU" + (
        ", or expect some functions to fail." if state == WARN else "."
    )
    return Finding("coverage", state, said, remedy, facts)


# What the container is given


def shared_memory(machine: Machine) -> Finding:
    """The size of /dev/shm: 64 MB unless the container was started with more."""
    try:
        room = os.statvfs(str(machine.shm))
    except OSError:
        return Finding("shm", FAIL, "there is no /dev/shm: worker processes cannot share anything", SHM_REMEDY)
    return judge_shared_memory(room.f_blocks * room.f_frsize, room.f_bavail * room.f_frsize)


def judge_shared_memory(size: int, free: int) -> Finding:
    """The verdict on /dev/shm, by its bytes."""
    facts = {"bytes": size, "free": free}
    said = f"/dev/shm has {_bytes(size)}" + (f", {_bytes(free)} of it free" if free < size else "")  # noqa: S108
    if size < GIB:
        what = "large batches from worker processes (bus error), and collectives between GPUs, need more"
        return Finding("shm", WARN, f"{said}: {what}", SHM_REMEDY, facts)
    return Finding("shm", OK, said, facts=facts)


def user(machine: Machine) -> Finding:
    """The UID, and whether it has a name."""
    facts = {"uid": machine.uid}
    try:
        named = bool(pwd.getpwuid(machine.uid).pw_name)
    except KeyError:
        named = any(machine.environment.get(one) for one in ("LOGNAME", "USER", "LNAME", "USERNAME"))
    if not named:
        said = f"UID {machine.uid} has no name: what asks for the user's name fails"
        return Finding("user", WARN, said, "Set one with -e USER=me, or keep the image's entrypoint.", facts)
    more = ": files in mounted folders will belong to root" if machine.uid == 0 else ""
    return Finding("user", OK, f"UID {machine.uid}{more}", facts=facts)


def home(machine: Machine) -> Finding:
    """A HOME that can be written to: frameworks keep compiled kernels and downloads there."""
    name = machine.environment.get("HOME", "")
    facts = {"home": name}
    if not name or not _writable(Path(name)):
        said = f"HOME ({name or 'not set'}) cannot be written to: caches of compiled kernels fail"
        return Finding("home", WARN, said, "Add --tmpfs /tmp:exec, or set HOME to a folder that can.", facts)
    return Finding("home", OK, f"{name} can be written to", facts=facts)


def scratch(machine: Machine) -> Finding:
    """Room for temporary files, where Python would put them."""
    wanted = [machine.environment.get(one, "") for one in ("TMPDIR", "TEMP", "TMP")]
    places = [Path(one) for one in (*wanted, "/tmp", "/var/tmp") if one]  # noqa: S108 -- tempfile's own list
    place = next((one for one in places if _writable(one)), None)
    remedy = "Add --tmpfs /tmp:exec, or set TMPDIR to a folder with room."
    if place is None:
        return Finding("scratch", FAIL, "there is no folder for temporary files", remedy)
    free = shutil.disk_usage(str(place)).free
    return judge_scratch(place, free, remedy)


def judge_scratch(place: Path, free: int, remedy: str = "") -> Finding:
    """The verdict on the room for temporary files."""
    facts = {"folder": str(place), "free": free}
    said = f"{place} has {_bytes(free)} free"
    if free < 64 * MIB:
        return Finding("scratch", FAIL, f"{said}: the self-test needs 64 MiB", remedy, facts)
    if free < GIB:
        return Finding("scratch", WARN, f"{said}: compiling at run time may need more", remedy, facts)
    return Finding("scratch", OK, said, facts=facts)


def _writable(folder: Path) -> bool:
    """Whether a file can be made there. It is tried: what access() says of root and of mounts is not always so."""
    try:
        with tempfile.TemporaryFile(dir=str(folder)):
            return True
    except OSError:
        return False


def memory(machine: Machine) -> Finding:
    """The memory that there is: the machine's, or the container's limit."""
    total = _number(machine.proc / "meminfo", "MemTotal:") * 1024
    limit = memory_limit(machine)
    limited = limit is not None and (not total or limit < total)
    size = limit if limit is not None and limited else total
    facts = {"bytes": size, "limited": limited}
    said = "{} {}".format(_bytes(size), "by the container's limit" if limited else "of memory, no limit")
    if not size:
        return Finding("memory", WARN, "not known: neither /proc/meminfo nor a limit can be read", "", facts)
    if size < 2 * GIB:
        remedy = "Give the container more with --memory." if limited else "Take a machine with more."
        return Finding("memory", WARN, f"{said}: the self-test may be killed below 2 GiB", remedy, facts)
    return Finding("memory", OK, said, facts=facts)


def memory_limit(machine: Machine) -> Optional[int]:
    """The least limit of this process's control groups, of either version; None without one."""
    found = [*_limits(machine, "", "memory.max"), *_limits(machine, "memory", "memory.limit_in_bytes")]
    numbers_ = [int(one[0]) for one in found if one[0].isascii() and one[0].isdigit()]
    return min((one for one in numbers_ if one < 2**60), default=None)  # version 1 writes "none" as a huge number


def processors(machine: Machine) -> Finding:
    """The cores that this process may run on, and the share of them that the container is given."""
    quota = processor_limit(machine)
    facts = {"cores": machine.cores, "limit": quota}
    said = "{} core{}".format(machine.cores, "" if machine.cores == 1 else "s")
    if quota is not None and quota < machine.cores:
        threads = max(1, round(quota))
        said = f"{said}, and the container is given the time of {quota:g}: too many threads slow it down"
        return Finding("cpu", WARN, said, f"Add -e OMP_NUM_THREADS={threads}, or use --cpuset-cpus.", facts)
    return Finding("cpu", OK, said, facts=facts)


def processor_limit(machine: Machine) -> Optional[float]:
    """The container's share of time in cores; None without a limit."""
    found = [*_limits(machine, "", "cpu.max")]
    quotas = _limits(machine, "cpu", "cpu.cfs_quota_us")
    found += [quota + period for quota, period in zip(quotas, _limits(machine, "cpu", "cpu.cfs_period_us"))]
    shares = [
        int(one[0]) / int(one[1])
        for one in found
        if len(one) == 2 and all(word.isascii() and word.isdigit() for word in one) and int(one[1])
    ]
    return min(shares, default=None)


def _limits(machine: Machine, controller: str, name: str) -> list[list[str]]:
    """The words of a control file, in this process's group and those above it.

    Most containers see their own group as the root; one that shares the host's sees the path to it in /proc.
    """
    top = machine.cgroup / controller
    folders = [top]
    for line in _text(machine.proc / "self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if (controller in names.split(",")) if controller else not names:
            parts = [one for one in path.split("/") if one not in ("", "..", ".")]
            folders += [top.joinpath(*parts[: count + 1]) for count in range(len(parts))]
    words = [_text(folder / name).split() for folder in dict.fromkeys(folders)]
    return [one for one in words if one]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):
        return ""


def _number(path: Path, key: str) -> int:
    for line in _text(path).splitlines():
        words = line.split()
        if words[:1] == [key] and len(words) > 1 and words[1].isascii() and words[1].isdigit():
            return int(words[1])
    return 0


def _bytes(size: int) -> str:
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size / MIB:.0f} MiB"


if __name__ == "__main__":
    sys.exit(main())
