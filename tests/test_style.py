"""A style is written whole, opens as it was written, and is refused in one sentence where it is anything else."""

import copy
import json
import pickle
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from made_styles import JOHNSON, lively_state, make_style
from PIL import Image

from nst_core.architectures import Architecture
from nst_core.errors import NSTError
from nst_core.gate import WeightsError
from nst_core.precision import Precision
from nst_core.registry import Registry
from nst_core.style import CARD, CONFIG, PREVIEW, WEIGHTS, Card, Style, StyleConfig, StyleError, check_new, write_style
from nst_core.stylization import stylize


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_style(tmp_path_factory.mktemp("styles") / "great-wave")


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(made, tmp_path / made.name))


def refusal(folder: Path, kind: type[NSTError] = StyleError, **arguments: Any) -> str:
    with pytest.raises(kind) as caught:
        Style.open(folder, **arguments)
    sentence = str(caught.value)
    assert sentence.endswith(".") and sentence.isprintable() and len(sentence) < 300
    assert str(folder.parent) not in sentence
    return sentence


def test_a_style_opens_as_it_was_written(tmp_path: Path) -> None:
    state = lively_state(3)
    config = StyleConfig(
        architecture="johnson",
        architecture_version=1,
        training={"steps": 600, "style_layers": ["relu1_2"]},
        metrics={"content": 0.25},
    )
    card = Card(
        title="Die große Welle: 1831", artist="葛飾 北斎", license="cc0-1.0", tags=("ukiyo-e",), text="# Wave\n\nText."
    )
    write_style(
        tmp_path / "new" / "wave",
        network_state={name: tensor.requires_grad_() for name, tensor in state.items()},
        config=config,
        card=card,
        preview=Image.new("RGB", (40, 30), "teal"),
        dtype=torch.float32,
    )
    style = Style.open(tmp_path / "new" / "wave")
    assert (style.id, style.title, style.artist) == ("wave", "Die große Welle: 1831", "葛飾 北斎")
    assert (style.license, style.tags) == ("cc0-1.0", ("ukiyo-e",))
    assert style.config == config and style.architecture is JOHNSON
    assert style.folder == (tmp_path / "new" / "wave").resolve()
    for name, tensor in style.network.state_dict().items():
        assert torch.equal(tensor, state[name])
    assert Card.parse((style.folder / CARD).read_text(encoding="utf-8")) == card
    assert sorted(file.name for file in style.folder.iterdir()) == sorted([CARD, CONFIG, PREVIEW, WEIGHTS])
    with Image.open(style.folder / PREVIEW) as preview:
        assert (preview.format, preview.size) == ("WEBP", (40, 30))
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["wave"]


def test_the_card_is_what_the_hub_wants(made: Path) -> None:
    _, front, text = re.split(r"^---$\n?", (made / CARD).read_text(), maxsplit=2, flags=re.MULTILINE)
    assert yaml.safe_load(front) == {
        "license": "mit",
        "library_name": "nst-core",
        "tags": ["style-transfer", "nst-style"],
        "pipeline_tag": "image-to-image",
        "title": "A Title",
        "artist": "An Artist",
    }
    assert text.strip() == "# A Title"


def test_the_configuration_is_json_that_people_read(made: Path) -> None:
    text = (made / CONFIG).read_text()
    assert json.loads(text) == {
        "architecture": "johnson",
        "architecture_version": 1,
        "training": {"seed": 0},
        "metrics": {},
    }
    assert '\n  "architecture": "johnson",\n' in text


def test_half_precision_is_the_default_and_halves_the_file(tmp_path: Path) -> None:
    half = make_style(tmp_path / "half", dtype=torch.float16) / WEIGHTS
    assert 2 * 1_679_235 < half.stat().st_size < 2 * 1_679_235 + 10_000
    assert all(tensor.dtype == torch.float32 for tensor in Style.open(half.parent).network.state_dict().values())
    assert write_style.__kwdefaults__ == {"dtype": torch.float16}


