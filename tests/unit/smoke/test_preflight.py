from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import signal
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smoke.installed import coverage, fatbin
from smoke.installed.fatbin import Code
from smoke.machine import cgroups, driver
from smoke.machine.cgroups import Machine
from smoke.machine.driver import Driver, Gpu
from smoke.preflight import __main__ as command
from smoke.preflight import container, finding, gpu
from smoke.preflight.finding import FAIL, OK, WARN, Promise

CUDA = Promise("torchy", "13.2", "gpu")
CPU = Promise("torchy", "13.2", "cpu")
GOOD = Driver("580.65.06", True, "580.65.06", (13, 2), (Gpu("NVIDIA H100", (9, 0)),))
PLAN = {
    "schema": 1,
    "image": "torchy",
    "device": "cpu",
    "framework": {"name": "torch", "module": "torch"},
    "workloads": [],
    "labels": {"cuda": "13.2", "python": "3.13"},
    "packages": {},
    "seconds_per_check": 300,
}


@pytest.fixture
def machine(tmp_path):
    for name in ("proc/self", "cgroup", "shm", "home"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text("MemTotal:       8388608 kB\nMemFree: 1 kB\n")
    environment = {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "home"), "USER": "me"}
    return Machine(environment, 54321, tmp_path / "proc", tmp_path / "cgroup", tmp_path / "shm", 8)


@pytest.fixture
def covered(tmp_path):
    library = tmp_path / "env/libtorch.so"
    library.parent.mkdir()
    library.write_bytes(b"x" * 100)
    containers = (frozenset({Code(False, 8, 0), Code(False, 9, 0)}), frozenset({Code(False, 9, 0)}))
    data = coverage.describe(tmp_path / "env", [(library, fatbin.Coverage(containers * 3))])
    path = tmp_path / "coverage.json"
    path.write_text(json.dumps(data))
    return path


# Driver and GPUs


def test_a_driver_that_will_do_is_ok():
    found = gpu.judge_driver(CUDA, GOOD)
    assert (found.state, found.remedy) == (OK, "")
    assert found.facts == {"version": "580.65.06", "cuda": "13.2", "least": "580", "image_cuda": "13.2"}


@pytest.mark.parametrize(
    ("given_driver", "said"),
    [
        (Driver("550.54.14", True, "550.54.14", (12, 4)), "too old"),
        (Driver("", True, "", (12, 9)), "too old"),
        (Driver("470.1", True, ""), "too old"),
        (Driver(), "no NVIDIA driver"),
        (Driver("580.65.06"), "not in the container"),
    ],
)
def test_a_driver_that_will_not_do_says_what_to_do(given_driver, said):
    found = gpu.judge_driver(CUDA, given_driver)
    assert found.state == FAIL
    assert said in found.message
    assert found.remedy


def test_a_later_driver_serves_an_older_cuda():
    assert gpu.judge_driver(Promise("a", "11.8", "gpu"), GOOD).state == OK


def test_a_driver_without_a_version_is_not_taken_for_a_good_one():
    assert gpu.judge_driver(CUDA, Driver("unknown", True)).state == WARN


def test_no_gpu_that_nobody_asked_for_is_no_failure(machine, covered):
    found = {one.id: one for one in command.findings(CPU, machine, Driver(), covered)}
    assert found["gpu"].state == OK
    assert "not asked for" in found["gpu"].message
    assert FAIL not in [one.state for one in found.values()]


def test_a_useless_gpu_that_nobody_asked_for_is_a_warning(machine, covered):
    old = Driver("550.1", True, "550.1", (12, 4), (Gpu("NVIDIA V100", (7, 0)),))
    states = {one.id: one.state for one in command.findings(CPU, machine, old, covered)}
    assert (states["driver"], states["coverage"]) == (WARN, WARN)
    states = {one.id: one.state for one in command.findings(CUDA, machine, old, covered)}
    assert (states["driver"], states["coverage"]) == (FAIL, FAIL)


def test_a_gpu_asked_for_and_absent_is_a_failure(machine, covered):
    states = {one.id: one.state for one in command.findings(CUDA, machine, Driver(), covered)}
    assert (states["driver"], states["gpu"]) == (FAIL, FAIL)


