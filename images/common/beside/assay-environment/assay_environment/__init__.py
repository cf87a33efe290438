"""What a process finds in this image, however it was started: a home, its share of the processors, added packages.

The entrypoint sets it for every program (run as a program, this file prints it for a shell). Each Python process sees
to it once more when it starts (assay_environment.pth): `docker exec`, a pod's ``command:`` and another entrypoint do
not come through ours. Whatever somebody has set is left as it is. Python 3.9, and nothing that takes time to import.
"""

# Each Python process waits for what is imported here.
# ruff: noqa: PLC0415, PTH103, PTH116, PTH123
import os
import sys

# Names what is installed here, so that packages which a user adds are found in this environment only.
KEY = "/opt/assay/environment"
CGROUPS = "/sys/fs/cgroup"
# How OpenMP and OpenBLAS, XLA, TensorFlow and Python are told how many processors there are.
THREADS = ("OMP_NUM_THREADS", "NPROC", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "PYTHON_CPU_COUNT")


def settings(environ):
    """Return the variables that are to be set, by name."""
    found = {}
    home = environ.get("HOME", "")
    if not (home and os.access(home, os.W_OK)):
        home = _new_home(environ.get("TMPDIR") or "/tmp")  # noqa: S108 -- as tempfile does
        if home:
            found["HOME"] = home
    for name in ("USER", "LOGNAME"):
        if not environ.get(name):
            found[name] = environ.get("USER") or "assay"
    quota = processors()
    if quota:
        found.update({name: str(quota) for name in THREADS if name not in environ})
    # Where pip installs when it may not write to /opt/env. Python looks there later: nothing added hides what was
    # certified.
    base = environ.get("PYTHONUSERBASE", "")
    if not base and home:
        base = found["PYTHONUSERBASE"] = home + "/.assay/" + _key()
    programs = base + "/bin"
    if base and programs not in environ.get("PATH", "").split(":"):
        found["PATH"] = environ.get("PATH", os.defpath) + ":" + programs
    return found


def processors():
    """Return how many processors the control group's quota is worth, rounded up; 0 where it leaves all of them."""
    cpu = CGROUPS + "/cpu/cpu.cfs_{}_us"
    numbers = _numbers(CGROUPS + "/cpu.max") or _numbers(cpu.format("quota")) + _numbers(cpu.format("period"))
    if len(numbers) != 2 or min(numbers) <= 0:
        return 0
    share = -(-numbers[0] // numbers[1])
    return share if share < len(os.sched_getaffinity(0)) else 0


def start():
    """Set all of it in this Python process, which has just started."""
    os.environ.update(settings(os.environ))
    if os.getpid() == 1:
        _end_when_told()


def _end_when_told():
    """The kernel hands the first process no signal that it has no handler for; `docker stop` sends this one."""
    import signal

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def _new_home(temporary):
    """Make a home for this user; empty where there is no room for one."""
    home = f"{temporary}/home-{os.getuid()}"
    try:
        os.makedirs(home, 0o700, exist_ok=True)
        return home if os.stat(home).st_uid == os.getuid() and os.access(home, os.W_OK) else ""
    except OSError:
        return ""


def _numbers(path):
    """Return the numbers in a file; none for a file that is not there, or says "max"."""
    try:
        with open(path) as file:
            return tuple(int(word) for word in file.read().split())
    except (OSError, ValueError):
        return ()


def _key():
    try:
        with open(KEY) as file:
            return file.read().strip()
    except OSError:
        return "environment"


def _quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"


if __name__ == "__main__":
    for name, value in settings(os.environ).items():
        print(f"export {name}={_quoted(value)}")
