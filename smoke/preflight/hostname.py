"""Whether the container's own name has an address."""

from __future__ import annotations

import queue
import socket
import threading
from typing import Optional

from smoke.preflight.finding import OK, WARN, Finding

SECONDS = 2
Answer = queue.Queue[str]


def ask(name: str) -> Optional[Answer]:
    """Begins to look a name up; what comes out is why it failed, or nothing. None if that cannot be begun."""
    answer: Answer = queue.Queue()
    try:
        # A name server that does not answer holds the thread for many seconds; a daemon holds nobody at the end.
        threading.Thread(target=_look_up, args=(name, answer), daemon=True).start()
    except RuntimeError:
        return None
    return answer


def _look_up(name: str, answer: Answer) -> None:
    try:
        socket.getaddrinfo(name, None)
    except (OSError, ValueError) as why:
        answer.put(getattr(why, "strerror", None) or str(why) or type(why).__name__)
    else:
        answer.put("")


def judge_hostname(name: str, answer: Optional[Answer], seconds: float = SECONDS) -> Finding:
    """The verdict on the answer; it waits for it so long."""
    facts = {"name": name}
    if answer is None:
        message = "not known whether the container's own name has an address: no thread could be started"
        return Finding("hostname", WARN, message, "See what is said of processes.", facts)
    try:
        why = answer.get(timeout=seconds)
    except queue.Empty:
        why = f"no answer within {seconds:g} seconds"
    if not why:
        return Finding("hostname", OK, f"{name} has an address", facts=facts)
    message = f"the container's own name {name} has no address ({why}): torchrun and gloo look it up"
    remedy = 'Add --hostname localhost; with --network host, --add-host "$(hostname):127.0.0.1".'
    return Finding("hostname", WARN, message, remedy, facts)
