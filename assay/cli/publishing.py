"""The progress of images on their way: lines at each phase, with no long silence; in a terminal bars below them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    Task,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from assay.cli.beats import BEAT, Beats
from assay.cli.console import size, standard_error, styled


class PublishView:
    """Shows what goes to a registry: of each layer its bytes, rate and time left.

    It is told by the functions of `assay.registry.View`. ``clock`` gives seconds. ``doing`` is what is done with the
    blobs. Outside a terminal a thread calls `beat` once a second.
    """

    def __init__(
        self, console: Console | None = None, clock: Callable[[], float] = time.monotonic, doing: str = "sending"
    ) -> None:
        self._doing = doing
        self._console = console or standard_error()
        self._clock = clock
        self._lock = threading.RLock()
        self._phase = ""
        self._began = self._said = clock()
        self._sizes: dict[tuple[str, str], int] = {}
        self._tasks: dict[tuple[str, str], Task] = {}
        self._beating = Beats(self.beat)
        columns = (BarColumn(bar_width=None), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        name = TextColumn("{task.description}", markup=False)
        self._progress = Progress(name, *columns, console=self._console, get_time=clock, transient=True)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._progress.start()
        else:
            self._beating.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._progress.stop()
        else:
            self._beating.end()

    def phase(self, image: str, text: str) -> None:
        """Another phase begins, of an image or of what concerns all; what was under way of the last has ended."""
        with self._lock:
            self._phase, self._began = f"{image}: {text}", self._clock()
            for key in list(self._tasks):
                self._progress.remove_task(self._tasks.pop(key).id)
            self._say(self._phase)

    def sending(self, image: str, sizes: Mapping[str, int]) -> None:
        """These blobs of it are to be sent: their bytes by digest."""
        with self._lock:
            self._sizes = {(image, digest): count for digest, count in sizes.items()}
            if sizes:
                self.phase(image, f"{self._doing} {size(sum(sizes.values()))} in {len(sizes)} blobs")
            else:
                self.phase(image, "every blob is there")

    def gone(self, image: str, digest: str, count: int) -> None:
        """So many bytes of a blob have gone."""
        with self._lock:
            task = self._tasks.get((image, digest)) or self._begun(image, digest)
            self._progress.update(task.id, completed=count)

    def sent(self, image: str, digest: str) -> None:
        """The registry has the whole blob."""
        with self._lock:
            task = self._tasks.pop((image, digest), None)
            if task is None:
                return  # another publisher was faster
            self._progress.remove_task(task.id)
            seconds, count = task.elapsed or 0, self._sizes[image, digest]
            rate = f", {size(int(count / seconds))}/s" if seconds else ""
            self._say(f"{task.description}: {size(count)} in {seconds:.1f} s{rate}")

    def beat(self) -> None:
        """Say again what has gone on for BEAT seconds without a line."""
        with self._lock:
            if not self._phase or self._clock() - self._said < BEAT:
                return
            for task in self._tasks.values():
                self._say(_under_way(task))
            if not self._tasks:
                self._say(f"{self._phase}, {self._clock() - self._began:.0f} s")

    def _begun(self, image: str, digest: str) -> Task:
        number = self._progress.add_task(f"{image}: {digest[:19]}", total=self._sizes[image, digest])
        (task,) = (task for task in self._progress.tasks if task.id == number)
        self._tasks[image, digest] = task
        return task

    def _say(self, line: str) -> None:
        self._said = self._clock()
        self._console.print(styled(line))


def _under_way(task: Task) -> str:
    """A line about a blob that is being sent."""
    text = f"{task.description}: {size(int(task.completed))} of {size(int(task.total or 0))}"
    if task.finished:
        return f"{text}, and the registry is at work on it"
    if not task.speed or task.time_remaining is None:
        return text
    return f"{text}, {size(int(task.speed))}/s, {task.time_remaining:.0f} s left"
