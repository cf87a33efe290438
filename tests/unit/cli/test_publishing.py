"""What is shown of a publication, in a log and in a terminal."""

from __future__ import annotations

import io
import itertools
import re

from rich.console import Console

from assay.cli.publishing import PublishView

LAYER, SMALL = "sha256:" + "a" * 64, "sha256:" + "b" * 64
MB = 10**6


class Shown:
    """A view with a clock that only `at` moves, and the lines that it has printed."""

    def __init__(self, *, terminal: bool = False) -> None:
        self.now = 0.0
        self.file = io.StringIO()
        console = Console(file=self.file, force_terminal=terminal, width=100, highlight=False)
        self.view = PublishView(console, lambda: self.now)

    def at(self, second: float) -> PublishView:
        while self.now + 1 <= second:
            self.now += 1
            self.view.beat()
        self.now = second
        return self.view

    @property
    def lines(self) -> list[str]:
        return self.file.getvalue().splitlines()


def published(shown: Shown) -> None:
    """An image with a layer that takes 100 s, and a small one that goes beside it."""
    shown.at(0).phase("torchy", "asking what is there")
    shown.view.sending("torchy", {LAYER: 1000 * MB, SMALL: 3 * MB})
    for second in range(101):
        shown.at(second).gone("torchy", LAYER, second * 10 * MB)
        if second == 2:
            shown.view.gone("torchy", SMALL, 1 * MB)
        if second == 4:
            shown.view.gone("torchy", SMALL, 3 * MB)
            shown.view.sent("torchy", SMALL)
    shown.at(140).sent("torchy", LAYER)
    shown.view.phase("torchy", "certificates")
    shown.at(200).phase("torchy", "tags")


def test_a_log_has_a_line_at_each_phase_and_no_long_silence() -> None:
    shown = Shown()
    published(shown)
    assert shown.lines == [
        "torchy: asking what is there",
        "torchy: sending 1.00 GB in 2 blobs",
        "torchy: sha256:bbbbbbbbbbbb: 3.00 MB in 2.0 s, 1.50 MB/s",
        "torchy: sha256:aaaaaaaaaaaa: 330.00 MB of 1.00 GB, 10.00 MB/s, 67 s left",
        "torchy: sha256:aaaaaaaaaaaa: 630.00 MB of 1.00 GB, 10.00 MB/s, 37 s left",
        "torchy: sha256:aaaaaaaaaaaa: 930.00 MB of 1.00 GB, 10.00 MB/s, 7 s left",
        "torchy: sha256:aaaaaaaaaaaa: 1.00 GB of 1.00 GB, and the registry is at work on it",
        "torchy: sha256:aaaaaaaaaaaa: 1.00 GB in 140.0 s, 7.14 MB/s",
        "torchy: certificates",
        "torchy: certificates, 30 s",
        "torchy: certificates, 60 s",
        "torchy: tags",
    ]


def test_an_image_that_is_there_already() -> None:
    shown = Shown()
    shown.view.sending("torchy", {})
    shown.view.sent("torchy", LAYER)  # another publisher was faster
    assert shown.lines == ["torchy: every blob is there"]


def test_what_failed_is_not_shown_with_the_next_image() -> None:
    shown = Shown()
    shown.view.sending("torchy", {LAYER: 1000 * MB})
    shown.view.gone("torchy", LAYER, 1)
    shown.at(1).phase("other", "asking what is there")
    shown.at(40)
    assert shown.lines[-1] == "other: asking what is there, 30 s"


def test_a_terminal_has_a_bar_for_each_layer_that_is_under_way() -> None:
    shown = Shown(terminal=True)
    with shown.view as view:
        view.sending("torchy", {LAYER: 1000 * MB, SMALL: 3 * MB})
        for second in range(11):
            shown.at(second).gone("torchy", LAYER, second * 10 * MB)
            view.gone("torchy", SMALL, second * 10**5)
        view._progress.refresh()
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.file.getvalue())
    assert re.search(r"torchy: sha256:aaaaaaaaaaaa .* 0\.1/1\.0 GB +10\.0 MB/s +0:01:30", text)
    assert re.search(r"torchy: sha256:bbbbbbbbbbbb .* 1\.0/3\.0 MB +100\.0 kB/s +0:00:20", text)
    assert shown.file.getvalue().rstrip().endswith("\x1b[2K")


def test_it_beats_by_itself_and_ends() -> None:
    target, ticks = io.StringIO(), itertools.count(0, 40)
    with PublishView(Console(file=target, width=100), lambda: float(next(ticks))) as view:
        view.phase("torchy", "certificates")
        while "certificates, " not in target.getvalue():
            pass
    assert not view._beating.is_alive()
