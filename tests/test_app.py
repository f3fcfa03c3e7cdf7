"""The real app, asked through gradio_client: what it gives is what the library gives, or one sentence."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from made_registry import MAX_SIDE, TITLES
from PIL import Image, ImageDraw

from nst_core.images import open_picture, read_note
from nst_core.registry import Registry
from nst_core.stylization import stylize
from ui.links import read_recipe
from ui.masks import read_mask


@pytest.fixture(scope="module")
def client(app_url: str) -> Client:
    return Client(app_url, verbose=False)


@pytest.fixture(scope="module")
def registry(registry_file: Path) -> Registry:
    return Registry.load(registry_file)


def drawn(width: int = 90, height: int = 60) -> Image.Image:
    picture = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    ImageDraw.Draw(picture).ellipse((10, 5, width // 2, height - 5), fill="orange", outline="navy")
    return picture


def rotated_jpeg(path: Path) -> Path:
    exif = Image.Exif()
    exif[274] = 6  # the top of the picture is to the right
    drawn().save(path, exif=exif)
    return path


def transparent_png(path: Path) -> Path:
    picture = drawn()
    picture.putalpha(Image.radial_gradient("L").resize(picture.size))
    picture.save(path)
    return path


def deep_png(path: Path) -> Path:
    Image.fromarray(np.linspace(0, 65535, 90 * 60).reshape(60, 90).astype(np.uint16)).save(path)
    return path


def test_styles_are_those_of_the_registry(client: Client) -> None:
    assert client.predict(api_name="/styles") == [
        {"id": id, "title": title, "artist": artist, "license": "cc0-1.0", "tags": ["test"]}
        for id, (title, artist) in TITLES.items()
    ]


def test_only_these_endpoints_are_public(client: Client) -> None:
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(named) == {"/stylize", "/styles", "/optimize"}
    parameters = {parameter["parameter_name"]: parameter for parameter in named["/stylize"]["parameters"]}
    assert list(parameters) == ["photo", "style", "strength", "color", "size", "stroke", "second", "mix", "mask"]
    assert [name for name, it in parameters.items() if not it["parameter_has_default"]] == ["photo", "style"]


@pytest.mark.parametrize(
    ("make", "name", "wish"),
    [
        (rotated_jpeg, "my photo.jpg", {"style": "first-style"}),
        (rotated_jpeg, "a.jpg", {"style": "first-style", "size": 128, "stroke": 2.0, "strength": 0.5}),
        (transparent_png, "b.png", {"style": "second-style", "color": "photo"}),
        (deep_png, "c.png", {"style": "second-style", "size": 40, "strength": 0.0}),
        (rotated_jpeg, "d.jpg", {"style": "first-style", "second": "second-style", "mix": 0.25}),
        (
            rotated_jpeg,
            "e.jpg",
            {"style": "first-style"}
            | dict.fromkeys(("strength", "color", "size", "stroke", "second", "mix", "mask")),  # None
        ),
    ],
)
def test_stylize_gives_what_the_library_gives(
    client: Client, registry: Registry, tmp_path: Path, make: Any, name: str, wish: dict[str, Any]
) -> None:
    photo = make(tmp_path / name)
    file = Path(client.predict(handle_file(photo), **wish, api_name="/stylize"))
    assert file.suffix == ".png" and wish["style"] in file.name and Path(name).stem.split()[0] in file.name
    style = registry.open(wish["style"])
    settings = {key: value for key, value in wish.items() if key != "style" and value is not None}
    if wish.get("second"):
        settings["second"] = registry.open(wish["second"])
    expected = stylize(open_picture(photo), style, **settings)
    with Image.open(file) as picture:
        assert picture.format == "PNG" and not picture.info.get("exif")
        assert picture.mode == expected.mode
        np.testing.assert_array_equal(np.asarray(picture), np.asarray(expected))


def test_a_mask_is_a_picture_like_the_photograph(client: Client, registry: Registry, tmp_path: Path) -> None:
    photo = rotated_jpeg(tmp_path / "photo.jpg")
    mask = Image.radial_gradient("L").resize((90, 70))
    mask.save(tmp_path / "mask.png")
    wish = {"style": "first-style", "second": "second-style", "mix": 0.9}
    masked = client.predict(handle_file(photo), **wish, mask=handle_file(tmp_path / "mask.png"), api_name="/stylize")
    first, second = registry.open("first-style"), registry.open("second-style")
    expected = stylize(open_picture(photo), first, second=second, mix=0.9, mask=mask)
    np.testing.assert_array_equal(np.asarray(Image.open(masked)), np.asarray(expected))
    # The recipe has it too, small: no more than 64 pixels per side.
    said = read_mask(read_recipe(read_note(masked))["mask"])
    assert said and said.size == (64, 50)
    enlarged = np.asarray(said.convert("L").resize((90, 70)), float)
    assert np.abs(enlarged - np.asarray(mask)).mean() < 2


@pytest.mark.parametrize(
    ("mask", "says"),
    [
        (Image.new("L", (MAX_SIDE + 1, MAX_SIDE)), "pixels"),
        (b"I am a text.", "PNG"),
        (b"\x89PNG\r\n\x1a\n and no more", "damaged"),
    ],
)
def test_a_mask_is_refused_as_a_photograph_is(client: Client, tmp_path: Path, mask: Any, says: str) -> None:
    path = tmp_path / "mask.png"
    if isinstance(mask, bytes):
        path.write_bytes(mask)
    else:
        mask.save(path)
    photo, wish = rotated_jpeg(tmp_path / "photo.jpg"), {"style": "first-style", "mask": handle_file(path)}
    assert says in refusal(client, photo, **wish, second="second-style")
    Image.new("L", (8, 8)).save(path)
    assert "give a second style" in refusal(client, photo, **wish)


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        ({"style": "first-stile"}, "first-style"),
        ({"style": "broken-style"}, "model.safetensors"),
        ({"style": "styles/great-wave"}, "The Hugging Face Hub could not be reached"),
        ({"style": 7}, "'style'"),
        ({"strength": 1.5}, "1.5"),
        ({"strength": "much"}, "'strength'"),
        ({"color": "purple"}, "'style' or 'photo'"),
        ({"size": 4}, "4"),
        ({"size": MAX_SIDE + 1}, str(MAX_SIDE)),
        ({"size": MAX_SIDE, "stroke": 0.5}, str(MAX_SIDE // 2)),
        ({"stroke": 100}, "100"),
        ({"stroke": 0}, "0.25"),
        ({"mix": 0.5}, "give a second style, too"),
        ({"second": "second-style", "mix": 1.5}, "1.5"),
    ],
)
def test_a_refusal_is_one_sentence(client: Client, tmp_path: Path, wish: dict[str, Any], says: str) -> None:
    sentence = refusal(client, rotated_jpeg(tmp_path / "photo.jpg"), **{"style": "first-style", **wish})
    assert says in sentence


@pytest.mark.parametrize("form", ["list", "names"])
def test_over_http_what_is_left_out_has_its_default(client: Client, app_url: str, tmp_path: Path, form: str) -> None:
    photo = rotated_jpeg(tmp_path / "photo.jpg")
    with httpx.Client(base_url=f"{app_url}/gradio_api", timeout=60) as http:
        [path] = http.post("/upload", files={"files": photo.read_bytes()}).json()

        def painted(values: dict[str, Any]) -> Any:
            listed = form == "list"
            body = {"data": [*values.values()]} if listed else values
            asked = http.post(f"/call/{'' if listed else 'v2/'}stylize", json=body).json()
            event, said = re.findall(r"event: (.*)\ndata: (.*)", http.get(f"/call/stylize/{asked['event_id']}").text)[
                -1
            ]
            return json.loads(said) if event == "error" else np.asarray(Image.open(json.loads(said)[0]["path"]))

        wish = {"photo": {"path": path}, "style": "first-style", "strength": 0.5, "color": "photo"}
        alone = client.predict(handle_file(photo), "first-style", 0.5, "photo", api_name="/stylize")
        assert np.array_equal(painted(wish), np.asarray(Image.open(alone)))
        if form == "list":
            assert "'style'" in painted({"photo": {"path": path}})["error"]  # which has none


def test_a_file_that_is_no_picture_is_refused(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_text("I am a text.")
    refusal(client, path, style="first-style")


@pytest.mark.parametrize("photo", ["https://example.com/photo.jpg", {"url": "https://example.com/photo.jpg"}, 3])
def test_what_is_not_the_path_of_an_upload_is_refused_in_a_programs_words(client: Client, photo: Any) -> None:
    with pytest.raises(
        AppError, match=r'(given as the path that its upload returned: \{"path": …\}|This endpoint does)'
    ):
        client.predict(photo, "first-style", api_name="/stylize")


def test_a_photograph_larger_than_the_server_paints_is_made_smaller(client: Client, tmp_path: Path) -> None:
    drawn(900, 300).save(tmp_path / "wide.png")
    with Image.open(client.predict(handle_file(tmp_path / "wide.png"), "first-style", api_name="/stylize")) as picture:
        assert picture.size == (MAX_SIDE, round(MAX_SIDE / 3))


def refusal(client: Client, photo: Path, **wish: Any) -> str:
    with pytest.raises(AppError) as caught:
        client.predict(handle_file(photo), **wish, api_name="/stylize")
    sentence = str(caught.value)
    assert sentence.endswith((".", "?")) and "\n" not in sentence and len(sentence) < 300
    assert "/tmp" not in sentence and str(photo.parent) not in sentence and "&" not in sentence
    return sentence


def test_a_wish_that_another_one_overtook_empties_nothing(app_url: str, tmp_path: Path) -> None:
    """As the page asks: Gradio would take a generator that gives nothing for one whose outputs are all empty."""
    drawn(900, 600).save(tmp_path / "photo.png")
    with httpx.Client(base_url=app_url, timeout=60) as http:
        [place] = http.post("/gradio_api/upload", files={"files": (tmp_path / "photo.png").open("rb")}).json()
        photo = {"path": place, "meta": {"_type": "gradio.FileData"}}
        [show] = [one["id"] for one in http.get("/config").json()["dependencies"] if one["api_name"] == "show"]
        for size in (64, MAX_SIDE, 65, MAX_SIDE - 1, 66):  # each before the last one is done
            data = [photo, "first-style", 1, "style", size, 1, "", 0.5, ""]
            body = {"data": data, "fn_index": show, "session_hash": "hasty"}
            assert http.post("/gradio_api/queue/join", json=body).status_code == 200
        ends: list[list[Any]] = []
        with http.stream("GET", "/gradio_api/queue/data", params={"session_hash": "hasty"}) as lines:
            for line in lines.iter_lines():
                if '"process_completed"' in line:
                    told = json.loads(line.removeprefix("data: "))["output"]
                    assert "data" in told, told
                    ends.append(told["data"])
                    if len(ends) == 5:
                        break
    assert all(value is not None for end in ends for value in end)
    pictures = [end for end in ends if "url" in str(end[0])]
    assert 1 <= len(pictures) < 5, "some were overtaken, the last was not"