def test_weights_in_any_memory_layout_are_written(tmp_path: Path) -> None:
    state = lively_state()
    shared = torch.zeros(2, 32)
    state["in1.bias"], state["in5.bias"] = shared[0], shared[0]
    state["conv2.conv2d.weight"] = state["conv2.conv2d.weight"].to(memory_format=torch.channels_last)
    folder = tmp_path / "style"
    write_style(
        folder,
        network_state=state,
        config=StyleConfig(architecture="johnson", architecture_version=1),
        card=Card(),
        preview=Image.new("RGB", (8, 8)),
        dtype=torch.float32,
    )
    assert torch.equal(Style.open(folder).network.state_dict()["conv2.conv2d.weight"], state["conv2.conv2d.weight"])


@pytest.mark.parametrize("existing", [False, True])
def test_what_stops_between_two_files_leaves_none_that_makes_it_a_style(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, existing: bool
) -> None:
    if existing:
        make_style(tmp_path / "style", seed=1)
    moved: list[str] = []

    def move(new: Path, place: Path, replace: Callable[[Path, Path], Path] = Path.replace) -> Path:
        if place.parent == tmp_path / "style":
            if len(moved) == 3:
                raise KeyboardInterrupt
            moved.append(place.name)
        return replace(new, place)

    monkeypatch.setattr(Path, "replace", move)
    with pytest.raises(KeyboardInterrupt):
        make_style(tmp_path / "style")
    assert sorted(file.name for file in (tmp_path / "style").iterdir()) == sorted(moved)
    assert "weights" in refusal(tmp_path / "style") or WEIGHTS in refusal(tmp_path / "style")


@pytest.mark.parametrize("existing", [False, True])
def test_an_interrupted_write_leaves_no_half_style(tmp_path: Path, existing: bool) -> None:
    folder = tmp_path / "style"
    if existing:
        make_style(folder, seed=1, title="Before")
        (folder / "notes.txt").write_text("mine")
    before = {file.name: file.read_bytes() for file in folder.iterdir()} if existing else None
    state = lively_state()
    state["in1.bias"][0] = 1e6  # more than float16 holds
    with pytest.raises(WeightsError, match=r"^in1\.bias in model\.safetensors holds NaN or infinity"):
        write_style(
            folder,
            network_state=state,
            config=StyleConfig(architecture="johnson", architecture_version=1),
            card=Card(title="After"),
            preview=Image.new("RGB", (8, 8)),
        )
    assert ({file.name: file.read_bytes() for file in folder.iterdir()} if folder.exists() else None) == before
    assert [file.name for file in tmp_path.iterdir()] == (["style"] if existing else [])
    make_style(folder, title="After")
    assert Style.open(folder).title == "After"
    assert not existing or (folder / "notes.txt").read_text() == "mine"


def test_a_network_that_changes_is_painted_as_it_is(tmp_path: Path) -> None:
    first, second = (Style.open(make_style(tmp_path / str(seed), seed=seed)) for seed in (1, 2))
    photo = Image.effect_mandelbrot((60, 40), (-2, -1, 1, 1), 50).convert("RGB")
    changing = replace(first, network=copy.deepcopy(first.network))
    precisions: tuple[Precision, ...] = ("exact", "auto")
    for precision in precisions:
        for style in (second, first):
            changing.network.load_state_dict(style.network.state_dict())
            here, there = (np.asarray(stylize(photo, one, precision=precision)) for one in (changing, style))
            np.testing.assert_array_equal(here, there)
        for style in (second, first):  # tensors of its own in place of those there were
            changing.network.load_state_dict(copy.deepcopy(style.network.state_dict()), assign=True)
            here, there = (np.asarray(stylize(photo, one, precision=precision)) for one in (changing, style))
            np.testing.assert_array_equal(here, there)
    assert changing.painter() is changing.painter()  # made once