def test_what_the_driver_refuses_is_told():
    found = gpu.judge_gpus(CUDA, Driver("", True, problem="cuInit answers 803: versions", gpus=(Gpu("A"),)))
    assert found.state == FAIL
    assert "803" in found.message
    assert "lists A" in found.message


def test_a_gpu_for_an_image_without_cuda_is_a_failure(machine, covered):
    found = next(command.findings(Promise("plain", "", "gpu"), machine, GOOD, covered))
    assert (found.state, found.message) == (FAIL, "the image promises no CUDA")


# What libcuda and NVML answer


class FakeCuda:
    def __init__(self, init=0, capability=(9, 0)):
        self.init, self.capability = init, capability

    def cuInit(self, flags):
        return self.init

    def cuDriverGetVersion(self, out):
        out._obj.value = 13020
        return 0

    def cuDeviceGetCount(self, out):
        out._obj.value = 1
        return 0

    def cuDeviceGet(self, out, index):
        return 0

    def cuDeviceGetName(self, name, size, device):
        name.value = b"NVIDIA H100"
        return 0

    def cuDeviceGetAttribute(self, out, which, device):
        out._obj.value = self.capability[which - 75]
        return 0


class FakeNvml:
    def nvmlInit_v2(self):
        return 0

    def nvmlSystemGetDriverVersion(self, text, size):
        text.value = b"580.65.06"
        return 0

    def nvmlDeviceGetCount_v2(self, out):
        out._obj.value = 1
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index, out):
        return 0

    def nvmlDeviceGetName(self, handle, text, size):
        text.value = b"NVIDIA H100 80GB"
        return 0

    def nvmlShutdown(self):
        return 0


def loader(**libraries):
    def load(name):
        stem = name.partition(".")[0]
        if stem.replace("-", "_") not in libraries:
            raise OSError(name)
        return libraries[stem.replace("-", "_")]

    return load


def ask(tmp_path, load, seconds=20.0):
    return driver.ask(tmp_path, load, seconds)


def test_everything_is_asked_in_another_process(tmp_path):
    (tmp_path / "driver/nvidia").mkdir(parents=True)
    text = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\n"
    (tmp_path / "driver/nvidia/version").write_text(text)
    assert ask(tmp_path, loader(libcuda=FakeCuda(), libnvidia_ml=FakeNvml())) == GOOD


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\n", "535.104.05"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\n", "580.65.06"),
        ("something else\n", "unknown"),
    ],
)
def test_the_kernel_module_says_its_version(tmp_path, text, version):
    (tmp_path / "driver/nvidia").mkdir(parents=True)
    (tmp_path / "driver/nvidia/version").write_text(text)
    assert driver.kernel_module(tmp_path) == version


def test_without_nvml_libcuda_alone_answers(tmp_path):
    found = ask(tmp_path, loader(libcuda=FakeCuda()))
    assert (found.version, found.gpus) == ("", GOOD.gpus)


def test_without_libcuda_nvml_still_names_the_gpus(tmp_path):
    found = ask(tmp_path, loader(libnvidia_ml=FakeNvml()))
    assert (found.library, found.gpus) == (False, (Gpu("NVIDIA H100 80GB"),))


def test_nothing_at_all(tmp_path):
    assert ask(tmp_path, loader()) == Driver()


def test_cuda_that_refuses_says_why(tmp_path):
    found = ask(tmp_path, loader(libcuda=FakeCuda(init=803)))
    assert "different versions" in found.problem
    assert not found.gpus


def test_a_stub_of_libcuda_is_no_driver(tmp_path):
    assert ask(tmp_path, loader(libcuda=FakeCuda(init=34))) == Driver()


def test_a_driver_that_crashes_or_hangs_is_an_answer_too(tmp_path):
    def crash(name):
        faulthandler.disable()  # pytest's, which the process inherits: this crash is no alarm
        os.kill(os.getpid(), signal.SIGSEGV)

    assert "ended the process" in ask(tmp_path, crash).problem
    assert "does not answer" in ask(tmp_path, lambda name: time.sleep(60), seconds=0.1).problem


def test_a_library_without_the_calls_is_an_answer_too(tmp_path):
    assert "ended the process" in ask(tmp_path, loader(libcuda=object())).problem


