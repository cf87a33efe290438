"""Run the suite in one image, in a container that can do little else, and read its report.

The container has no network, a read-only root, a UID without a passwd entry and 64 MB of /dev/shm. The plan goes in
and the report comes out as files.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from assay import certificate
from assay.certificate import Report
from assay.certify.outcome import Options
from assay.engine import MOUNT, Engine, RunRequest, RunResult, run_with_files
from assay.errors import CertificateFailed, VerificationFailed
from assay.host import files, foreign

UID = 12345
SHM_BYTES = 64 * 2**20
SECONDS = 1200
SUITE = "/opt/assay"
ENTRYPOINT = f"{SUITE}/bin/entrypoint"


@dataclass(frozen=True)
class Target:
    """What to run the suite in: what it is called, in words and below ``build/reports``, and in the engine.

    ``suite`` is a folder of this machine that takes the place of the image's /opt/assay; None: the image's own.
    ``platform`` is that of an image whose programs are emulated here.
    """

    name: str
    folder: str
    reference: str
    suite: Path | None = None
    platform: str | None = None


def run_suite(
    root: Path, engine: Engine, target: Target, plan: Mapping[str, object], options: Options
) -> tuple[Report, float]:
    """Return the report of a run that came to its end, and the seconds that it took.

    The report and the output are also kept below ``build/reports``. Raises `CertificateFailed` for a suite that
    crashed, hung or ran out of memory, and `VerificationFailed` for a report that does not answer the plan.
    """
    if options.device == "gpu" and engine.gpu_access() is None:
        raise CertificateFailed(
            f"{target.name}: a GPU was asked for, and this engine has neither CDI nor the NVIDIA runtime",
            "Install the NVIDIA container toolkit and run `nvidia-ctk cdi generate`, or use --device cpu.",
        )
    folder = root / "build" / "reports" / target.folder
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"{options.device}.json"
    program = "smoke" if target.suite is None else f"{SUITE}/bin/smoke"
    request = RunRequest(
        image=target.reference,
        command=(program, "--plan", f"{MOUNT}/plan.json", "--report", f"{MOUNT}/report.json", *_only(options)),
        user=f"{UID}:{UID}",
        device=options.device,
        shm_bytes=SHM_BYTES,
        memory_bytes=options.memory_bytes,
        seconds=SECONDS,
        given={target.suite: SUITE} if target.suite else {},
        entrypoint=(ENTRYPOINT,) if target.suite else None,
        folder=SUITE if target.suite else None,  # Python looks there first: for no file of the image's
        platform=target.platform,
    )
    given = {"plan.json": json.dumps(dict(plan)).encode()}
    with replaced_or_void(kept):
        ran, left = run_with_files(engine, request, given, "report.json", certificate.LARGEST_REPORT)
        (folder / f"{options.device}.log").write_text(foreign.lines(ran.output), encoding="utf-8")
        _check_ending(target, ran)
        if isinstance(left, VerificationFailed):
            raise left
        report = certificate.parse_report(left)
        files.replace(kept, left)
    require_answer(report, plan)
    return report, ran.seconds


def _only(options: Options) -> tuple[str, ...]:
    return ("--only", *options.only) if options.only else ()


@contextlib.contextmanager
def replaced_or_void(path: Path) -> Iterator[None]:
    """A file of an earlier run is replaced by what is done here, or void if that fails; an interrupt leaves it."""
    try:
        yield
    except Exception:
        path.unlink(missing_ok=True)
        raise


def _check_ending(target: Target, ran: RunResult) -> None:
    name = target.name
    last = next((line.strip() for line in reversed(ran.output.splitlines()) if line.strip()), "it printed nothing")
    if ran.out_of_memory and ran.exit_code != 0:
        raise CertificateFailed(
            f"{name}: the kernel ended the suite for want of memory", "Give it more: --memory 8g."
        )
    if ran.timed_out:
        raise CertificateFailed(f"{name}: the suite came to no end in {SECONDS} s: {last}", "Look at where it hangs.")
    if ran.exit_code != 0:
        raise CertificateFailed(
            f"{name}: the suite crashed with exit code {ran.exit_code}: {last}",
            f"Its last output is in build/reports/{target.folder}.",
        )


def require_answer(report: Report, plan: Mapping[str, object]) -> None:
    """A report is of the image that was run, and answers the plan that it was given."""
    if report.image != plan["image"]:
        raise VerificationFailed(
            f"the report is of {report.image[:80]!r}, not of {plan['image']!r}",
            "Run the smoke suite in the right image.",
        )
    if report.plan != dict(plan):
        raise VerificationFailed("the report answers another plan", "Run the smoke suite again.")
