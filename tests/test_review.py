"""What a maintainer is told about a proposed registry: how it differs, and the objections to a style."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from made_styles import make_style
from PIL import Image

from nst_core.architectures import ARCHITECTURES
from nst_core.registry import Registry
from nst_core.review import SIDE, changes, cosine, repeated, review
from nst_core.style import CARD, PREVIEW, WEIGHTS, Style


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two styles, of which the second has the weights of the first, and a third."""
    folder = tmp_path_factory.mktemp("styles")
    for name, seed in (("wave", 0), ("copy", 0), ("night", 1)):
        make_style(folder / name, seed=seed, title=name)
    return folder


def entry(folder: Path, id: str, **about: Any) -> dict[str, Any]:
    sha256 = hashlib.sha256((folder / id / WEIGHTS).read_bytes()).hexdigest()
    return {
        "id": id,
        "title": id,
        "artist": "An Artist",
        "license": "mit",
        "tags": [],
        "path": id,
        "sha256": sha256,
        **about,
    }


def registry(folder: Path, *entries: dict[str, Any]) -> Registry:
    return Registry.parse(yaml.safe_dump({"version": 1, "styles": [*entries]}), folder / "registry.yaml")


def test_what_is_added_changed_and_removed(folder: Path) -> None:
    wave, night = entry(folder, "wave"), entry(folder, "night")
    present = registry(folder, wave, night)
    found = changes(present, registry(folder, entry(folder, "copy"), wave, {**night, "title": "Nacht"}))
    assert [one.id for one in found.added] == ["copy"]
    assert [(one.id, one.title) for one in found.changed] == [("night", "Nacht")]
    assert found.removed == []
    found = changes(present, registry(folder, night))
    assert (found.added, found.changed, found.removed) == ([], [], ["wave"])


def test_what_is_there_already_is_not_added_again(folder: Path) -> None:
    def on_the_hub(id: str, repo: str, of: str, **about: Any) -> dict[str, Any]:
        there = {key: value for key, value in entry(folder, of).items() if key != "path"}
        return {**there, "id": id, "repo": repo, "revision": 40 * "0", **about}

    gone = on_the_hub("wave", "ada/wave", "wave", withdrawn="Not hers.")
    night = on_the_hub("night", "ada/night", "night")
    copies = on_the_hub("a", "eve/a", "wave"), on_the_hub("b", "Ada/Wave", "night"), on_the_hub("c", "eve/c", "night")
    present = registry(folder, gone)
    assert repeated([*registry(folder, night)], present) == []
    assert repeated([*registry(folder, *copies)], present) == [
        "a has the weights of wave, which was withdrawn: Not hers",
        "b has the repository of wave, which was withdrawn: Not hers",
        "c has the weights of b",
    ]
    assert repeated([*registry(folder, entry(folder, "wave"))], registry(folder, entry(folder, "night"))) == []


def test_likeness_is_of_all_tensors_whatever_their_size(folder: Path) -> None:
    wave, night = Style.open(folder / "wave"), Style.open(folder / "night")
    assert cosine(wave, Style.open(folder / "copy")) == pytest.approx(1, abs=1e-3)
    assert -0.2 < cosine(wave, night) < 0.9
    large = Style.open(folder / "wave")
    state = large.network.state_dict()
    with torch.no_grad():
        for number, tensor in enumerate(state.values()):
            tensor.mul_(1 + 1000 * (number % 5 == 0))
    assert cosine(wave, large) == pytest.approx(1, abs=1e-3)
    assert cosine(night, large) == pytest.approx(cosine(night, wave), abs=1e-3)


def test_a_style_of_its_own_has_nothing_against_it(folder: Path) -> None:
    photos = [Image.effect_mandelbrot((60, 40), (-2, -1, 1, 1), 50).convert(mode) for mode in ("RGB", "RGBA")]
    photos[1].putalpha(100)
    proposed = registry(folder, entry(folder, "night"))
    others = [Style.open(folder / "wave")]
    [night] = proposed.entries
    other_kind = replace(others[0], id="other", architecture=ARCHITECTURES["johnson-lite"])
    found = review(night, proposed, [other_kind, *others], photos)
    assert found.objections == [] and found.report.publishable
    assert found.nearest == ("wave", cosine(proposed.open("night"), others[0]))
    assert [(one.mode, one.width) for one in found.pictures] == 3 * [("RGB", SIDE)]
    assert found.pictures[0].getpixel((9, 9)) == (0, 128, 128)  # its preview is first


def test_what_is_to_be_said_against_it(folder: Path) -> None:
    others = [Style.open(folder / "night"), Style.open(folder / "wave")]
    proposed = registry(folder, entry(folder, "copy", title="Kopie", license="cc0-1.0"))
    found = review(proposed.entries[0], proposed, others, [])
    assert found.nearest is not None and found.nearest[0] == "wave"
    assert found.objections == [
        "the title of copy is 'Kopie', but in its card 'copy'",
        "the license of copy is 'cc0-1.0', but in its card 'mit'",
        "its weights are practically those of wave",
    ]


def towards(style: Style, other: Style, share: float) -> Style:
    """A style whose weights are ``share`` of the way from one's to the other's."""
    moved = Style.open(style.folder)
    with torch.no_grad():
        for mine, theirs in zip(moved.network.state_dict().values(), other.network.state_dict().values(), strict=True):
            mine.lerp_(theirs, share)
    return moved


@pytest.mark.parametrize(("share", "objections"), [(0.02, 1), (0.4, 0)])
def test_what_was_begun_with_another_is_no_copy_of_it_and_what_was_hardly_changed_is(
    folder: Path, share: float, objections: int
) -> None:
    proposed = registry(folder, entry(folder, "copy"))
    other = towards(Style.open(folder / "wave"), Style.open(folder / "night"), share)
    found = review(proposed.entries[0], proposed, [other], [])
    assert found.nearest is not None and 0.5 < found.nearest[1] < 1
    assert len(found.objections) == objections


def test_what_a_card_does_not_say_is_objected_to_once_and_a_preview_is_not_needed(tmp_path: Path) -> None:
    make_style(tmp_path / "wave", artist="")
    (tmp_path / "wave" / PREVIEW).write_bytes(b"no picture")
    proposed = registry(tmp_path, entry(tmp_path, "wave", title="A Title"))
    found = review(proposed.entries[0], proposed, [], [Image.new("RGB", (30, 20), "teal")])
    assert len(found.objections) == 2 and "'artist'" in found.objections[0] and "not of a kind" in found.objections[1]
    assert found.nearest is None and len(found.pictures) == 1


def test_what_cannot_be_used_is_not_painted_with(tmp_path: Path) -> None:
    make_style(tmp_path / "wave")
    proposed = registry(tmp_path, entry(tmp_path, "wave", title="A Title"))
    weights = (tmp_path / "wave" / WEIGHTS).read_bytes()
    (tmp_path / "wave" / WEIGHTS).write_bytes(weights[:-1])
    (tmp_path / "wave" / CARD).unlink()
    found = review(proposed.entries[0], proposed, [], [Image.new("RGB", (30, 20))])
    assert not found.report.usable and found.nearest is None and found.pictures == []
    assert any("was cut short" in objection for objection in found.objections)
