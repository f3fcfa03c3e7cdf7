"""Names from outside, as they stand in messages."""

from nst_core.text import few, quoted


def test_a_name_that_is_cut_ends_in_an_ellipsis() -> None:
    assert quoted("holiday.jpg") == "'holiday.jpg'"
    assert quoted("a" * 80) == f"'{'a' * 80}'"
    assert quoted("a" * 81) == f"'{'a' * 79}…'"
    assert few(["holiday/2019-08-14 at the beach.jpg"]) == "'holiday/2019-08-14 at the bea…'"


def test_a_cut_name_is_no_longer_than_any_other() -> None:
    for name in ("a" * 200, "\0" * 200, "\u202e" * 30, "it's " * 40):
        text = quoted(name, 30)
        assert len(text) <= 32 and text[-2] == "…" and text.isprintable()
