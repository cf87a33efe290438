"""Writes down which images passed all of these tests: `assay table --write` keeps that with their certificates.

An image is marked for a whole run of this folder in which none of its tests failed, and nothing that is of no image
did; a run of a part marks nothing. A test that was skipped stands in the mark, with the reason.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.certify import records


class Marks:
    """A plugin of pytest; ``digests`` are the images that were tested, as the engine has them."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder = root / records.TESTS
        self._whole = False
        self._images: dict[str, str] = {}  # by the id of a test, the image that it is of
        self._passed: set[str] = set()
        self._skipped: dict[str, str] = {}
        self._failed: set[str] = set()
        self._said: list[str] = []
        self.digests: dict[str, str] = {}

    @pytest.hookimpl(tryfirst=True)  # before anything is deselected
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        ours = [item for item in items if item.path.is_relative_to(self._folder)]
        self._images = {item.nodeid: name for item in ours if (name := _image_of(item))}
        asked = [config.invocation_params.dir / one for one in config.args if "::" not in one]
        there = set(self._folder.rglob("test_*.py"))
        everything = any(self._folder.is_relative_to(path.resolve()) for path in asked)
        self._whole = everything and there <= {item.path for item in ours}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed.add(report.nodeid)
        elif report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            self._skipped[report.nodeid] = reason.removeprefix("Skipped: ")
        elif report.when == "call":
            self._passed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        for name, digest in self.digests.items():
            own = {test for test, image in self._images.items() if image == name}
            if own & self._failed:
                records.unmark(self._root, name)
            passed = own & self._passed - self._failed
            skipped = {_short(test): self._skipped[test] for test in own & self._skipped.keys()}
            others_hold = self._failed <= self._images.keys()
            if self._whole and passed and others_hold and len(passed) + len(skipped) == len(own):
                records.mark(self._root, name, digest, len(passed), skipped)
                self._said.append(name)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.digests:
            terminalreporter.write_line(f"passed {records.TESTS} as a whole: {', '.join(self._said) or 'none'}")


def _image_of(item: pytest.Item) -> str:
    """The image that a test is of; empty for one of none."""
    callspec = getattr(item, "callspec", None)
    return str(callspec.params.get("subject", "")) if callspec else ""


def _short(test: str) -> str:
    """A test's id without the folders."""
    path, between, name = test.partition("::")
    return f"{Path(path).name}{between}{name}"
