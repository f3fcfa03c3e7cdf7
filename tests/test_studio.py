"""What the page keeps of a person's pictures: enough to be quick, bounded, and nobody else's."""

import gc
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import Any

import gradio as gr
import pytest
from made_styles import make_style
from PIL import Image, ImageChops
from starlette.requests import Request
from waiting import wait_until

from nst_core.errors import NSTError
from nst_core.images import open_picture, save_picture
from nst_core.registry import Registry
from nst_core.style import Style
from nst_core.stylization import stylize
from ui.errors import PageError
from ui.files import received
from ui.line import CALM_SECONDS, MAX_PLACES, Closed, Crowded, Ended
from ui.links import first_settings, read_recipe, recipe, recipe_of
from ui.log import EVENTS
from ui.session_cache import SessionCache, expire
from ui.studio import Studio
from ui.wish import Wish
from ui.words import spoken


@pytest.fixture
def studio(registry_file: Path, tmp_path: Path) -> Studio:
    return Studio(Registry.load(registry_file), tmp_path, max_side=512)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.effect_mandelbrot((96, 64), (-2, -1, 1, 1), 50).convert("RGB").save(path)
    return path


def test_a_painting_is_kept_for_its_session_alone(studio: Studio, photo: Path) -> None:
    wish = Wish(style="first-style")
    painting = studio.painting("ann", photo, wish).result()
    assert (
        studio.painting("ann", photo, wish.model_copy(update={"strength": 0.3, "color": "photo"})).result() is painting
    )
    assert studio.painting("bob", photo, wish).result() is not painting
    studio.forget("ann")
    assert studio.painting("ann", photo, wish).result() is not painting


def test_a_second_style_is_painted_beside_what_is_kept_of_the_first(studio: Studio, photo: Path) -> None:
    wish = Wish(style="first-style")
    first = studio.painting("ann", photo, wish).result()
    both = studio.painting("ann", photo, wish.model_copy(update={"second": "second-style"})).result()
    assert both.painted is first.painted and both.second and both.second.style.title != both.style.title
    again = studio.painting("ann", photo, wish.model_copy(update={"second": "second-style", "mix": 0.9})).result()
    assert again.second is both.second
    for wrong in ("nobody", "user/repo/file"):
        with pytest.raises(NSTError):
            studio.painting("ann", photo, wish.model_copy(update={"second": wrong})).result()


def test_the_photograph_to_compare_with_is_written_once(studio: Studio, photo: Path) -> None:
    first = studio.painting("ann", photo, Wish(style="first-style", size=48)).result()
    second = studio.painting("ann", photo, Wish(style="second-style", size=48)).result()
    assert second.original is first.original
    assert open_picture(first.original.file).size == first.painted.size == (48, 32)
    assert studio.painting("ann", photo, Wish(style="second-style", size=32)).result().original is not first.original


@pytest.mark.parametrize("stroke", [0.5, 1.0, 2.0])
def test_what_is_kept_changes_no_pixel(studio: Studio, photo: Path, stroke: float) -> None:
    for style in ("first-style", "second-style"):  # the second finds the first's photograph kept
        wish = Wish(style=style, size=48, stroke=stroke)
        expected = stylize(open_picture(photo), studio.registry.open(style), size=48, stroke=stroke)
        assert ImageChops.difference(studio.painting("ann", photo, wish).result().painted, expected).getbbox() is None


def test_what_is_kept_is_bounded() -> None:
    kept: SessionCache[str] = SessionCache(2, seconds=60)
    kept.put("ann", "one", 1)
    kept.put("ann", "two", 2)
    assert kept.get("ann", 1) == "one"
    kept.put("bob", "uno", 1)
    assert [kept.get("ann", 1), kept.get("ann", 2), kept.get("bob", 1)] == ["one", None, "uno"]
    kept.forget("ann")
    assert [kept.get("ann", 1), kept.get("bob", 1)] == [None, "uno"]


def test_nobody_pushes_out_what_others_keep() -> None:
    kept: SessionCache[int] = SessionCache(4, seconds=60)
    kept.put("ann", 0, 0)
    for number in range(10):
        kept.put("eve", number, number)
    assert kept.get("ann", 0) == 0
    assert [number for number in range(10) if kept.get("eve", number) is not None] == [7, 8, 9]


