from __future__ import annotations

import pytest

from smoke.kit import xplane


def _field(number, content):
    size, length = len(content), b""
    while True:
        length += bytes([size & 0x7F | (0x80 if size > 0x7F else 0)])
        size >>= 7
        if not size:
            return bytes([number << 3 | 2]) + length + content


def _plane(name, events):
    line = b"\x08\x07" + b"".join(_field(4, b"\x08\x01") for _ in range(events))
    return _field(1, b"\x08\x05" + _field(2, name) + _field(3, line))


@pytest.fixture
def profile(tmp_path):
    path = tmp_path / "plugins" / "profile" / "host.xplane.pb"
    path.parent.mkdir(parents=True)
    path.write_bytes(_plane(b"/host:CPU", 5) + _plane(b"/device:GPU:0", 200) + _plane(b"/device:GPU:1", 3))
    return path


def test_only_the_gpus_events_count(tmp_path, profile):
    assert profile.exists()
    assert xplane.kernels(tmp_path) == 203
    assert xplane.kernels(tmp_path, "/host:CPU") == 5


def test_a_profile_of_the_cpu_has_no_kernels(tmp_path, profile):
    profile.write_bytes(_plane(b"/host:CPU", 5))
    assert xplane.kernels(tmp_path) == 0


def test_no_profile_is_an_error_not_a_zero(tmp_path):
    with pytest.raises(FileNotFoundError):
        xplane.kernels(tmp_path)


@pytest.mark.parametrize("cut", [1, 7, 100])
def test_a_profile_that_is_cut_off_is_an_error(tmp_path, profile, cut):
    profile.write_bytes(profile.read_bytes()[:-cut])
    with pytest.raises(ValueError, match="cut off"):
        xplane.kernels(tmp_path)
