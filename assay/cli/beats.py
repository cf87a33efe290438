"""What keeps a log from silence: nobody shall think that a command hangs."""

from __future__ import annotations

import threading
from collections.abc import Callable

# Seconds without a line about something that goes on, after which a log says so again.
BEAT = 30


class Beats(threading.Thread):
    """Calls a function once a second until it is ended."""

    def __init__(self, beat: Callable[[], None]) -> None:
        super().__init__(name="beat", daemon=True)
        self._beat = beat
        self._ended = threading.Event()

    def run(self) -> None:
        """Beat; `start` calls this."""
        while not self._ended.wait(1):
            self._beat()

    def end(self) -> None:
        """Return when nothing is called any more."""
        self._ended.set()
        self.join()
