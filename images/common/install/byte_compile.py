"""Compile the Python files below a folder, to the same bits wherever it is done. Runs at build time only.

    python byte_compile.py [--missing] FOLDER

compiles every file, or those that have no byte code: what a layer below has compiled is not written again.

What marshal writes depends on which strings the compiling process knows already, so compileall's result varies with
the order of the files and the number of its workers. Here each file is compiled in a fork of one untouched process.
The byte code is hash-based, so that it does not depend on a time, and checked, so that an edited source takes effect.
"""

import importlib.util
import os
import py_compile
import sys
from pathlib import Path


def main(folder, missing):
    """Compile what is below ``folder``; a file that is no Python of this version stays as it is."""
    files = [str(path) for path in Path(folder).rglob("*.py") if path.is_file()]
    if missing:
        files = [path for path in files if not Path(importlib.util.cache_from_source(path)).exists()]
    running = 0
    for path in sorted(files):
        if running == (os.cpu_count() or 1):
            os.wait()
            running -= 1
        if os.fork() == 0:
            compile_one(path)
        running += 1
    while running:
        os.wait()
        running -= 1


def compile_one(path):
    """Compile one file in this forked process, and end it."""
    try:
        py_compile.compile(path, doraise=True, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
    except (py_compile.PyCompileError, ValueError, RecursionError):
        pass
    except OSError as error:  # a full disk, above all
        print(f"{path}: {error}", file=sys.stderr)
        os.kill(os.getppid(), 15)
    finally:
        os._exit(0)


main(sys.argv[-1], "--missing" in sys.argv[1:-1])
