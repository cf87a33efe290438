"""What moved since images were locked: Debian's updates with their CVEs, newer and withdrawn wheels, age."""

from assay.outdated.state import State, outdated, require_safe, row

__all__ = ["State", "outdated", "require_safe", "row"]
