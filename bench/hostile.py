"""What a hostile registry costs whoever asks it: .venv/bin/python bench/hostile.py

Each of `verify`, `doctor`, `rebuild` and `publish` is run against each of the peers of tests/hostile.py, with a deadline
of a few seconds (ASSAY_REGISTRY_SECONDS). Prints seconds, the peak of memory and the exit code, and ends with 1 unless
every command ended within 1.2 times its deadline, below 200 MB, with exit code 6 and two lines. The time that the
command takes to begin is measured beside it and left out; publish and rebuild have an engine that does nothing.
`--good PYTHON...` times `verify` of a good image instead, side by side with the Assay of each such interpreter.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests import hostile

SECONDS = 6.0
LARGEST = 200e6  # bytes
MOST = 1.2  # of the deadline
PASSWORD = "of the benchmark"
COMMANDS = ("verify", "doctor", "rebuild", "publish")
# Those that have no end; what is small and wrong (tests/hostile.py, DIGITS) costs nothing.
KINDS = {f"drips: {name}": peer for name, peer in hostile.DRIPS.items()}
KINDS |= {f"floods: {name}": peer for name, peer in hostile.FLOODS.items()}


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    seconds: float
    memory: float
    code: int
    said: str

    def is_right(self) -> bool:
        return self.seconds <= MOST * SECONDS and self.memory <= LARGEST and self.code == 6 and self.lines() == 2

    def lines(self) -> int:
        """The lines of the error, without the steps that publish tells."""
        said = self.said.splitlines()
        starts = [number for number, line in enumerate(said) if line.startswith("error: ")]
        return len(said) - starts[0] if starts else 0


def play(command: str, host: str, folder: Path, report: Path) -> None:
    """Run one command in this process, in a folder of its own; write its peak of memory."""
    from assay import cli, engine
    from tests.published import fresh, name
    from tests.unit.publish.known import LocalEngine, certified, suite_of_it

    made = fresh()
    local = LocalEngine(made)
    engine.find = lambda tell=None: contextlib.nullcontext(local)  # type: ignore[assignment]
    os.chdir(folder)
    reference = f"{host}/team/{name()}:latest"
    argv = [command, reference, "--key", str(folder.parent / "of.pub")]
    if command == "publish":
        certified(ROOT, folder, made)
        argv = [command, name(), "--registry", f"{host}/team", "--key", str(folder.parent / "of.key")]
    (folder / "smoke").symlink_to(ROOT / "smoke")
    if command != "publish":
        (folder / "images").symlink_to(ROOT / "images")
    from assay.certificate import Suites

    sys.argv = ["assay", *argv]
    try:
        with mock.patch.object(Suites, "read", lambda _: Suites(suite_of_it())):
            cli.main()
    finally:
        peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
        report.write_text(peak.split()[1])


def run(command: str, host: str, keys: Path) -> Ended:
    """Run one command in a process of its own."""
    with tempfile.TemporaryDirectory(dir=keys) as folder, tempfile.NamedTemporaryFile(dir=keys) as report:
        argv = [sys.executable, __file__, "--play", command, host, folder, report.name]
        environment = {**os.environ, "ASSAY_REGISTRY_SECONDS": str(SECONDS), "ASSAY_PASSWORD": PASSWORD}
        started = time.monotonic()
        with contextlib.suppress(subprocess.TimeoutExpired):
            done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=False)
            seconds = time.monotonic() - started
            return Ended(seconds, int(Path(report.name).read_text() or 0) * 1024, done.returncode, done.stderr)
    return Ended(float("inf"), float("inf"), -1, "")


@contextlib.contextmanager
def with_keys() -> Iterator[Path]:
    from assay import attestation

    with tempfile.TemporaryDirectory() as folder:
        attestation.generate(Path(folder, "of"), PASSWORD)
        yield Path(folder)


def table(only: str) -> bool:
    """Run all, print a row for each kind, and say whether all of it was right."""
    right = True
    with with_keys() as keys, ThreadPoolExecutor(2) as pool:
        nobody = "127.0.0.1:9"
        begins = {command: min(run(command, nobody, keys).seconds for _ in range(2)) for command in COMMANDS}
        print("to begin:", ", ".join(f"{command} {seconds:.1f} s" for command, seconds in begins.items()))
        print(f"{'deadline ' + str(SECONDS) + ' s':32}" + "".join(f"{command:>24}" for command in COMMANDS))
        for kind, peer in KINDS.items():
            if only not in kind:
                continue
            with hostile.served(peer) as server:
                ran = list(pool.map(lambda command: run(command, server.host, keys), COMMANDS))  # noqa: B023
            ended = [
                Ended(one.seconds - begins[command], one.memory, one.code, one.said)
                for command, one in zip(COMMANDS, ran, strict=True)
            ]
            cells = (f"{max(one.seconds, 0):.1f} s {one.memory / 1e6:.0f} MB exit {one.code}" for one in ended)
            print(f"{kind:32}" + "".join(f"{cell:>24}" for cell in cells), flush=True)
            for command, one in zip(COMMANDS, ended, strict=True):
                if not one.is_right():
                    right = False
                    print(f"  WRONG: {command}: {one.said.strip()[-400:]}")
    return right


def good(pythons: list[str]) -> None:
    """Time `verify` and `verify --layers` of a good image, by each interpreter in turn."""
    import zstandard

    from assay.registry import Reference
    from tests import published
    from tests.fake_registry import FakeRegistry, serving

    content = tuple(os.urandom(2**24) + bytes(2**26) for _ in range(2))
    with serving(FakeRegistry()) as fake, tempfile.TemporaryDirectory() as folder:
        made = published.fresh(content)
        published.put(fake.host, made)
        key = Path(folder, "of.pub")
        key.write_bytes(published.key().public.pem())
        assert Reference.parse(fake.host + "/a") and zstandard
        for more in ((), ("--layers",)):
            took: dict[str, list[float]] = {python: [] for python in pythons}
            for _ in range(15):
                for python in pythons:
                    argv = [python, "-m", "assay", "verify", str(published.reference(fake.host)), "--key", str(key)]
                    started = time.monotonic()
                    subprocess.run([*argv, *more], check=False, capture_output=True, cwd=folder)
                    took[python].append(time.monotonic() - started)
            for python in pythons:
                print("verify", *more, python, f"{statistics.median(took[python]):.3f} s, best {min(took[python]):.3f} s")


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--play", nargs=4)
    asked.add_argument("--good", nargs="+")
    asked.add_argument("--only", default="", help="kinds that have this in their name")
    given = asked.parse_args()
    if given.play:
        command, host, folder, report = given.play
        play(command, host, Path(folder), Path(report))
    elif given.good:
        good(given.good)
    else:
        sys.exit(0 if table(given.only) else 1)


if __name__ == "__main__":
    main()
