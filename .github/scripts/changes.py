"""Print what an upgrade changed as Markdown: changes.py LOCKED OUTDATED.json

LOCKED is what `assay lock` printed, OUTDATED.json is of `assay outdated --json` before it. For each image it has the
certificate that is committed; those of what was upgraded are made by the checks of the pull request.
"""

import json
import subprocess
import sys
from pathlib import Path


def table(columns, rows):
    lines = ["| " + " | ".join(columns) + " |", "| " + " | ".join("---" for _ in columns) + " |"]
    return "\n".join(
        [*lines, *("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows)]
    )


def locked(text):
    """A row per change of a line like: IMAGE: numpy 2.1 -> 2.2, scipy 1.14 -> 1.15"""
    for line in text.splitlines():
        name, _, changes = line.partition(": ")
        for change in changes.split(", ") if " -> " in changes else ():
            package, was, _, now = change.split(" ")
            yield name, package, was, now


def security(states):
    seen = {(state["base"], one["package"]): one for state in states for one in state["security"]}
    for (base, package), one in sorted(seen.items()):
        yield base, package, one["was"], one["now"], ", ".join(one["cves"]) or one["note"] or "none is named"


def main(locks, outdated):
    states = json.loads(Path(outdated).read_text(encoding="utf-8"))
    print("## What changed\n")
    print(table(("image", "package", "from", "to"), locked(Path(locks).read_text(encoding="utf-8"))))
    print("\n## Security updates\n")
    print(table(("base", "package", "from", "to", "CVEs"), security(states)))
    print("\n## The certificates before\n\n```")
    print(subprocess.run([".venv/bin/assay", "table"], capture_output=True, text=True, check=True).stdout.rstrip())
    print("```\n\nThose of what was upgraded are in the summaries of this pull request's checks.")


if __name__ == "__main__":
    main(*sys.argv[1:])