def test_what_is_kept_expires() -> None:
    kept: SessionCache[str] = SessionCache(2, seconds=0.01)
    kept.put("ann", "one", 1)
    time.sleep(0.02)
    assert kept.get("ann", 1) is None


def test_file_names_stay_in_their_folder(studio: Studio, tmp_path: Path) -> None:
    file = studio.file('../../etc/a "photo" é.png')
    assert file.is_relative_to(tmp_path) and file.parent.is_dir() and file.suffix == ".png" and "é" in file.name


@pytest.mark.parametrize("name", ["🎨.jpg", "—.jpg", ".jpg", "...jpg", "( ).jpg"])
def test_a_name_without_a_letter_keeps_its_suffix(studio: Studio, name: str) -> None:
    assert studio.file(name).name == "picture.jpg"


def test_a_name_is_not_longer_than_a_file_system_takes(studio: Studio) -> None:
    file = studio.file(f"{'照' * 120}-losses.csv")
    file.touch()
    assert file.name.endswith("照-losses.csv")


def test_a_photograph_that_is_gone_is_asked_for_again(tmp_path: Path) -> None:
    for payload in (None, {"path": None}, {"path": str(tmp_path / "gone.png")}):
        with pytest.raises(PageError, match="choose"):
            received(payload)


def test_a_style_of_ones_own_is_nobody_elses(studio: Studio, photo: Path, tmp_path: Path) -> None:
    folder = make_style(tmp_path / "own", title="Mine")
    name = studio.take("ann", Style.open(folder))
    assert studio.style("ann", name).title == "Mine" and studio.is_here(name)
    assert studio.painting("ann", photo, Wish(style=name)).result().style.title == "Mine"
    for session in ("bob", None):
        with pytest.raises(PageError, match="no longer here: drop its file again"):
            studio.style(session, name)
    studio.forget("ann")  # its painting; the style is what cannot be fetched again
    assert studio.style("ann", name).title == "Mine"
    studio._own.seconds = 0
    expire()
    with pytest.raises(PageError, match="no longer here"):
        studio.painting("ann", photo, Wish(style=name)).result()
    gc.collect()
    assert not folder.exists()


