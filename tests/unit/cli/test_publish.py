"""What the commands about published images take."""

from __future__ import annotations

import click

from assay import certificate, cli


def test_the_levels_that_verify_takes_are_those_that_there_are() -> None:
    (require,) = [option for option in cli.cli.commands["verify"].params if option.name == "require"]
    assert isinstance(require.type, click.Choice)
    assert list(require.type.choices) == list(certificate.LEVELS)
