"""The limits of resources that the container was started with (docker's --ulimit)."""

from __future__ import annotations

import resource

from smoke.preflight.finding import FAIL, OK, WARN, Finding

MIB = 2**20


def open_files() -> Finding:
    """How many files one process may have open."""
    return judge_open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def judge_open_files(limit: int) -> Finding:
    """The verdict on a soft RLIMIT_NOFILE; -1 is none."""
    facts = {"limit": limit}
    if 0 <= limit < 1024:
        message = f"a process may have {limit} files open: data workers and collectives hold many at once"
        state = FAIL if limit < 256 else WARN
        return Finding("files", state, message, "Start the container with --ulimit nofile=65536.", facts)
    amount = limit if limit >= 0 else "any number of"
    return Finding("files", OK, f"a process may have {amount} files open", facts=facts)


def locked_memory() -> Finding:
    """How much memory a process may keep from being swapped."""
    return judge_locked_memory(resource.getrlimit(resource.RLIMIT_MEMLOCK)[0])


def judge_locked_memory(limit: int) -> Finding:
    """The verdict on a soft RLIMIT_MEMLOCK in bytes; -1 is none."""
    facts = {"bytes": limit}
    message = f"{_bytes(limit)} of memory may be locked"
    if 0 <= limit < 64 * MIB:
        more = f"{message}: transfers between machines (RDMA) and some pinned memory need more"
        return Finding("memlock", WARN, more, "Start the container with --ulimit memlock=-1.", facts)
    return Finding("memlock", OK, message, facts=facts)


def stack() -> Finding:
    """The size of a thread's stack."""
    return judge_stack(resource.getrlimit(resource.RLIMIT_STACK)[0])


def judge_stack(limit: int) -> Finding:
    """The verdict on a soft RLIMIT_STACK in bytes; -1 is none."""
    facts = {"bytes": limit}
    message = f"a stack may have {_bytes(limit)}"
    if 0 <= limit < 8 * MIB:
        more = f"{message}: deep recursion in compilers and collectives may crash"
        return Finding("stack", WARN, more, "Start the container with --ulimit stack=67108864.", facts)
    return Finding("stack", OK, message, facts=facts)


def _bytes(limit: int) -> str:
    if limit < 0:
        return "any amount"
    return f"{limit / MIB:.0f} MiB" if limit >= MIB else f"{limit / 1024:.0f} KiB"
