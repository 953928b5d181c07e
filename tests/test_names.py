"""Names of results: safe on every system, made of known fields, and never those of another file."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from inversion.common.names import (
    ENDINGS,
    FIELDS,
    STEM_BYTES,
    NamePattern,
    PatternError,
    companion,
    numbered,
    reserve,
    safe_name,
    write_whole,
)

VALUES = {"picture": "photo", "task": "inpaint", "method": "wplus", "model": "m", "seed": 7, "settings": "0a1b2c"}


def names(pattern: str, count: int = 3, **values: object) -> list[str]:
    """The first names of a pattern."""
    return [path.as_posix() for path in itertools.islice(NamePattern(pattern).paths({**VALUES, **values}), count)]


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("photo", "photo"),
        ("写真 Ümläut é", "写真 Ümläut é"),
        ('a<b>c:d"e/f\\g|h?i*j', "a-b-c-d-e-f-g-h-i-j"),
        ("con", "_con"),
        ("NUL.tar", "_NUL.tar"),
        ("com¹", "_com¹"),
        ("conrad", "conrad"),
        ("tail. . ", "tail"),
        ("..", "_"),
        ("", "_"),
        ("a\nb\x1b[31mc\u202ed", "a-b-[31mc-d"),
        ("\ud800", "-"),
    ],
)
def test_a_name_is_safe_on_every_system(text: str, safe: str) -> None:
    assert safe_name(text) == safe and safe_name(safe) == safe


@pytest.mark.parametrize("letter", ["x", "写", "🪞"])
def test_a_name_is_bounded_and_stays_text(letter: str) -> None:
    name = safe_name(letter * 500)
    assert STEM_BYTES - 4 < len(name.encode()) <= STEM_BYTES and set(name) == {letter}
    (path,) = names("{picture}_{model}_{method}_{task}", 1, picture=letter * 500, model="m" * 500)
    assert len(path.encode()) <= STEM_BYTES


def test_a_pattern_is_filled_and_numbered() -> None:
    assert names("out/{method}/{picture}_s{seed:03}.png") == [
        "out/wplus/photo_s007.png",
        "out/wplus/photo_s007-2.png",
        "out/wplus/photo_s007-3.png",
    ]
    assert names("{picture}_{n:03}.png") == ["photo_001.png", "photo_002.png", "photo_003.png"]
    assert names("{{{picture}}}.png", 1) == ["{photo}.png"]
    assert names("{picture}.png", 1, picture="../../etc/passwd") == ["..-..-etc-passwd.png"]
    assert names("{picture}.png", 1, picture="con") == ["_con.png"]
    assert names("/tmp/a:b/{picture}.PNG", 1, picture="{seed}") == ["/tmp/a:b/{seed}.PNG"]  # noqa: S108
    assert names("".join(f"{{{field}}}" for field in FIELDS), 1) == ["photoinpaintwplusm70a1b2c1"]


@pytest.mark.parametrize(
    "pattern", ["{name}", "{}", "{0}", "{picture.stem}", "{picture[0]}", "{picture!r}", "{picture", "picture}"]
)
def test_a_wrong_pattern_is_refused_with_the_known_fields(pattern: str) -> None:
    with pytest.raises(PatternError) as caught:
        NamePattern(pattern)
    assert all(f"{{{field}}}" in str(caught.value) for field in FIELDS)


@pytest.mark.parametrize("pattern", ["{n:999999999}", "{picture:9}", "{n:x}", "{n:{seed}}"])
def test_only_numbers_have_a_small_width(pattern: str) -> None:
    with pytest.raises(PatternError, match="width"):
        NamePattern(pattern)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_name_is_free_if_no_file_that_belongs_to_it_exists(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "new" / "photo.v2.png"
    companion(path, "").parent.mkdir()
    companion(path, ending).write_text("kept")
    assert reserve(numbered(path)) == tmp_path / "new" / "photo.v2-2.png"
    assert companion(path, ending).read_text() == "kept"


def test_runs_at_the_same_time_get_different_names(tmp_path: Path) -> None:
    found: list[Path] = []
    workers = [
        threading.Thread(target=lambda: found.append(reserve(numbered(tmp_path / "photo.png")))) for _ in range(8)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(set(found)) == 8


def broken(path: Path) -> None:
    """Write a part of a file, then fail."""
    path.write_text("half")
    raise OSError("disk full")


@pytest.mark.parametrize(("before", "write"), [("", broken), ("old", broken)])
def test_a_failed_write_leaves_what_was_there(tmp_path: Path, before: str, write: Callable[[Path], None]) -> None:
    path = tmp_path / "photo.png"
    path.write_text(before)
    with pytest.raises(OSError, match="disk full"):
        write_whole(path, write)
    assert [p.read_text() for p in tmp_path.iterdir()] == ([before] if before else [])
