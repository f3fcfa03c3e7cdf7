"""The losses as CSV: what a continued run keeps of its own file, and of any other."""

import csv
import os
from dataclasses import replace
from pathlib import Path

import pytest
from made_optimization import made_picture, small_network

from nst_core.errors import NSTError
from nst_core.history import HistoryWriter, row
from nst_core.optimization import OptimizationStep, optimize


@pytest.fixture(scope="module")
def step() -> OptimizationStep:
    run = optimize(
        made_picture(1),
        made_picture(2),
        features=small_network(last="conv1_1"),
        content_layers={},
        style_layers={"conv1_1": 1.0},
        size=32,
        scales=1,
        steps=1,
    )
    return next(run)


def write(path: Path, step: OptimizationStep, *numbers: int, resume: bool = False) -> None:
    writer = HistoryWriter(path, resume=resume)
    for number in numbers:
        writer.write(row(replace(step, step=number)))


def steps(path: Path) -> list[str]:
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header[0] == "step" and all(len(row) == len(header) for row in rows)
    return [row[0] for row in rows]


def test_what_comes_before_the_first_step_is_kept(tmp_path: Path, step: OptimizationStep) -> None:
    path = tmp_path / "run.csv"
    write(path, step, 1, 2, 3, 4)
    write(path, step, 3, 4, 5, resume=True)
    assert steps(path) == ["1", "2", "3", "4", "5"]
    write(path, step, 1, 2)
    assert steps(path) == ["1", "2"]
    write(path, step, 3, resume=True)
    assert steps(path) == ["1", "2", "3"]
    assert b"\r" not in path.read_bytes()
    write(tmp_path / "new.csv", step, 7, resume=True)
    assert steps(tmp_path / "new.csv") == ["7"]


@pytest.mark.parametrize("junk", [b"2", b"2,16,12", b"\xff\xfe\n", b"x" + 8 * b",1" + b"\n", b"\n\n", 200_000 * b"1"])
def test_what_is_no_row_is_left_out(tmp_path: Path, step: OptimizationStep, junk: bytes) -> None:
    path = tmp_path / "run.csv"
    write(path, step, 1)
    with path.open("ab") as file:
        file.write(junk)
    write(path, step, 3, resume=True)
    assert steps(path)[-1] == "3" and set(steps(path)) <= {"1", "3"}


@pytest.mark.parametrize("other", ["step,total\n1,2\n", "step;width\n1;2\n", "\0\xe9\n", '"' + 200_000 * "x"])
def test_no_other_file_is_gone_on_with(tmp_path: Path, step: OptimizationStep, other: str) -> None:
    """A spreadsheet may have saved it again: its rows would be lost."""
    path = tmp_path / "run.csv"
    path.write_text(other, encoding="latin-1")
    with pytest.raises(NSTError, match=r"The file 'run\.csv' is not a history of losses: choose another name"):
        write(path, step, 2, resume=True)
    assert path.read_text(encoding="latin-1") == other
    write(path, step, 2)
    assert steps(path) == ["2"]


def test_an_empty_file_is_gone_on_with(tmp_path: Path, step: OptimizationStep) -> None:
    path = tmp_path / "run.csv"
    path.touch()
    write(path, step, 2, resume=True)
    assert steps(path) == ["2"]


def test_layers_of_a_drafting_network_have_columns_of_their_own(tmp_path: Path, step: OptimizationStep) -> None:
    path, draft = tmp_path / "run.csv", replace(step, layers={"style/conv3_1": 0.5})
    final = replace(step, layers={"style/conv3_1": 0.25, "style/conv3_3": 0.125})
    write(path, draft, 1, 2)
    write(path, final, 3, 4, resume=True)
    write(path, draft, 4, 5, resume=True)
    with path.open(newline="") as file:
        found = [(row["step"], row["style/conv3_1"], row["style/conv3_3"]) for row in csv.DictReader(file)]
    assert found == [("1", "0.5", ""), ("2", "0.5", ""), ("3", "0.25", "0.125"), ("4", "0.5", ""), ("5", "0.5", "")]


def test_what_is_there_is_whole_until_the_new_one_is(tmp_path: Path, step: OptimizationStep) -> None:
    path = tmp_path / "run.csv"
    write(path, step, 1, 2)
    os.link(path, tmp_path / "before.csv")
    write(path, step, 2, 3, resume=True)
    assert steps(tmp_path / "before.csv") == ["1", "2"] and steps(path) == ["1", "2", "3"]
