"""The check families: one file each, and this table, which is the one place that lists them.

A file holds ``run(process, context)``, which yields ``Result`` and ``Fault`` values as it goes. A family runs in one
or more named processes. Families of one process share it, since importing a framework takes seconds. ``static`` looks
at the image and imports no framework. ``found`` starts the framework as a user does, with nothing of the suite's
about it. When both have ended, the suite trains: ``main`` with as few switches as each check needs
(``Result.switches``), and so does ``compile``, which has a process to itself because compilers take their time.
``first`` and ``second`` are two fresh processes with the framework's switches for determinism on: ``second`` must
reproduce what ``first`` leaves. ``tried``, ``write`` and ``read`` do what users do every day, as they do it.
"""

from __future__ import annotations

from typing import NamedTuple

from smoke.plan import Plan, PlanError, declared, frameworks

# Stages run one after another, and so do the processes of one chain, which share a folder for temporary files. On the
# CPU two of a stage's chains run side by side, and the next begins where one has ended: the longest come first. On a
# GPU they do not, since TensorFlow and JAX each take most of its memory when they start.
STAGES = (
    (("static",), ("found",), ("tried",)),
    (("compile",), ("main",), ("first", "second"), ("write", "read")),
)
SIDE_BY_SIDE = 2
DETERMINISTIC = ("first", "second")
# Those that no switch of the suite's is in.
UNTOUCHED = ("static", "found", "tried", "write", "read")


class Family(NamedTuple):
    """A check family: its file, what its result ids begin with, its processes, and if a plan must ask for it.

    ``once``: where a plan names backends, it is about the image and not run again with each.
    """

    name: str
    prefix: str
    processes: tuple[str, ...] = ("main",)
    optional: bool = False
    once: bool = False


FAMILIES = (
    Family("static", "static", ("static",), once=True),
    Family("as_found", "as-found", ("found",)),
    Family("imports", "imports"),
    Family("device", "device"),
    Family("exact", "P0"),
    Family("precision", "P1"),
    Family("parity", "P2"),
    Family("faults", "P4"),
    Family("digits", "digits"),
    Family("sequence", "sequence", optional=True),
    Family("compile", "compile", ("compile",), optional=True),
    Family("domain", "domain", optional=True),
    Family("loader", "loader"),
    Family("cost", "cost"),
    Family("loaded", "static.loaded"),
    Family("ranks", "ranks"),
    Family("determinism", "P3", ("first", "second")),
    Family("checkpoint", "checkpoint", ("first", "second")),
    Family("programs", "everyday.programs", ("tried",), once=True),
    Family("modules", "everyday.modules", ("tried",), once=True),
    Family("files", "everyday.files", ("write", "read")),
    Family("extensions", "everyday.extensions", ("write",)),
)


def check_known(plan: Plan) -> None:
    """Raises PlanError for a framework or a workload that this suite does not have."""
    there = frameworks()
    if plan.framework not in there:
        alone = "This suite is that of an image of {}: follow the plan in the image that it names."
        raise PlanError(
            f"no framework {plan.framework!r} in this suite",
            alone.format(there[0]) if len(there) == 1 else "Choose one of: {}.".format(", ".join(there)),
        )
    known = {family.name for family in FAMILIES} | set(declared(plan.framework, "WORKLOADS"))
    for name in plan.workloads:
        if name not in known:
            raise PlanError(
                f"no workload {name!r} for {plan.framework}",
                "Choose from: {}.".format(", ".join(sorted(known))),
            )
