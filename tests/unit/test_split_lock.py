from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_a_lock_is_split_by_how_its_distributions_come(tmp_path: Path) -> None:
    a, b = "a" * 64, "b" * 64
    wheel, source = f"six==1.17 \\\n    --hash=sha256:{a}\n    # via -r x\n", f"theano==1.0 --hash=sha256:{b}\n"
    (tmp_path / "lock").write_text(f"# Written by\n{source}{wheel}")
    script = Path(__file__).parents[2] / "images/common/install/split_lock.py"

    def split(*names: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, str(script), str(tmp_path / "lock"), str(tmp_path), *names]
        return subprocess.run(argv, capture_output=True, text=True, check=False)

    assert split("theano").returncode == 0
    assert (tmp_path / "rest.lock").read_text() == wheel
    assert (tmp_path / "named.lock").read_text() == source
    done = split("theano", "pygpu")
    assert (done.returncode, done.stderr) == (1, "not in the lock: pygpu\n")
