"""Files are written whole or not at all, and are one run's alone."""

import re
import sys
from pathlib import Path

import pytest

from nst_core.errors import NSTError
from nst_core.files import check_place, locked, replacing
from nst_core.video_reader import FilmError


def test_a_file_is_replaced_at_once_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "losses.csv"
    path.write_text("before")
    with pytest.raises(UnicodeEncodeError), replacing(path) as new:
        new.open("w", encoding="ascii", buffering=1).writelines(["half\n", "wäy"])
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("losses.csv", "before")]
    with replacing(path) as new:
        new.write_text("after")
        assert (new.suffix, path.read_text()) == (".csv", "before")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("losses.csv", "after")]


def test_a_link_stays_and_so_does_the_mode_of_what_it_leads_to(tmp_path: Path) -> None:
    real, link = tmp_path / "album" / "painted", tmp_path / "latest.png"
    real.parent.mkdir()
    real.write_text("before")
    real.chmod(0o640)
    link.symlink_to("album/painted")
    with replacing(link) as new:
        new.write_text("after")
        assert new.suffix == ".png"
    assert link.is_symlink() and real.read_text() == "after"
    assert real.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in real.parent.iterdir()] == ["painted"]
    link.unlink()
    link.symlink_to("album/new")
    with replacing(link) as new:
        new.write_text("first")
    assert link.is_symlink() and (real.parent / "new").read_text() == "first"


def test_a_new_file_has_the_mode_of_any_other(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    with replacing(tmp_path / "new") as new:
        new.touch()
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize("name", ["", "none/picture.png", "x" * 300, "folder", "a\0b.png", "a\ud800.png"])
def test_what_cannot_be_written_is_an_error_of_the_system(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match=r"\[Errno "), replacing(tmp_path / name) as new:
        new.write_text("text")
    assert [file.name for file in tmp_path.iterdir()] == ["folder"]
    assert not list((tmp_path / "folder").iterdir())


def test_where_no_file_can_be_is_told_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(NSTError, match=r"^A film cannot be written as 'test_\w+': a folder has that name\.$"):
        check_place(tmp_path, "A film")
    sentence = "A file cannot be written to the folder 'none', which does not exist: create it first, or name another."
    with pytest.raises(FilmError, match=f"^{re.escape(sentence)}$"):
        check_place(tmp_path / "none" / "losses.csv", error=FilmError)
    for name in ("a\0b", "a\ud800b"):
        sentence = f"A film cannot be written as {name!r}: its name contains a character that no file name can."
        with pytest.raises(FilmError, match=f"^{re.escape(sentence)}$"):
            check_place(tmp_path / name, "A film", FilmError)
    check_place(tmp_path / "losses.csv")


def test_a_locked_file_is_nobody_else_s(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.touch()
    busy = FilmError("Another run has it.")
    for _ in range(2):
        with locked(path, busy), pytest.raises(FilmError, match="Another run has it"), locked(path, busy):
            pass


@pytest.mark.skipif(sys.platform == "win32", reason="there are no locks there")
def test_a_file_is_opened_as_nfs_needs_it_for_a_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "settings.json").touch()
    opened: list[bool] = []
    monkeypatch.setattr("fcntl.flock", lambda file, how: opened.append(file.writable()))
    with locked(tmp_path / "settings.json", FilmError("Another run has it.")):
        assert opened == [True]
