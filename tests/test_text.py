"""Names from outside, as they stand in messages, and as ids of what is made of them."""

from pathlib import Path

import pytest

from nst_core.errors import NSTError
from nst_core.text import count, few, plain, quoted, read_text, slug


def test_a_name_that_is_cut_ends_in_an_ellipsis() -> None:
    assert quoted("holiday.jpg") == "'holiday.jpg'"
    assert quoted("a" * 80) == f"'{'a' * 80}'"
    assert quoted("a" * 81) == f"'{'a' * 79}…'"
    assert few(["holiday/2019-08-14 at the beach.jpg"]) == "'holiday/2019-08-14 at the bea…'"


def test_what_is_counted_agrees_with_its_number() -> None:
    assert [count(number, "step") for number in (0, 1, 2, 1200)] == ["0 steps", "1 step", "2 steps", "1,200 steps"]


def test_a_cut_name_is_no_longer_than_any_other() -> None:
    for name in ("a" * 200, "\0" * 200, "\u202e" * 30, "it's " * 40):
        text = quoted(name, 30)
        assert len(text) <= 32 and text[-2] == "…" and text.isprintable()


@pytest.mark.parametrize(
    ("title", "id"),
    [
        ("The Great Wave", "the-great-wave"),
        ("  Déjà vu, 2.0! ", "deja-vu-2-0"),
        ("葛飾 北斎", "style"),
        ("", "style"),
        (64 * "a" + "b", 64 * "a"),
        (63 * "a" + " b", 63 * "a"),  # an id does not end in a hyphen
    ],
)
def test_an_id_is_made_of_any_title(title: str, id: str) -> None:
    assert slug(title) == id


def test_six_marks_may_stand_on_a_letter() -> None:
    assert plain("a" + 9 * "\u0301" + "b" + "\u0301") == "a" + 6 * "\u0301" + "b\u0301"


def test_as_many_bytes_are_read_as_are_allowed(tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_bytes("\ufeffÄÖÜ".encode())
    assert read_text(file, 9, NSTError) == "ÄÖÜ"
    with pytest.raises(NSTError, match=r"^text cannot be used: it has more than 8 bytes\.$"):
        read_text(file, 8, NSTError)