@pytest.mark.parametrize("precision", ["exact", "auto"])
def test_changes_that_pytorch_does_not_count_are_painted(made: Path, precision: Precision) -> None:
    style, photo = Style.open(made), Image.effect_mandelbrot((60, 40), (-2, -1, 1, 1), 50).convert("RGB")
    shown = [np.asarray(stylize(photo, style, precision=precision))]

    def check_shown(changed: Style) -> None:
        shown.append(np.asarray(stylize(photo, changed, precision=precision)))
        again = replace(changed, network=copy.deepcopy(changed.network))
        np.testing.assert_array_equal(shown[-1], np.asarray(stylize(photo, again, precision=precision)))
        assert not np.array_equal(shown[-2], shown[-1])

    parameters = list(style.network.parameters())
    for parameter in parameters:
        parameter.data *= 1.2
    check_shown(style)
    for parameter in parameters:
        parameter.requires_grad_().grad = torch.rand_like(parameter)
    torch.optim.AdamW(parameters, lr=0.03, fused=True).step()
    check_shown(style)
    with torch.inference_mode():
        tensors = {name: value.clone() for name, value in style.network.state_dict().items()}
        style.network.requires_grad_(False).load_state_dict(tensors, assign=True)
        stylize(photo, style, precision=precision)
        for tensor in tensors.values():
            tensor *= 1.2
        check_shown(style)


def test_what_was_made_of_a_network_stays_as_it_was_made(made: Path) -> None:
    style, photo = Style.open(made), torch.randint(0, 256, (40, 60, 3), dtype=torch.uint8)
    paint = style.painter("exact")
    before = paint(photo, None)
    for parameter in style.network.parameters():
        parameter.data += 1
    assert torch.equal(paint(photo, None), before) and not torch.equal(style.painter("exact")(photo, None), before)


def test_hooks_and_settings_of_a_network_are_painted(made: Path) -> None:
    photo = Image.effect_mandelbrot((60, 40), (-2, -1, 1, 1), 50).convert("RGB")

    def painted(style: Style) -> np.ndarray:
        return np.asarray(stylize(photo, style, precision="exact"), np.int64)

    style = Style.open(made)
    usual = painted(style)
    handle = style.network.register_forward_hook(lambda network, given, result: 255 - result)
    assert np.abs(painted(style) - (255 - usual)).max() <= 1
    handle.remove()
    with_hook = style.network.get_submodule("deconv3").register_forward_pre_hook(lambda layer, given: (given[0] * 0,))
    assert np.ptp(painted(style), axis=(0, 1)).max() == 0
    with_hook.remove()
    np.testing.assert_array_equal(painted(style), usual)
    style.network.forward = lambda x: x
    np.testing.assert_array_equal(painted(style), np.asarray(photo))
    del style.network.forward
    for layer in style.network.modules():
        if isinstance(layer, torch.nn.InstanceNorm2d):
            layer.eps = 100.0
    plain = replace(style, architecture=replace(style.architecture, fast=None))
    assert np.abs(painted(style) - painted(plain)).max() <= 1 and not np.array_equal(painted(style), usual)


def test_a_copy_paints_the_same_and_is_no_larger_for_having_painted(made: Path) -> None:
    style, photo = Style.open(made), Image.effect_mandelbrot((60, 40), (-2, -1, 1, 1), 50).convert("RGB")
    size = len(pickle.dumps(style))
    painted = stylize(photo, style)
    for one in (copy.deepcopy(style), pickle.loads(pickle.dumps(style))):
        assert len(pickle.dumps(one)) < 1.01 * size and one.id == style.id
        assert stylize(photo, one).tobytes() == painted.tobytes()
    assert style.painter() is style.painter()


def test_without_a_fast_way_a_style_paints_the_same(made: Path) -> None:
    """As on a GPU, or of an architecture that has none."""
    fast = Style.open(made)
    plain = replace(fast, architecture=replace(fast.architecture, fast=None))
    photo = Image.effect_mandelbrot((61, 39), (-2, -1, 1, 1), 50).convert("RGB")
    told: list[float] = []
    here, there = (
        np.asarray(stylize(photo, style, precision="exact", progress=told.append), np.int64) for style in (fast, plain)
    )
    assert there.shape == here.shape and told[-1] == 1
    assert np.abs(here - there).max() <= 1 and abs((here - there).mean()) < 0.02
    told.clear()
    stylize(photo, plain, progress=told.append)
    assert told == [1]


