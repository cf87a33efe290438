"""Split a lock in two: some distributions, and the rest. Runs at build time only.

    python split_lock.py LOCK FOLDER NAME...

writes FOLDER/named.lock, with the pins of the distributions named, and FOLDER/rest.lock.
"""

import sys
from pathlib import Path


def main(lock, folder, names):
    """Write both files; a name that the lock lacks is an error."""
    parts = {False: [], True: []}
    pinned = set()
    for line in lock.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.startswith("#"):
            continue
        if not line.startswith(" "):  # a pin; its hashes and remarks follow, indented
            name = line.partition("==")[0]
            pinned.add(name)
        parts[name in names].append(line)
    if set(names) - pinned:
        sys.exit("not in the lock: " + ", ".join(sorted(set(names) - pinned)))
    (folder / "rest.lock").write_text("".join(parts[False]), encoding="utf-8")
    (folder / "named.lock").write_text("".join(parts[True]), encoding="utf-8")


main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
