"""How far images are behind: each by its own lock, and by that of the Debian base that it stands on."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable
from dataclasses import dataclass

from assay import lock, rootfs
from assay.catalog import Catalog, Image
from assay.catalog.support import ended
from assay.errors import CertificateFailed, UsageError
from assay.host.files import Tell
from assay.lock import Newer, Yanked
from assay.rootfs import PackagesLock, Update


class SecurityUpdateWaits(CertificateFailed):
    """Debian has a security update of a package that an image holds in an older version."""

    exit_code = 1


@dataclass(frozen=True)
class State:
    """How far one image is behind. ``resolved`` is when its base was locked, None where the lock does not say."""

    image: str
    base: str
    resolved: datetime.datetime | None
    age_days: int | None
    updates: tuple[Update, ...]
    newer: tuple[Newer, ...]
    yanked: tuple[Yanked, ...]
    ended: str

    @property
    def security(self) -> tuple[Update, ...]:
        """Those of the updates that are security updates."""
        return tuple(update for update in self.updates if update.security)


def outdated(cat: Catalog, names: Iterable[str], tell: Tell, now: datetime.datetime | None = None) -> list[State]:
    """How far the named framework images are behind (none named: all); each base is asked about once.

    Raises `BuildFailed` where an archive or the index does not answer.
    """
    now = now or datetime.datetime.now(datetime.UTC)
    bases: dict[str, tuple[PackagesLock, tuple[Update, ...]]] = {}
    states = []
    for image in cat.select(names):
        base = _base(cat, image)
        if base.name not in bases:
            locked = PackagesLock.read(base.folder / "packages.lock")
            bases[base.name] = locked, tuple(rootfs.updates(base, locked, _named(base.name, tell)))
        locked, updates = bases[base.name]
        tell(f"{image.name}: asking the index of its wheels")
        newer, yanked = lock.newer(image)
        age = (now - locked.resolved).days if locked.resolved else None
        over = ended(image.support, f"{now:%Y-%m}")
        states.append(State(image.name, base.name, locked.resolved, age, updates, tuple(newer), tuple(yanked), over))
    return states


def require_safe(states: Iterable[State]) -> None:
    """Raise `SecurityUpdateWaits` (exit 1) where a security update waits."""
    waiting = {state.base: state.security for state in states if state.security}
    if waiting:
        count = sum(map(len, waiting.values()))
        noun = "security update waits" if count == 1 else "security updates wait"
        raise SecurityUpdateWaits(
            f"{count} {noun} in {', '.join(waiting)}",
            f"assay lock {' '.join(waiting)}; then build, certify and publish what stands on it.",
        )


def row(state: State) -> dict[str, object]:
    """A state for programs."""
    return {
        "image": state.image,
        "base": state.base,
        "resolved": state.resolved.isoformat() if state.resolved else None,
        "age_days": state.age_days,
        "security": [dataclasses.asdict(update) for update in state.security],
        "updates": [dataclasses.asdict(update) for update in state.updates if not update.security],
        "newer": [dataclasses.asdict(one) for one in state.newer],
        "yanked": [dataclasses.asdict(one) for one in state.yanked],
        "ended": state.ended or None,
    }


def _named(name: str, tell: Tell) -> Tell:
    return lambda text: tell(f"{name}: {text}")


def _base(cat: Catalog, image: Image) -> Image:
    """The Debian that an image stands on."""
    found = next((one for one in (image, *cat.ancestors(image)) if one.suite), None)
    if found is None:
        raise UsageError(f"{image.name} stands on no base", "Name one with [base] as a parent of it.")
    return found