def test_a_network_without_parameters_paints(made: Path) -> None:
    architecture = Architecture(id="negative", version=1, network=torch.nn.Identity, min_size=1)
    style, photo = Style.open(made), Image.effect_mandelbrot((60, 41), (-2, -1, 1, 1), 50).convert("RGB")
    network = torch.nn.Identity()
    style = replace(style, architecture=architecture, network=network)
    assert style.device.type == "cpu" and stylize(photo, style).tobytes() == photo.tobytes()
    network.register_forward_hook(lambda _, x, same: same[..., :40, :])
    with pytest.raises(
        NSTError, match="The network of negative gives 60 × 40 px of 60 × 41 px: it should give at least as many"
    ):
        stylize(photo, style)


def test_a_state_of_another_network_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not hold a johnson network"):
        write_style(
            tmp_path / "style",
            network_state={"weight": torch.ones(3)},
            config=StyleConfig(architecture="johnson", architecture_version=1),
            card=Card(),
            preview=Image.new("RGB", (8, 8)),
        )
    assert not (tmp_path / "style").exists()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Card(title=3), "'title' in README.md should be a valid string."),  # type: ignore[arg-type]
        (lambda: Card(tags="sea"), "'tags' in README.md should be a list."),  # type: ignore[arg-type]
        (lambda: Card(licence="mit"), "README.md has 'licence', which means nothing there."),  # type: ignore[call-arg]
        (
            lambda: StyleConfig(architecture="johnson", architecture_version=1, trainig={}),  # type: ignore[call-arg]
            "config.json has 'trainig', which means nothing there.",
        ),
        (lambda: StyleConfig(architecture="johnson"), "config.json lacks 'architecture_version'."),  # type: ignore[call-arg]
        (
            lambda: StyleConfig(architecture="johnson", architecture_version=0),
            "'architecture_version' in config.json should be greater than or equal to 1.",
        ),
    ],
)
def test_what_is_made_of_wrong_values_is_refused_in_one_sentence(make: Callable[[], object], sentence: str) -> None:
    with pytest.raises(StyleError) as caught:
        make()
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"network_state": JOHNSON.network()}, r"The network's state is what network\.state_dict\(\) gives, not an? "),
        (
            {"network_state": {"a": np.zeros(32)}},
            "'a' in the network's state is no tensor that holds numbers, as each ",
        ),
        ({"network_state": {"a": torch.ones(3, device="meta")}}, "'a' in the network's state is no tensor that holds "),
        ({"config": {"architecture": "johnson"}}, r"The configuration is .*, not \{'architecture': 'johnson'\}"),
        ({"card": None}, r"The card is what Card\(title='A Title'\) gives, not None"),
        ({"card": Card(text="\udcff")}, r"README\.md cannot hold '\\udcff', which is not a valid character"),
        ({"dtype": torch.float64}, r"The weights are written as one of torch\.float16, .*, not torch\.float64"),
        ({"dtype": "float16"}, r"The weights are written as one of torch\.float16, .*, not 'float16'"),
        ({"folder": None}, "The folder of a style is a path, not None"),
    ],
)
def test_what_is_no_part_of_a_style_is_not_written(tmp_path: Path, wrong: dict[str, Any], sentence: str) -> None:
    config = StyleConfig(architecture="johnson", architecture_version=1)
    right = {"folder": tmp_path / "style", "network_state": lively_state(), "config": config, "card": Card()}
    with pytest.raises(StyleError, match=rf"^{sentence}.*\.$"):
        write_style(**{**right, "preview": Image.new("RGB", (8, 8)), **wrong})
    assert not (tmp_path / "style").exists()


