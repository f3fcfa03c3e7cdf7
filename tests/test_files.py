"""Files that are complete or as they were, and one run's alone."""

from pathlib import Path

import pytest

from nst_core.files import locked, replacing


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


@pytest.mark.parametrize("name", ["", "none/picture.png", "x" * 300, "folder"])
def test_what_cannot_be_written_is_an_error_of_the_system(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match=r"\[Errno "), replacing(tmp_path / name) as new:
        new.write_text("text")
    assert [file.name for file in tmp_path.iterdir()] == ["folder"]
    assert not list((tmp_path / "folder").iterdir())


def test_a_locked_file_is_nobody_else_s(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.touch()
    with locked(path) as mine, locked(path) as yours:
        assert mine and not yours
    with locked(path) as yours:
        assert yours
