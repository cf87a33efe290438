"""The ``assay`` command: its commands by name, and how it ends.

Each command imports what it needs when it is run: ``assay --version`` and ``--help`` wait for none of it.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType

import click

from assay.cli import (
    build,
    carry,
    certify,
    clean,
    compare,
    completion,
    doctor,
    engine,
    lab,
    outdated,
    publish,
    run,
    scan,
    site,
    smoke,
    table,
)
from assay.cli.console import note, show_error
from assay.errors import AssayError, UsageError
from assay.host import secrets


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="assay", message="assay %(version)s")
def cli() -> None:
    """Build GPU environment images, one per deep-learning framework, and certify each by training in it."""


cli.add_command(build.build_command)
cli.add_command(build.images_command)
cli.add_command(build.lock_command)
cli.add_command(build.plan_command)
cli.add_command(build.reproduce_command)
cli.add_command(run.run_command)
cli.add_command(run.shell_command)
cli.add_command(lab.lab_command)
cli.add_command(scan.scan_command)
cli.add_command(smoke.smoke_command)
cli.add_command(table.table_command)
cli.add_command(certify.certify_command)
cli.add_command(clean.clean_command)
cli.add_command(compare.compare_command)
cli.add_command(completion.completion_command)
cli.add_command(doctor.doctor_command)
cli.add_command(engine.engine_group)
cli.add_command(carry.export_command)
cli.add_command(carry.import_command)
cli.add_command(outdated.outdated_command)
cli.add_command(site.site_command)
cli.add_command(publish.keygen_command)
cli.add_command(publish.publish_command)
cli.add_command(publish.rebuild_command)
cli.add_command(publish.verify_command)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Run the command; every error is two lines and its own exit code."""
    secrets.take()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        cli.main(prog_name="assay", standalone_mode=False)
    except AssayError as error:
        show_error(error)
        sys.exit(error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)  # our own help, of many lines
        sys.exit(UsageError.exit_code)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "assay"
        show_error(UsageError(error.format_message(), f"`{path} --help` tells what there is."))
        sys.exit(UsageError.exit_code)
    except OSError as error:
        from assay.host import paths

        told = paths.refused(error)
        show_error(told)
        sys.exit(told.exit_code)
    except (KeyboardInterrupt, click.Abort):
        note("")
        note("interrupted: what is finished is kept, and the next run goes on from there")
        sys.exit(130)