@pytest.mark.parametrize(
    ("about", "sentence"),
    [
        ({"training": {"losses": [0.125] * 60000}}, "config.json cannot be used: it has more than 262,144 bytes"),
        ({"metrics": {"loss": torch.ones(1)}}, "config.json can hold Python's own numbers, texts, lists"),
        ({"text": "long " * 300_000}, "README.md cannot be used: it has more than 1,048,576 bytes"),
    ],
)
def test_a_style_that_could_not_be_opened_is_not_written(made: Path, about: dict[str, Any], sentence: str) -> None:
    style, before = Style.open(made), (made / "config.json").read_bytes()
    text = about.pop("text", "")
    with pytest.raises(StyleError, match=sentence):
        write_style(
            made,
            network_state=style.network.state_dict(),
            config=style.config.model_copy(update=about),
            card=Card(text=text),
            preview=Image.new("RGB", (8, 8)),
        )
    assert (made / "config.json").read_bytes() == before


def test_what_is_written_needs_no_other_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file cannot be moved at once from one for temporary files, which may be on another disk."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    assert Style.open(make_style(tmp_path / "style")).title == "A Title"


@pytest.mark.parametrize("name", [CARD, CONFIG, PREVIEW, WEIGHTS])
def test_a_new_style_takes_the_place_of_nothing(tmp_path: Path, name: str) -> None:
    check_new(tmp_path / "new")
    (tmp_path / "notes.txt").write_text("mine")
    check_new(tmp_path)
    (tmp_path / name).symlink_to(tmp_path / "elsewhere")  # a link that leads nowhere is somebody's, too
    with pytest.raises(StyleError, match=f"already has a {name}, which a style's own does not replace: move it away"):
        check_new(tmp_path)
    if name == CARD:
        (tmp_path / WEIGHTS).touch()
        with pytest.raises(
            StyleError, match=r"already has a README\.md and a model\.safetensors, .*: move them away, or"
        ):
            check_new(tmp_path)
        (tmp_path / PREVIEW).touch()
        with pytest.raises(
            StyleError, match=r" a README\.md, a preview\.webp and a model\.safetensors, .*: move them away, "
        ):
            check_new(tmp_path)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StyleError, match=r"^The style 'style' could not be written: .*\.$"):
        make_style(tmp_path / "file" / "style")


def test_the_card_is_optional(folder: Path) -> None:
    (folder / CARD).unlink()
    (folder / PREVIEW).unlink()
    style = Style.open(folder)
    assert (style.title, style.artist, style.license, style.tags) == ("great-wave", "", "", ())
    assert Style.open(folder, name="user/wave").title == "user/wave"


@pytest.mark.parametrize(
    "card",
    [
        "",
        "# Only a text",
        "---\n---\n",
        "---\ntitle:\nartist: ''\ntags:\n---\n",
        "---\ntitle: ~\nartist: null\ntags: NULL\n---\n",
        "---\nlibrary_name: x\n---\ntext",
    ],
)
def test_a_card_that_does_not_say(folder: Path, card: str) -> None:
    (folder / CARD).write_text(card)
    style = Style.open(folder)
    assert (style.title, style.artist, style.tags) == ("great-wave", "", ())


def test_what_a_card_says_is_text(folder: Path) -> None:
    (folder / CARD).write_bytes(
        "\ufeff---\r\ntitle: 1984\r\nartist: no\r\nlicense: 2024-13-45\r\n"
        "tags: [style-transfer, 0x10, 0x10, '', null, 'null', nst-style]\r\n"
        "a: !!python/object:os.system x\r\n---\r\nText".encode()
    )
    style = Style.open(folder)
    assert (style.title, style.artist, style.license, style.tags) == ("1984", "no", "2024-13-45", ("0x10", "null"))


