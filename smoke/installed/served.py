"""Which GPUs the framework serves, by the code in its libraries. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass

from smoke.installed import fatbin
from smoke.installed.cuda import CAPABILITIES


@dataclass(frozen=True)
class Served:
    """What the framework's libraries have code for: each library's containers, each kind of container once."""

    libraries: tuple[fatbin.Coverage, ...]

    def how(self, major: int, minor: int) -> str:
        """Whether a GPU is served "wholly", "partly" (a library has parts without code for it) or "not"."""
        shares = [library.share(major, minor) for library in self.libraries]
        if not shares or not all(count for count, _ in shares):
            return "not"
        return "wholly" if all(count == total for count, total in shares) else "partly"

    def wholly(self) -> list[str]:
        """The compute capabilities that are served wholly, oldest first."""
        return self._served("wholly")

    def partly(self) -> list[str]:
        """The compute capabilities that are served partly, oldest first."""
        return self._served("partly")

    def _served(self, how: str) -> list[str]:
        return [f"{major}.{minor}" for major, minor in CAPABILITIES if self.how(major, minor) == how]

    def unserved(self) -> str:
        """In words, from which compute capability on no GPU is served; empty if the latest is served."""
        ways = [self.how(major, minor) for major, minor in CAPABILITIES]
        after = max((at + 1 for at, way in enumerate(ways) if way != "not"), default=0)
        if after == len(CAPABILITIES):
            return ""
        return "no code for compute capability {}.{} and later".format(*CAPABILITIES[after])
