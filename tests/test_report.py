"""The gate's report: each part of a style is looked at, whatever the others are, and told in plain words."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from made_hostile import lite_state, picture
from made_styles import JOHNSON, lively_state, make_style
from PIL import Image
from safetensors.torch import save

from nst_core.architectures import ARCHITECTURES
from nst_core.contribution import ContributionError
from nst_core.report import MAX_PREVIEW_SIDE, TRIAL, Report, examine, examine_file
from nst_core.style import CARD, CONFIG, LICENSES, MAX_BYTES, PREVIEW, WEIGHTS, Card, Style, StyleError


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_style(tmp_path_factory.mktemp("styles") / "great-wave", license="cc-by-4.0")


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(made, tmp_path / made.name))


def faults(report: Report) -> dict[str, str]:
    return {finding.part: finding.words for finding in report.findings if not finding.passed}


def test_a_good_style_passes(made: Path) -> None:
    report = examine(made)
    assert [finding.part for finding in report.findings] == [CONFIG, WEIGHTS, TRIAL, CARD, PREVIEW]
    assert report.usable and report.publishable and not faults(report)
    config, weights, trial, card, preview = (finding.words for finding in report.findings)
    assert config == "It is for johnson, version 1."
    assert weights == "62 tensors of johnson, 1,679,235 parameters, all finite."
    assert re.fullmatch(r"256 × 256 px in \d+\.\d\d s; .* mean is \d+ and the deviation \d+; \d+% of .*\.", trial)
    assert card == "A Title, An Artist, cc-by-4.0."
    assert preview == "64 × 48 px."


def test_the_trial_says_what_is_painted(tmp_path: Path) -> None:
    """Of a network whose pictures are known: a wave around 100 that stays within 0–255."""
    state = lively_state()
    state["deconv3.conv2d.bias"] = torch.full((3,), 100.0)
    state["deconv3.conv2d.weight"] *= 0.2
    (tmp_path / WEIGHTS).write_bytes(save(state))
    [_, trial] = examine_file(tmp_path / WEIGHTS).findings
    numbers = [int(number) for number in re.findall(r"mean is (\d+) .* deviation (\d+); (\d+)%", trial.words)[0]]
    assert abs(numbers[0] - 100) < 10 and 0 < numbers[1] < 40 and numbers[2] == 0


def test_three_faults_are_told_at_once(folder: Path) -> None:
    state = lively_state()
    state["in3.bias"][0] = float("nan")
    (folder / WEIGHTS).write_bytes(save(state))
    (folder / CARD).write_text(Card(title="A Title", license="all rights reserved").render())
    (folder / PREVIEW).write_bytes(picture("PNG", (MAX_PREVIEW_SIDE + 1, 8)))
    report = examine(folder)
    assert not report.usable and not report.publishable
    assert faults(report) == {
        WEIGHTS: "in3.bias in model.safetensors holds NaN or infinity: every weight should be a finite number.",
        CARD: "Not ready to be published: it lacks 'artist', each a line of its front matter, as in `title: My Style`; "
        f"the licence 'all rights reserved' is not one of {', '.join(LICENSES)}.",
        PREVIEW: "It has 2049 × 8 px, but at most 2048 px per side are allowed.",
    }


def test_weights_are_looked_at_though_the_configuration_is_wrong(folder: Path) -> None:
    (folder / CONFIG).write_text("{")
    report = examine(folder)
    assert list(faults(report)) == [CONFIG] and not report.usable
    assert report.findings[1].words.startswith("62 tensors of johnson")


def test_weights_of_another_architecture_than_the_configuration_says(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(save(lite_state()))
    report = examine(folder)
    assert "does not hold a johnson network" in faults(report)[WEIGHTS] and not report.usable


def test_card_and_preview_are_for_publishing_alone(folder: Path) -> None:
    (folder / CARD).unlink()
    (folder / PREVIEW).unlink()
    report = examine(folder)
    assert report.usable and not report.publishable
    assert list(faults(report)) == [CARD, PREVIEW]
    assert "lacks 'title', 'artist', 'license'" in faults(report)[CARD]


def test_a_card_that_cannot_be_read_hinders(folder: Path) -> None:
    (folder / CARD).write_text("---\ntitle: Night: a study\n---\n")
    report = examine(folder)
    assert [finding.part for finding in report.findings if not finding.passed] == [CARD]
    with pytest.raises(StyleError) as refusal:
        Style.open(folder)
    assert not report.usable and str(refusal.value) in report.findings[-2].words


def test_all_files_missing(tmp_path: Path) -> None:
    report = examine(tmp_path)
    assert list(faults(report)) == [CONFIG, WEIGHTS, CARD, PREVIEW] and not report.usable
    example = re.search(r"\{.*\}", faults(report)[CONFIG])
    assert example and json.loads(example[0])["architecture"] in ARCHITECTURES


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(StyleError, match=r"^There is no folder 'nowhere': a style is a folder with"):
        examine(tmp_path / "nowhere")


def test_weights_alone(made: Path, folder: Path) -> None:
    assert [finding.part for finding in examine_file(made / WEIGHTS).findings] == [WEIGHTS, TRIAL]
    assert examine_file(made / WEIGHTS).usable
    (folder / WEIGHTS).write_bytes(b"x")
    assert not examine_file(folder / WEIGHTS).usable


@pytest.mark.parametrize("rest", [b"", bytes(10_000_000)])
def test_a_picture_is_not_measured_as_weights(tmp_path: Path, rest: bytes) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.jpg")
    with (tmp_path / "photo.jpg").open("ab") as file:
        file.write(rest)
    [finding] = examine_file(tmp_path / "photo.jpg").findings
    assert finding.words == "photo.jpg is a picture: it should be a safetensors file."


def test_a_zip(made: Path, tmp_path: Path) -> None:
    report = examine_file(Path(shutil.make_archive(str(tmp_path / "wave"), "zip", made.parent, made.name)))
    assert [finding.part for finding in report.findings] == [CONFIG, WEIGHTS, TRIAL, CARD, PREVIEW]
    assert report.publishable
    torch.save({"weight": torch.ones(3)}, tmp_path / "mosaic.pth")
    with pytest.raises(ContributionError, match=r"a checkpoint of PyTorch, which is a pickle"):
        examine_file(tmp_path / "mosaic.pth")


def test_a_network_that_paints_little_but_white(tmp_path: Path) -> None:
    state = lively_state()
    state["deconv3.conv2d.bias"] += 200  # a little is left, as a flat picture is refused before
    (tmp_path / WEIGHTS).write_bytes(save(state))
    report = examine_file(tmp_path / WEIGHTS)
    assert "of its values lie outside 0–255 and are cut off: at most 90% may." in faults(report)[TRIAL]
    assert not report.usable


def test_an_untrained_network_may_be_used(tmp_path: Path) -> None:
    """So that a training may stop at any time, see ``test_gate.py``."""
    torch.manual_seed(0)
    (tmp_path / WEIGHTS).write_bytes(save(JOHNSON.network().state_dict()))
    assert examine_file(tmp_path / WEIGHTS).usable


@pytest.mark.parametrize("license", LICENSES)
def test_every_licence_that_is_offered_passes(folder: Path, license: str) -> None:
    (folder / CARD).write_text(Card(title="A", artist="B", license=license).render())
    (folder / WEIGHTS).unlink()  # so that it takes no time
    assert CARD not in faults(examine(folder))


def test_a_preview_as_large_as_it_may_be(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / PREVIEW).write_bytes(picture("WEBP", (MAX_PREVIEW_SIDE, MAX_PREVIEW_SIDE)))
    assert PREVIEW not in faults(examine(folder))
    with (folder / PREVIEW).open("r+b") as file:
        file.truncate(MAX_BYTES[PREVIEW] + 1)
    assert faults(examine(folder))[PREVIEW] == "It has 8,388,609 bytes, but at most 8,388,608 are allowed."


def test_the_longest_of_everything_is_a_sentence_still(folder: Path) -> None:
    long = "ß" * 500
    (folder / CARD).write_text(Card(title=long, artist=long, license="cc-by-nc-4.0").render(), encoding="utf-8")
    (folder / CONFIG).write_text(json.dumps({"architecture": "\u202e" * 500, "architecture_version": 1}))
    for finding in examine(folder).findings:
        assert len(finding.words) <= 300 and finding.words.isprintable() and finding.words.endswith(".")