@pytest.mark.parametrize(
    ("title", "plain"),
    [
        ("a\\u202Eb\\u2066c\\u200Fd", "abcd"),
        ("a\\0b\\x1b[31mc\\x7f", "ab[31mc"),
        ("a\\n\\tb\\u2028c\\u00a0 d", "a b c d"),
        ("می\\u200cخواهم", "می\u200cخواهم"),
        ("\\ud83d", "great-wave"),
        ("\\u3164\\u2800 \\uffa0", "great-wave"),
        ("Ti" + "\\u0301" * 100 + "n", "Ti" + "\u0301" * 6 + "n"),
        ("Ti" + "\\u0301\\u200b" * 100 + "n", "Ti" + "\u0301" * 6 + "n"),
        ("Vie\\u0323\\u0302t", "Vie\u0323\u0302t"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("x" * 500, "x" * 119 + "…"),
    ],
)
def test_a_title_is_one_plain_line(folder: Path, title: str, plain: str) -> None:
    (folder / CARD).write_text(f'---\ntitle: "{title}"\n---\n', encoding="utf-8")
    assert Style.open(folder).title == plain


def test_a_folder_s_name_is_one_plain_line(tmp_path: Path) -> None:
    style = Style.open(make_style(tmp_path / "great\n\x1b[31mwave", title=""))
    assert style.title == style.id == "great [31mwave"
    style = Style.open(make_style(tmp_path / "\u2800", title=""))
    assert style.title == style.id == "style"


def test_no_tag_is_said_twice() -> None:
    tags = yaml.safe_load(Card(tags=("nst-style", "waves")).render().split("---")[1])["tags"]
    assert sorted(tags) == ["nst-style", "style-transfer", "waves"]


def test_a_card_cannot_be_broken_by_what_it_says() -> None:
    card = Card(
        title="---\n- a: b # {c}", artist="'\"", license="null", tags=("a", "a", " ", "b: c"), text="---\n\nText"
    )
    assert Card.parse(card.render()) == card
    assert card.title == "--- - a: b # {c}" and card.tags == ("a", "b: c")


def test_tags_are_few_and_distinct() -> None:
    assert Card(tags=("a", " a", "", *map(str, range(50)))).tags == ("a", *map(str, range(19)))


@pytest.mark.parametrize(
    ("front", "reason"),
    [
        ("title: [", "is not YAML that can be read"),
        ("title: 'a", "is not YAML that can be read"),
        ("a: &a [b]\ntitle: *a", "an alias (*) is not allowed in line 2"),
        ("title: a\ntitle: b", "a key appears twice"),
        ("[" * 20_000, "nested too deeply"),
        ("a: [" + "b, " * 20_000 + "]", "should have at most 32,768 characters"),
        ("- title", "The front matter of README.md should be lines that read `key: value`."),
        ("title: [a, b]", "'title' in README.md should be a valid string"),
        ("tags: one", "'tags' in README.md should be a list"),
        ("tags: [[a]]", "'tags.0' in README.md should be a valid string"),
        ("? [a]\n: b", "unhashable key"),
        ("title: \x07", "not YAML that can be read"),
    ],
)
def test_broken_front_matter(folder: Path, front: str, reason: str) -> None:
    (folder / CARD).write_text(f"---\n{front}\n---\n")
    sentence = refusal(folder)
    assert reason in sentence and "README.md" in sentence


def test_a_card_of_a_thousand_aliases_costs_nothing(folder: Path) -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 1000)]
    (folder / CARD).write_text("---\n" + "\n".join(lines) + "\n---\n")
    assert "an alias (*) is not allowed" in refusal(folder)


