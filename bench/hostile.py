"""What a hostile registry costs whoever asks it: .venv/bin/python bench/hostile.py

Runs each of `verify`, `doctor`, `rebuild` and `publish` against each of the peers of tests/hostile.py that have no
end, with a short deadline (ASSAY_REGISTRY_SECONDS), and prints seconds, the peak of memory and the exit code.
Ends with 1 unless every command ended within 1.2 times its deadline, below 200 MB, with exit code 6 and two lines.
Each runs in a process of its own; its clock runs from the first connection. The engine of rebuild and publish does
nothing.

`--good PYTHON...` times `verify` of a good image instead, side by side with the Assay of each of these interpreters.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from unittest import mock

import rich.console
import rich.table

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from assay import attestation, cli, doctor, engine, publish, reproduce, verify  # noqa: E402
from assay.certificate import Suites  # noqa: E402
from tests import hostile, published  # noqa: E402
from tests.fake_registry import FakeRegistry, serving  # noqa: E402
from tests.unit.publish.known import LocalEngine, certified, suite_of_it  # noqa: E402

SECONDS = 10.0
LARGEST = 200e6  # bytes
MOST = 1.2  # of the deadline
PASSWORD = "of the benchmark"
COMMANDS = ("verify", "doctor", "rebuild", "publish")
AT_ONCE = len(COMMANDS)
ROUNDS = 9
KINDS = {f"drips: {name}": peer for name, peer in hostile.DRIPS.items()}
KINDS |= {f"floods: {name}": peer for name, peer in hostile.FLOODS.items()}
FORK = multiprocessing.get_context("fork")
USED = (doctor, publish, reproduce, rich, verify)  # imported before the clock runs


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    seconds: float
    memory: float
    code: int
    said: str

    def is_right(self) -> bool:
        """Whether that is how it must end."""
        return self.seconds <= MOST * SECONDS and self.memory <= LARGEST and self.code == 6 and self.lines() == 2

    def lines(self) -> int:
        """The lines of the error, without the steps that publish tells."""
        said = self.said.splitlines()
        starts = [number for number, line in enumerate(said) if line.startswith("error: ")]
        return len(said) - starts[0] if starts else 0


def play(command: str, host: str, keys: Path, into: Path) -> None:
    """Run one command in this process, in a checkout of its own, and write down how it ended."""
    folder = into.with_suffix("")
    folder.mkdir()
    made = published.fresh()
    if command == "publish":
        certified(ROOT, folder, made)
        argv = [command, published.name(), "--registry", f"{host}/team", "--key", str(keys / "of.key")]
    else:
        (folder / "images").symlink_to(ROOT / "images")
        argv = [command, f"{host}/team/{published.name()}:latest", "--key", str(keys / "of.pub")]
    (folder / "smoke").symlink_to(ROOT / "smoke")
    os.chdir(folder)
    os.environ |= {"ASSAY_REGISTRY_SECONDS": str(SECONDS), "ASSAY_PASSWORD": PASSWORD}
    sys.argv = ["assay", *argv]
    known = Suites(suite_of_it())
    local = contextlib.nullcontext(LocalEngine(made))
    code = 0
    with (folder / "said").open("w+") as said, mock.patch.object(Suites, "read", return_value=known):
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
        connected: list[float] = []
        sys.addaudithook(lambda event, _: connected.append(time.monotonic()) if event == "socket.connect" else None)
        try:
            with mock.patch.object(engine, "find", return_value=local):
                cli.main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        seconds = time.monotonic() - connected[0]
        sys.stderr.flush()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    into.write_text(json.dumps([seconds, peak, code, (folder / "said").read_text()]))


def peer(kind: str, pipe: Connection) -> None:
    """Serve one kind until told to end."""
    with hostile.served(KINDS[kind]) as server:
        pipe.send(server.host)
        pipe.recv()


@contextlib.contextmanager
def serving_kind(kind: str) -> Iterator[str]:
    """The host of a peer of that kind, in a process of its own."""
    ours, theirs = FORK.Pipe()
    process = FORK.Process(target=peer, args=(kind, theirs), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send(None)
        process.join()


def run(jobs: list[tuple[Callable[..., None], tuple[object, ...]]]) -> None:
    """Run each job in a process of its own, a few at once; what takes ten deadlines is ended."""
    for at in range(0, len(jobs), AT_ONCE):
        processes = [FORK.Process(target=job, args=arguments) for job, arguments in jobs[at : at + AT_ONCE]]
        for process in processes:
            process.start()
        for process in processes:
            process.join(10 * SECONDS)
            process.kill()
            process.join()


def table(only: str) -> bool:
    """Run all, print a row for each kind, and say whether all of it was right."""
    right = True
    print(f"{f'deadline: {SECONDS} s':32}" + "".join(f"{command:>26}" for command in COMMANDS))
    with tempfile.TemporaryDirectory() as keys:
        attestation.generate(Path(keys, "of"), PASSWORD)
        for kind in (kind for kind in KINDS if re.search(only, kind)):
            with serving_kind(kind) as host, tempfile.TemporaryDirectory() as folder:
                files = {command: Path(folder, f"{command}.json") for command in COMMANDS}
                run([(play, (command, host, Path(keys), file)) for command, file in files.items()])
                rows = {
                    command: Ended(*json.loads(file.read_text())) if file.is_file() else Ended(1e9, 1e18, -1, "")
                    for command, file in files.items()
                }
            cells = (f"{one.seconds:.1f} s {one.memory / 1e6:.0f} MB exit {one.code}" for one in rows.values())
            print(f"{kind:32}" + "".join(f"{cell:>26}" for cell in cells), flush=True)
            for command, one in rows.items():
                if not one.is_right():
                    right = False
                    print(f"  WRONG: {command}: {one.said.strip()[-400:]}")
    return right


def good(pythons: list[str]) -> None:
    """Time `verify` and `verify --layers` of a good image, by each interpreter in turn."""
    content = tuple(os.urandom(2**24) + bytes(2**26) for _ in range(2))
    with serving(FakeRegistry()) as fake, tempfile.TemporaryDirectory() as folder:
        published.put(fake.host, published.fresh(content))
        key = Path(folder, "of.pub")
        key.write_bytes(published.key().public.pem())
        for more in ((), ("--layers",)):
            took: dict[str, list[tuple[float, float]]] = {python: [] for python in pythons}
            for _ in range(ROUNDS):
                for python in pythons:
                    argv = [python, "-c", "from assay.cli import main; main()", "verify", *more]
                    asked = [*argv, str(published.reference(fake.host)), "--key", str(key)]
                    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
                    subprocess.run(asked, check=True, capture_output=True, cwd=folder)
                    after = resource.getrusage(resource.RUSAGE_CHILDREN)
                    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
                    took[python].append((time.monotonic() - started, used))
            for python, pairs in took.items():
                wall, used = (statistics.median(column) for column in zip(*pairs, strict=True))
                print("verify", *more, f"{wall:.2f} s, of these {used:.3f} s of a processor:", python, flush=True)


def main() -> None:
    """The table, or how long a good image takes."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--good", nargs="+", metavar="PYTHON")
    asked.add_argument("--only", default="", metavar="REGEX", help="kinds with such a name")
    given = asked.parse_args()
    if given.good:
        good(given.good)
    else:
        sys.exit(0 if table(given.only) else 1)


if __name__ == "__main__":
    main()
