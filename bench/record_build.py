"""Write down what a build tells whoever watches it, and when: .venv/bin/python bench/record_build.py OUT [IMAGE...]

A JSON object per line: the seconds since the command began, which call, and what was said. Steps are left out: no log
shows them. With an ASSAY_CACHE that does not exist yet it is a build from nothing; the test of what a log shows
replays the result.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from types import TracebackType

from assay import build, catalog, engine
from assay.catalog import Built
from assay.cli.progress import BuildView
from assay.errors import AssayError


class Recorder:
    """A view that shows a build as ever, and writes down each call."""

    def __init__(self, out: Path) -> None:
        self._shown = BuildView()
        self._out = out.open("w", encoding="utf-8")
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._phases: dict[str, str] = {}

    def __enter__(self) -> Recorder:
        self._shown.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shown.__exit__(kind, error, trace)
        self._write("end")
        self._out.close()

    def _write(self, call: str, **said: object) -> None:
        with self._lock:
            row = {"at": round(time.monotonic() - self._started, 2), "call": call, **said}
            self._out.write(json.dumps(row) + "\n")
            self._out.flush()

    def start(self, name: str) -> None:
        """An image's turn has come."""
        self._phases.pop(name, None)
        self._write("start", name=name)
        self._shown.start(name)

    def phase(self, name: str, text: str) -> None:
        """Another phase begins."""
        if self._phases.get(name) != text:
            self._phases[name] = text
            self._write("phase", name=name, text=text)
        self._shown.phase(name, text)

    def step(self, name: str, text: str) -> None:
        """What is being done just now."""
        self._shown.step(name, text)

    def done(self, name: str, built: Built, fresh: bool) -> None:
        """The image is there."""
        self._write("done", name=name, seconds=built.seconds, fresh=fresh)
        self._shown.done(name, built, fresh)

    def failed(self, name: str, error: AssayError | None) -> None:
        """It could not be built."""
        self._write("failed", name=name, what=error.what if error else None)
        self._shown.failed(name, error)


def main() -> None:
    """Build the named images (none: all), as `make build-all` does."""
    out, names = Path(sys.argv[1]), sys.argv[2:]
    cat = catalog.load(Path.cwd())
    with Recorder(out) as seen, engine.find(lambda text: seen.phase("engine", text)) as found:
        seen.phase("engine", "")
        build.build(cat, found, names, seen, build.Options(pack=True))


if __name__ == "__main__":
    main()