@pytest.mark.parametrize(
    ("file", "data", "sentence"),
    [
        (CARD, b"x" * (2**20 + 1), "README.md cannot be used: it has more than 1,048,576 bytes."),
        (CARD, b"---\ntitle: \xff\n---\n", "README.md cannot be used: it is not UTF-8 text."),
        (CONFIG, b" " * (2**18 + 1), "config.json cannot be used: it has more than 262,144 bytes."),
        (CONFIG, b"\xff", "config.json cannot be used: it is not UTF-8 text."),
        (CONFIG, b"{", "config.json is not JSON: EOF while parsing an object at line 1 column 1."),
        (CONFIG, b"", "config.json is not JSON: EOF while parsing a value at line 1 column 0."),
        (CONFIG, b"[]", "config.json should be an object."),
        (CONFIG, b'{"architecture_version": 1}', "config.json lacks 'architecture'."),
        (CONFIG, b'{"architecture": "johnson"}', "config.json lacks 'architecture_version'."),
    ],
)
def test_a_file_that_is_not_what_it_should_be(folder: Path, file: str, data: bytes, sentence: str) -> None:
    (folder / file).write_bytes(data)
    assert refusal(folder) == sentence


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"architecture": "gan"}, "names the architecture 'gan', but there are only 'fast-style-transfer', 'johnson'"),
        ({"architecture": "\u202egan" * 99}, "names the architecture '\\u202egan"),
        ({"architecture": 1}, "'architecture' in config.json should be a valid string"),
        ({"architecture_version": 2}, "asks for version 2 of johnson, but this nst_core knows only up to version 1"),
        ({"metrics": [{}]}, "'metrics' in config.json should be an object"),
        ({"architecture_version": 0}, "'architecture_version' in config.json should be greater than or equal to 1"),
        ({"architecture_version": "one"}, "'architecture_version' in config.json should be a valid integer"),
        ({"training": "long"}, "'training' in config.json should be an object"),
    ],
)
def test_a_configuration_of_something_else(folder: Path, change: dict[str, Any], reason: str) -> None:
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**config, **change}))
    sentence = refusal(folder)
    assert reason in sentence and "config.json" in sentence


def test_a_key_of_later_times_is_let_be(folder: Path) -> None:
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**config, "colour": "blue"}))
    Style.open(folder)


def test_a_configuration_nested_deeply(folder: Path) -> None:
    (folder / CONFIG).write_text("[" * 200_000)
    assert refusal(folder).startswith("config.json is not JSON: recursion limit exceeded")


@pytest.mark.parametrize("files", [[CONFIG], [WEIGHTS], [CONFIG, WEIGHTS]])
def test_files_missing(folder: Path, files: list[str]) -> None:
    for file in files:
        (folder / file).unlink()
    assert refusal(folder) == f"'great-wave' is not a style: it lacks {' and '.join(files)}."


@pytest.mark.parametrize("folder", [None, 3, b"style"])
def test_a_folder_is_a_path(folder: Any) -> None:
    with pytest.raises(StyleError, match=f"^The folder of a style is a path, not {folder!r}\\.$"):
        Style.open(folder)


@pytest.mark.parametrize("name", ["a/\0b", "a/\ud800b"])
def test_some_characters_name_no_folder(made: Path, name: str) -> None:
    style, sentence = Style.open(made), "cannot be a folder: its name contains a character that no file name"
    with pytest.raises(StyleError, match=sentence) as refused:
        Style.open(name)
    assert str(refused.value).startswith(f"{name!r} ") and str(refused.value).encode()
    with pytest.raises(NSTError, match=re.escape(repr(name))):
        Registry.load().open(name)
    with pytest.raises(StyleError, match=sentence):
        write_style(
            name,
            network_state=style.network.state_dict(),
            config=style.config,
            card=Card(),
            preview=Image.new("RGB", (8, 8)),
        )


def test_no_folder(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nowhere").startswith("There is no folder 'nowhere': a style is a folder with")


def test_the_hash_that_was_promised(made: Path) -> None:
    assert "is not the file that was promised" in refusal(made, WeightsError, sha256="ab" * 32)


def test_weights_pass_the_gate(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:3_000_000])
    assert "was cut short" in refusal(folder, WeightsError)


def test_styles_are_themselves(made: Path) -> None:
    """So that a style can be the key of a cache."""
    style = Style.open(made)
    assert {style: 1}[style] == 1 and style != Style.open(made)


def test_a_style_is_shown_as_a_line(made: Path) -> None:
    shown = repr(Style.open(made))
    assert shown.startswith("Style(id='great-wave', title=") and "id='johnson'" in shown
    assert "\n" not in shown and len(shown) < 300 + len(str(made))


def test_a_relative_folder_has_a_name(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made)
    assert Style.open(".").id == "great-wave"


def test_others_may_read_what_is_written(tmp_path: Path) -> None:
    folder = make_style(tmp_path / "new")
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    (tmp_path / "any").touch()
    assert set(modes.values()) == {(tmp_path / "any").stat().st_mode & 0o777}, modes
