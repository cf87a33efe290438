"""What a session is given in docker's words, and what is refused before any engine hears it."""

from __future__ import annotations

import pytest

from assay.engine import FOLDER
from assay.errors import UsageError
from assay.run import Given


@pytest.mark.parametrize(
    ("option", "word", "said"),
    [
        ("environment", "=x", "the variable has no name"),
        ("environment", "", "the variable has no name"),
        ("environment", "A B=1", "the name of a variable has no spaces"),
        ("volumes", ":/x", "both places are wanted"),
        ("volumes", "/x:", "both places are wanted"),
        ("volumes", "/x", "both places are wanted"),
        ("volumes", "/x:y", "y is no absolute path"),
        ("volumes", "/x:/", "/ is no absolute path of a folder"),
        ("volumes", "/x:/y:", "'' is no option of a volume"),
        ("volumes", "/x:/y:ro:z", "'ro:z' is no option of a volume"),
        ("volumes", "data dir:/y", "data dir is neither a path (./data dir) nor the name of a volume"),
        ("volumes", "/x:/work", "-v ...:/work: the current folder is there"),
        ("volumes", f"/x:{FOLDER}/", "-v ...:/work: the current folder is there"),
        ("ports", "abc", "it names no ports"),
        ("ports", "80:", "it names no ports"),
        ("ports", "", "it names no ports"),
        ("ports", "80:99999", "it names no ports"),
        ("ports", "0:80", "it names no ports"),
        ("ports", "1-3:1-2", "it names no ports"),
    ],
)
def test_nonsense_is_refused_in_two_lines(option: str, word: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        Given.read(**{option: (word,)})
    assert said in caught.value.what
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("word", ["", " ", "--privileged"])
def test_a_network_has_a_name(word: str) -> None:
    with pytest.raises(UsageError, match="the name of a network is wanted"):
        Given.read(network=word)


def test_two_in_one_place() -> None:
    with pytest.raises(UsageError, match=r"-v \.\.\.:/data: it is named twice"):
        Given.read(volumes=("/a:/data", "b:/data/"))


def test_what_docker_takes_is_taken() -> None:
    given = Given.read(
        environment=("A=1", "B=", "C", "a.b=x=y,z", "D=two words"),
        volumes=("/a:/b", "./a:/c:ro", "../x,y:/d:rw,z", "named_1:/e", "/a b:/f"),
        ports=("80:80", "127.0.0.1:8000-8001:80-81/udp", "[::1]:5:5", "80", "127.0.0.1::81"),
        network="host",
    )
    assert len(given.environment) == len(given.volumes) == len(given.ports) == 5


def test_a_home_that_the_user_brings() -> None:
    assert Given.read(volumes=("/a:/home/assay/",)).brings("/home/assay")
    assert not Given.read(volumes=("/home/assay:/a",)).brings("/home/assay")
