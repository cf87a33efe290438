"""Reads from buildx's ``--progress rawjson`` what a build is doing."""

from __future__ import annotations

import base64
import json
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

KEPT_LINES = 40
_ERROR = re.compile(r"(?i)(error|fatal|e)\s*:\s*\S")
_CAUSE = re.compile(r"(?i)(caused? by|cause)\b")


@dataclass(frozen=True)
class Step:
    """A step that began, or with ``line`` a line that it printed."""

    name: str
    line: str | None = None


class Decoder:
    """Turns the lines of ``--progress rawjson`` into steps; buildx prints an object on one line or on several."""

    def __init__(self, on_step: Callable[[Step], None]) -> None:
        self._on_step = on_step
        self._object: list[str] = []
        self._plain: deque[str] = deque(maxlen=KEPT_LINES)
        self._logs: deque[str] = deque(maxlen=KEPT_LINES)
        self._names: dict[str, str] = {}
        self._rest: dict[str, str] = {}  # by step: the last line, while it is not complete
        self._errors: list[str] = []
        self._parts: set[tuple[str, str]] = set()

    def feed(self, line: str) -> None:
        """Take one line of buildx's output; whatever is no JSON object is kept as plain text."""
        if not self._object and not line.startswith("{"):
            self._plain.append(line)
            return
        self._object.append(line)
        if line == "}" or (len(self._object) == 1 and line.endswith("}")):
            text = "\n".join(self._object)
            self._object.clear()
            try:
                self._status(json.loads(text))
            except (ValueError, TypeError, AttributeError):
                self._plain.append(text)

    def reason(self) -> str:
        """Return in one line why the build failed: what the failing step called an error, else its last line."""
        said = [line.strip() for line in (*self._logs, *self._rest.values()) if line.strip()]
        for number in range(len(said) - 1, -1, -1):
            if _ERROR.match(said[number]):
                causes = [line for line in said[number + 1 :] if _CAUSE.match(line)][:1]
                return " ".join("; ".join((said[number], *causes)).split())[:400]
        plain = [line for line in self._plain if line.strip()]
        for lines in (said[-1:] if self._errors else [], self._errors[-1:], plain[-1:]):
            if lines and lines[0].strip():
                return " ".join(lines[0].split())[:400]
        return "it gave no reason"

    def text(self) -> str:
        """Return all that was kept of the output."""
        return "\n".join([*self._logs, *self._rest.values(), *self._errors, *self._plain])

    def _status(self, status: dict[str, Any]) -> None:
        for vertex in status.get("vertexes") or []:
            name = str(vertex.get("name", ""))
            known = self._names.setdefault(str(vertex.get("digest")), name)
            if vertex.get("error"):
                self._errors.append(str(vertex["error"]))
            elif vertex.get("started") and not vertex.get("completed") and not known.startswith("[internal]"):
                self._on_step(Step(name))
        for part in status.get("statuses") or []:
            self._exported(part)
        for log in status.get("logs") or []:
            self._log(str(log.get("vertex")), base64.b64decode(log.get("data") or "").decode(errors="replace"))

    def _exported(self, part: dict[str, Any]) -> None:
        """Of the parts of a step only what the exporter does is of interest: it compresses, then it unpacks."""
        known = self._names.get(str(part.get("vertex")), "")
        name = str(part.get("id", ""))
        if known.startswith("exporting ") and part.get("started") and (known, name) not in self._parts:
            self._parts.add((known, name))
            self._on_step(Step(name))

    def _log(self, vertex: str, text: str) -> None:
        """Put the pieces together in which a program wrote its output, and pass on whole lines."""
        *lines, rest = (self._rest.pop(vertex, "") + text).split("\n")
        if rest:
            self._rest[vertex] = rest
        for line in lines:
            self._logs.append(line.rstrip("\r"))
            self._on_step(Step(self._names.get(vertex, ""), line=line.rstrip("\r")))