# Coverage


def test_coverage_answers_for_each_gpu(covered):
    kept = coverage.read(covered)
    assert [kept.serves(9, 0), kept.serves(8, 6), kept.serves(7, 5)] == ["wholly", "partly", "not"]
    assert kept.served() == ["9.0"]


@pytest.mark.parametrize(("capability", "state"), [((9, 0), OK), ((8, 6), WARN), ((7, 5), FAIL), (None, OK)])
def test_coverage_is_judged_by_the_gpus_that_are_there(covered, capability, state):
    assert gpu.judge_coverage(Driver("", True, gpus=(Gpu("x", capability),)), covered).state == state


def test_a_framework_without_gpu_code_serves_none(tmp_path):
    path = tmp_path / "coverage.json"
    path.write_text(json.dumps(coverage.describe(tmp_path, [])))
    found = gpu.judge_coverage(GOOD, path)
    assert found.state == FAIL
    assert "no code for GPUs" in found.message


@pytest.mark.parametrize("change", ["longer", "gone"])
def test_a_library_that_was_changed_makes_it_void(tmp_path, covered, change):
    library = tmp_path / "env/libtorch.so"
    library.unlink() if change == "gone" else library.write_bytes(b"y" * 101)
    found = gpu.judge_coverage(GOOD, covered)
    assert found.state == WARN
    assert "libtorch.so" in found.message
    assert "static.coverage" in found.remedy


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["schema", "root", "libraries", "path", "size", "containers"]), inner)
        ),
        max_leaves=12,
    )
)
def test_any_json_is_coverage_or_stale(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("coverage") / "coverage.json"
    path.write_text(json.dumps(data))
    with contextlib.suppress(coverage.Stale):
        assert isinstance(coverage.read(path).served(), list)


codes = st.builds(Code, st.booleans(), st.integers(1, 15), st.integers(0, 9), st.sampled_from(["", "a", "f"]))


@settings(deadline=None)
@given(st.lists(st.frozensets(codes, min_size=1), max_size=4))
def test_what_is_kept_answers_as_the_library_does(tmp_path_factory, containers):
    folder = tmp_path_factory.mktemp("kept")
    (folder / "a.so").write_bytes(b"x")
    code = fatbin.Coverage(tuple(containers))
    (folder / "c.json").write_text(json.dumps(coverage.describe(folder, [(folder / "a.so", code)])))
    kept = coverage.read(folder / "c.json")
    for major, minor in fatbin.CAPABILITIES:
        count, total = code.share(major, minor)
        wanted = "not" if not count else "wholly" if count == total else "partly"
        assert kept.serves(major, minor) == wanted


def test_the_file_is_the_same_whatever_the_order(tmp_path):
    for name in "ab":
        (tmp_path / name).write_bytes(b"x")
    one = fatbin.Coverage((frozenset({Code(False, 9, 0), Code(True, 9, 0)}), frozenset({Code(False, 8, 0, "a")})))
    other = fatbin.Coverage(one.containers[::-1])
    first = coverage.describe(tmp_path, [(tmp_path / "a", one), (tmp_path / "b", one)])
    second = coverage.describe(tmp_path, [(tmp_path / "b", other), (tmp_path / "a", other)])
    assert json.dumps(first) == json.dumps(second)


# What the container is given


@pytest.mark.parametrize(("size", "state"), [(64 * 2**20, WARN), (2**30, OK)])
def test_shared_memory(size, state):
    found = container.judge_shared_memory(size, size)
    assert found.state == state
    assert ("--shm-size=1g" in found.remedy) == (state == WARN)


def test_no_shared_memory_at_all(machine):
    machine.shm.rmdir()
    assert container.shared_memory(machine).state == FAIL


def test_a_home(machine):
    assert container.home(machine).state == OK


@pytest.mark.parametrize("name", ["", "/proc/nowhere"])
def test_a_home_that_cannot_be_written_to(machine, name):
    found = container.home(Machine({"HOME": name}, 1, machine.proc))
    assert (found.state, bool(found.remedy)) == (WARN, True)


def test_a_uid_without_a_name(machine):
    assert container.user(machine).state == OK
    assert container.user(Machine({}, 54321)).state == WARN


@pytest.mark.parametrize(("free", "state"), [(2**20, FAIL), (2**28, WARN), (2**31, OK)])
def test_room_for_temporary_files(tmp_path, free, state):
    assert container.judge_scratch(tmp_path, free).state == state


def test_memory_without_a_limit(machine):
    found = container.memory(machine)
    assert (found.state, found.facts) == (OK, {"bytes": 8 * 2**30, "limited": False})


def test_memory_limited_by_version_2(machine):
    (machine.cgroup / "memory.max").write_text("1073741824\n")
    found = container.memory(machine)
    assert (found.state, found.facts) == (WARN, {"bytes": 2**30, "limited": True})
    assert "--memory" in found.remedy


def test_memory_limited_by_version_1(machine):
    (machine.cgroup / "memory").mkdir()
    path = machine.cgroup / "memory/memory.limit_in_bytes"
    path.write_text("9223372036854771712\n")
    assert cgroups.memory_limit(machine) is None
    path.write_text("4294967296\n")
    assert container.memory(machine).facts == {"bytes": 2**32, "limited": True}


@pytest.mark.parametrize(
    ("line", "folder", "file"),
    [
        ("0::/docker/abc\n", "docker", "memory.max"),
        ("9:cpu,cpuacct:/x\n5:memory:/docker/abc\n", "memory/docker/abc", "memory.limit_in_bytes"),
    ],
)
def test_a_limit_further_down_or_up_counts(machine, line, folder, file):
    (machine.proc / "self/cgroup").write_text(line)
    (machine.cgroup / folder).mkdir(parents=True)
    (machine.cgroup / folder / file).write_text("3221225472\n")
    assert cgroups.memory_limit(machine) == 3 * 2**30


@pytest.mark.parametrize("text", ["max\n", "", "nonsense\n", "-1\n"])
def test_no_limit(machine, text):
    (machine.cgroup / "memory.max").write_text(text)
    (machine.cgroup / "cpu.max").write_text(text + " 100000\n")
    assert cgroups.memory_limit(machine) is None
    assert cgroups.processor_limit(machine) is None


def test_processors_limited_by_version_2(machine):
    (machine.cgroup / "cpu.max").write_text("150000 100000\n")
    found = container.processors(machine)
    assert (found.state, found.facts) == (WARN, {"cores": 8, "limit": 1.5})
    assert "OMP_NUM_THREADS=2" in found.remedy


def test_processors_limited_by_version_1(machine):
    (machine.cgroup / "cpu").mkdir()
    (machine.cgroup / "cpu/cpu.cfs_period_us").write_text("100000\n")
    (machine.cgroup / "cpu/cpu.cfs_quota_us").write_text("-1\n")
    assert container.processors(machine).state == OK
    (machine.cgroup / "cpu/cpu.cfs_quota_us").write_text("400000\n")
    assert cgroups.processor_limit(machine) == 4


# The command


@pytest.fixture
def plan(tmp_path):
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(PLAN))
    return str(path)


def test_json_has_every_finding_and_the_worst_state(capsys, plan, covered):
    assert command.main(["--plan", plan, "--coverage", str(covered), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [one["id"] for one in data["findings"]] == [
        "driver", "gpu", "coverage", "shm", "user", "home", "scratch", "memory", "cpu",
    ]  # fmt: skip
    assert data["state"] in (OK, WARN)
    assert all(one["remedy"] for one in data["findings"] if one["state"] != OK)


@pytest.mark.parametrize("arguments", [["--device", "tpu"], ["--nonsense"], ["--plan", "/nowhere"], ["extra"]])
def test_bad_options_are_two_lines(capsys, plan, arguments):
    assert command.main(["--plan", plan, *arguments]) == 2
    said = capsys.readouterr()
    assert (said.out, len(said.err.splitlines())) == ("", 2)


def test_the_table_shows_remedies_and_nothing_that_steers_a_terminal():
    found = [finding.Finding("gpu", FAIL, "a \x1b[31mred name", "do this")]
    text = command.table(CUDA, found)
    assert "FAIL" in text
    assert "-> do this" in text
    assert "\x1b" not in text
