"""A picture of a terminal in which commands really ran. In a checkout:

    .venv/bin/python bench/picture.py docs/run.svg FOLDER 'cat train.py' 'assay run python train.py'

The commands run one after another in FOLDER, each on a terminal of its own. What they print, with its colours, is
the picture; nothing in it is written by hand.
"""

from __future__ import annotations

import argparse
import io
import os
import pty
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 100
# rich's own format names fonts on another server; a picture has to do without.
FORMAT = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
 font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" /></clipPath>{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g></g>
</svg>
"""


def ran(command: str, folder: Path) -> tuple[int, str]:
    """Run a command of a shell on a terminal; its exit code and what it printed."""
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(folder)
        os.environ |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": str(COLUMNS)}
        os.execv("/bin/sh", ["sh", "-c", f"stty cols {COLUMNS} rows 40; {command}"])
    printed = b""
    while True:
        try:
            printed += os.read(terminal, 4096)
        except OSError:  # the other side is closed
            break
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), printed.decode(errors="replace").replace("\r\n", "\n")


def main() -> int:
    """Write the picture; 1 where a command failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("commands", nargs="+")
    asked = parser.parse_args()
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    for command in asked.commands:
        console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
        code, printed = ran(command, asked.folder)
        if code:
            print(f"{command} ended with {code}:\n{printed}", file=sys.stderr)
            return 1
        console.print(Text.from_ansi(printed.rstrip("\n")))
    asked.picture.write_text(console.export_svg(title="assay", code_format=FORMAT), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
