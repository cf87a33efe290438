"""The command as it is run, and an engine that does nothing."""

from __future__ import annotations

from collections.abc import Callable


class Found:
    """The engine that `engine.find` gives."""

    description = "docker 28 (fake)"

    def __enter__(self) -> Found:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def prune_build_cache(self) -> int:
        return 2_000_000


class Ran:
    """How a command ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def refused(self, code: int, *words: str) -> None:
        lines = self.err.splitlines()
        assert self.code == code
        assert len(lines) == 2
        assert lines[0].startswith("error: ")
        assert lines[1].startswith("  ")
        assert "Traceback" not in self.err
        for word in words:
            assert word in self.err


def raising(error: BaseException) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail
