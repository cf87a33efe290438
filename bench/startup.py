"""How long commands take that have nothing to do: .venv/bin/python bench/startup.py [--beside CHECKOUT]

Turn by turn, the seconds that each command takes, and those of the processors; prints the medians, and beside them
those of another checkout, which has its own .venv. With --build also `assay build`, which builds what is not built:
its figure is that of a build with nothing to do only where all is.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from assay import catalog
from assay.cli.console import say_table


def seconds(checkout: Path, words: str) -> tuple[float, float, int]:
    """The seconds that a command takes in a checkout, those of the processors, and its exit code."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    argv = [str(checkout / ".venv/bin/assay"), *words.split()]
    done = subprocess.run(argv, cwd=checkout, capture_output=True, check=False)
    took, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    # 5: `table --check` where a certificate does not hold, which takes as long.
    assert done.returncode in {0, 5}, done.stderr.decode()
    return took, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, done.returncode


def rows(checkouts: list[Path], commands: list[str], times: int) -> Iterator[list[str]]:
    """A row for each command, with its exit code here and its medians in each checkout."""
    for words in commands:
        found = [[seconds(each, words) for each in checkouts] for _ in range(times)]
        row = [f"assay {words}", str(found[0][0][2])]
        for turns in zip(*found, strict=True):
            row += [f"{statistics.median(one[at] for one in turns):.2f}" for at in (0, 1)]
        yield row


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beside", type=Path, metavar="CHECKOUT")
    parser.add_argument("--times", type=int, default=7)
    parser.add_argument("--build", action="store_true")
    options = parser.parse_args()
    name = catalog.load(Path.cwd()).frameworks()[0].name
    commands = ["--version", "build --help", "images", f"plan {name}", "table --check"]
    checkouts = [Path.cwd(), *([options.beside.resolve()] if options.beside else [])]
    columns = ["", "exit", "seconds", "of CPU", *(["seconds beside", "of CPU beside"] if options.beside else [])]
    say_table(columns, rows(checkouts, commands + ["build"] * options.build, options.times), right=columns[1:])


if __name__ == "__main__":
    main()
