"""Where a derived image's certificate comes from: rules about its base, and about what was added, as in `origin`."""

from __future__ import annotations

from collections.abc import Iterator

from assay.certificate.derived import BaseImage, counted, named, shown
from assay.certificate.levels import RANK
from assay.certificate.origin import ORIGIN, Opened, OriginRule


def told_what_was_added(opened: Opened) -> Iterator[str]:
    """What a derived image's certificate says was added, its report names and counts."""
    derived = opened.about.predicate.derived
    if derived is None:
        return
    names, count = named(opened.report), counted(opened.report)
    if count is None:
        yield "its suite does not count what was added, so a derived image cannot be certified by it"
    elif names != derived.added or count != str(len(derived.added)):
        there = "no list" if names is None else shown(names)
        yield f"it says that this was added: {shown(derived.added)}; and its report counts {count[:20]}: {there}"


def stands_on_a_base(opened: Opened) -> Iterator[str]:
    """What a derived image names as its base is the image that its plan is of, and not itself."""
    derived = opened.about.predicate.derived
    if derived is None:
        return
    base, layers = derived.base, len(opened.about.predicate.image.diff_ids)
    if base.name != opened.report.image:
        yield f"it names {base.name[:60]!r} as its base, and its report is of {opened.report.image[:60]!r}"
    if base.digest == f"sha256:{opened.subject.digest.get('sha256', '')}":
        yield "it names its own image as its base"
    if base.layers > layers:
        yield f"it names a base of {base.layers} layers, and has {layers}"


def no_better_than_its_base(opened: Opened) -> Iterator[str]:
    """A derived image reaches no level that its base does not reach."""
    derived = opened.about.predicate.derived
    if derived and opened.evidence.passed and RANK[opened.evidence.level] > RANK[derived.base.level]:
        yield f"its base reaches {derived.base.level}, and it claims {opened.evidence.level}"


def of_the_base(opened: Opened) -> Iterator[str]:
    """Where the base and the layers above it were looked at, it says of them what was found."""
    wanted, found = opened.policy.derived, opened.about.predicate.derived
    if wanted is None:
        return
    if found is None:
        yield "it says nothing of the base that its image stands on"
    elif found.base != wanted.base:
        yield f"it names as its base {_base(found.base)}, and that is {_base(wanted.base)}"
    elif found.added != wanted.added:
        yield f"it says that this was added: {shown(found.added)}; and its layers hold {shown(wanted.added)}"


def _base(base: BaseImage) -> str:
    return f"{base.name[:60]} ({base.digest[7:19]}, {base.level}, {base.layers} layers)"


EVERY_ORIGIN: tuple[OriginRule, ...] = (
    *ORIGIN,
    told_what_was_added,
    stands_on_a_base,
    no_better_than_its_base,
    of_the_base,
)