def test_what_the_hub_says_of_a_style_that_was_left_is_not_heard(
    studio: Studio, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nobody waits for it."""
    answers = Event()

    def slow(*_: Any, **__: Any) -> Style:
        answers.wait(60)
        raise NSTError("The Hugging Face Hub could not be reached.")

    monkeypatch.setattr(studio.registry, "open_from_hub", slow)
    with ThreadPoolExecutor() as pages:
        left = pages.submit(studio.painting, "ann", photo, Wish(style="ada/wave"))
        wait_until(lambda: studio._fetching)
        assert studio.painting("ann", photo, Wish(style="first-style")).result().style.title
        with pytest.raises(Ended):
            left.result(timeout=10)
        late = pages.submit(studio.painting, "bob", photo, Wish(style="ada/wave"))
        wait_until(lambda: studio._wishes.get("bob"))
        studio.dismiss("bob")
        answers.set()
        with pytest.raises(Ended):
            late.result(timeout=10)
        with pytest.raises(NSTError, match="could not be reached"):
            studio.painting("eve", photo, Wish(style="ada/wave"))


@contextmanager
def busy(studio: Studio) -> Iterator[None]:
    """Somebody else's turn, as long as it takes."""
    over = Event()
    studio.line.join("somebody", lambda progress: over.wait(60))
    try:
        yield
    finally:
        over.set()


def test_who_waits_sees_the_line(studio: Studio, photo: Path) -> None:
    with busy(studio):
        turns = [studio.painting(name, photo, Wish(style="first-style")) for name in ("ann", "bob")]
        time.sleep(CALM_SECONDS)
        words = [spoken(next(turn.watch())) for turn in turns]
        assert words == ["1 person is ahead of you", "2 people are ahead of you"]
        studio.forget("ann")
        assert spoken(next(turns[1].watch())) == words[0]
        with pytest.raises(Ended):
            turns[0].result()
    assert turns[1].result().style.id == "first-style"


def test_one_s_own_turns_are_not_other_people(studio: Studio) -> None:
    over = Event()
    sessions = ["ann", "ann", "bob", "ann", None, None]
    turns = [studio.line.join(session, lambda progress: over.wait(60)) for session in sessions]
    wait_until(lambda: turns[0].began)
    assert [studio.line.before(turn) for turn in turns] == [0, 0, 1, 1, 2, 3]
    time.sleep(CALM_SECONDS)
    assert spoken(next(turns[1].watch())) == "Your earlier request comes first"
    over.set()
    turns[-1].result()


def test_what_is_done_is_said_once_it_tells_how_long_the_rest_takes(studio: Studio) -> None:
    go, over = Event(), Event()

    def work(progress: Callable[[float], None]) -> None:
        go.wait(60)
        progress(0.4)
        over.wait(60)

    turn = studio.line.join("ann", work)
    time.sleep(2 * CALM_SECONDS)
    assert turn.began and next(turn.watch()) == []
    go.set()
    wait_until(lambda: turn.done)
    assert re.fullmatch(r"40 % painted, about \d+ s left", spoken(next(turn.watch())))
    over.set()
    assert [*turn.watch()] == []


def test_what_computes_in_the_background_lets_the_turn_that_has_begun_go_first(studio: Studio) -> None:
    line = studio.line
    line.wait()  # for nobody
    with ThreadPoolExecutor(1) as background:
        with busy(studio):
            wait_until(lambda: line.waiting() == 0)
            later = line.join("ann", lambda progress: progress(1))
            behind = background.submit(line.wait)
            assert wait([behind], 0.05).not_done
        behind.result(timeout=30)
    later.result()


def test_a_session_has_half_of_the_places(studio: Studio, photo: Path) -> None:
    with busy(studio):
        turns = [studio.stylize("ann", photo, Wish(style="first-style")) for _ in range(MAX_PLACES)]
        with pytest.raises(Crowded, match="try again when one is done"):
            studio.stylize("ann", photo, Wish(style="first-style"))
        turns.append(studio.stylize("bob", photo, Wish(style="first-style")))
        studio.forget("ann")
        turns[0] = studio.stylize("ann", photo, Wish(style="first-style"))
    assert turns[0].result().size == turns[-1].result().size == (96, 64)
    with pytest.raises(Ended):
        turns[1].result()


def test_what_waits_when_the_server_stops_is_told_so(studio: Studio, photo: Path) -> None:
    with busy(studio):
        turn = studio.stylize("ann", photo, Wish(style="first-style"))
        studio.line.close()
        with pytest.raises(Closed, match="is restarting"):
            turn.result()
        with pytest.raises(Closed):
            studio.stylize("bob", photo, Wish(style="first-style"))


def test_only_what_was_uploaded_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    (tmp_path / "uploads").mkdir()
    for name in ("uploads/photo.png", "secret.png"):
        (tmp_path / name).touch()
    assert received({"path": str(tmp_path / "uploads" / "photo.png")}) == tmp_path / "uploads" / "photo.png"
    for path in ("secret.png", "uploads/../secret.png", "uploads"):
        with pytest.raises(PageError, match="not, or no longer, on this server"):
            received({"path": str(tmp_path / path)})
    save_picture(Image.new("RGB", (4, 4)), tmp_path / "secret.png", note="tab=repaint&strength=0.25")
    assert recipe_of({"path": str(tmp_path / "secret.png")}, "repaint") == {}
    for link in ("https://example.com/a.png", "HTTP://example.com/a.png", "data:image/png;base64,AAAA"):
        with pytest.raises(PageError, match="cannot be loaded from a link"):
            received({"path": link})


def test_a_picture_says_how_it_was_made_but_not_by_whose_own_style() -> None:
    said = recipe("video", {"style": "first-style", "second": "", "mask": None, "mix": 0.5})
    assert said == "tab=video&style=first-style&second=&mix=0.5"
    assert read_recipe(said) == {"tab": "video", "style": "first-style", "second": "", "mix": "0.5"}
    # By its name alone it is found again, by its own person.
    assert recipe("repaint", {"style": "own:0123456789abcdef", "strength": 0.25}) == "tab=repaint&strength=0.25"


@pytest.mark.parametrize(
    ("tab", "address", "remembered", "set_"),
    [
        ("repaint", "style=udnie&size=512&__theme=dark", {"style": "great-wave"}, {"style": "udnie", "size": "512"}),
        ("repaint", "tab=repaint&style=udnie", {}, {"style": "udnie"}),
        ("repaint", "tab=video&style=udnie", {"style": "great-wave"}, {"style": "great-wave"}),
        ("video", "style=udnie", {"size": 256}, {"size": 256}),  # which is for Repaint
        ("repaint", "", {"style": "great-wave", "edited": False}, {"style": "great-wave"}),
        ("repaint", "style=udnie", {"style": "great-wave", "edited": True}, {"style": "great-wave"}),  # since it opened
        ("repaint", "style=udnie", "damaged", {"style": "udnie"}),
        ("repaint", "", None, {}),
    ],
)
def test_a_page_opens_with_what_its_address_says_or_else_its_browser(
    tab: str, address: str, remembered: Any, set_: dict[str, Any]
) -> None:
    request = gr.Request(Request({"type": "http", "query_string": address.encode(), "headers": []}))
    assert first_settings(tab, ("style", "size"), remembered, request) == set_


def left() -> float:
    """How often somebody left, by the counter."""
    return EVENTS.labels("left")._value.get()


def test_leaving_twice_is_leaving(studio: Studio) -> None:
    busy = Event()
    before = left()
    first, second = (studio.line.join("ann", lambda progress: busy.wait(10)) for _ in range(2))
    wait_until(lambda: first.began)
    studio.line.end("ann")
    studio.line.leave(second)
    studio.line.end("ann")
    assert left() - before == 2
    busy.set()
    with pytest.raises(Ended):
        second.result()
    first.result()
    assert studio.line.waiting() == 0


def test_asking_for_something_else_keeps_the_place(studio: Studio, photo: Path) -> None:
    wishes = [Wish(style=name) for name in ("first-style", "second-style")]
    with busy(studio):
        first = studio.painting("ann", photo, wishes[0])
        others = studio.painting("bob", photo, wishes[0])
        time.sleep(CALM_SECONDS)
        second = studio.painting("ann", photo, wishes[1])
        assert [spoken(next(turn.watch()))[0] for turn in (second, others)] == ["1", "2"]
        assert not studio.wants("ann", wishes[0]) and studio.wants("ann", wishes[1])
        # The same with another strength is the same painting.
        assert studio.painting("ann", photo, wishes[1].model_copy(update={"strength": 0.5})) is second
    assert first.result().style.id == second.result().style.id == "second-style"


@pytest.mark.parametrize("step", ["join", "end"])
def test_an_older_wish_does_nothing_to_a_newer_one(
    studio: Studio, photo: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    older, newer = Wish(style="first-style"), Wish(style="second-style")
    if step == "end":  # what else waits ends where a painting is kept
        studio.painting("ann", photo, older).result()
    go_on, turns = getattr(studio.line, step), []

    def overtaken(*arguments: Any, **options: Any) -> Any:
        monkeypatch.undo()
        turns.append(studio.painting("ann", photo, newer))
        return go_on(*arguments, **options)

    with busy(studio):
        monkeypatch.setattr(studio.line, step, overtaken)
        with suppress(Ended):
            studio.painting("ann", photo, older)
    assert turns[0].result().style.id == "second-style"


@pytest.mark.parametrize("leave", [True, False], ids=["left", "asked for something else"])
def test_what_nobody_waits_for_ends_at_the_next_strip(studio: Studio, tmp_path: Path, leave: bool) -> None:
    path = tmp_path / "large.png"
    Image.effect_mandelbrot((512, 512), (-2, -1, 1, 1), 50).convert("RGB").save(path)
    turn = studio.painting("ann", path, Wish(style="first-style"))
    wait_until(lambda: 0 < turn.done < 0.5)
    if leave:
        studio.forget("ann")
    else:
        other = studio.painting("ann", path, Wish(style="second-style"))
        assert other.result().style.id == "second-style"
    with pytest.raises(Ended):
        turn.result()
    assert turn.done < 1
    assert studio.painting("bob", path, Wish(style="first-style")).result().painted.size == (512, 512)
