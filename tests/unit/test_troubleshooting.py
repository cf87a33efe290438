"""docs/troubleshooting.md has the text of each error, as the code has it."""

from __future__ import annotations

import pytest

from assay.errors import AssayError, UsageError
from assay.registry import Reference
from bench.troubleshooting import PAGE, page


def test_it_is_as_the_code_has_it() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: .venv/bin/python bench/troubleshooting.py --write"


def test_an_error_that_is_raised_stands_there() -> None:
    with pytest.raises(AssayError) as caught:
        Reference.parse("no reference at all")
    assert isinstance(caught.value, UsageError)
    shown = caught.value.what.replace("'no reference at all'", "…")
    usage = PAGE.read_text(encoding="utf-8").partition("## Exit code 2")[2].partition("## Exit code 3")[0]
    assert f"| {shown} |" in usage
