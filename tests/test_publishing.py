"""Styles published, proposed, reviewed and merged: our commands and the real client against a Hub on the loopback."""

import hashlib
import random
from collections.abc import Iterator
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from loopback_hub import Failure, LoopbackHub
from made_styles import make_style
from PIL import ExifTags, Image

from nst_core.style import CARD, MAX_BYTES, PREVIEW, Card

EMPTY = b"version: 1\nstyles: []\n"


@pytest.fixture(scope="module")
def styles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the styles ``wave`` and ``night``, each of random numbers of its own."""
    folder = tmp_path_factory.mktemp("styles")
    make_style(folder / "wave", title="The Wave", artist="Ada", license="mit", seed=1)
    make_style(folder / "night", title="The Night", artist="Ada", license="mit", seed=2)
    return folder


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.radial_gradient("L").resize((90, 60)).convert("RGB").save(path)
    return path


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with LoopbackHub() as hub:
        for name in ("ada", "bob", "eve"):
            hub.account(name)
        hub.new("bob/registry", {"registry.yaml": EMPTY})
        yield hub


@pytest.fixture
def ask(hub: LoopbackHub, tmp_path: Path) -> Any:
    def ask(name: str, *commands: tuple[object, ...], fails: bool = False) -> list[str]:
        """Run commands as someone, whose cache is their own; what they printed, or their refusals in one line."""
        token = f"hf_{name}_write" if name else ""
        words = [(token, *map(str, command)) for command in commands]
        answers = hub.commands(*words, home=tmp_path / f"home-{name}")
        assert {status for status, _, _ in answers} == {int(fails)}, answers
        return [" ".join((refusal if fails else out).split()) for _, out, refusal in answers]

    return ask


def entries(hub: LoopbackHub, repo: str = "bob/registry", revision: str = "main") -> list[dict[str, Any]]:
    files = hub.repos[repo].commits[hub.repos[repo].branches[revision]]
    return yaml.safe_load(files["registry.yaml"])["styles"]


def publish(folder: Path, repo: str, registry: str = "bob/registry") -> tuple[object, ...]:
    return ("publish", folder, "--repo", repo, "--registry", registry)


@pytest.mark.slow
def test_from_one_persons_folder_to_anothers_picture(
    hub: LoopbackHub, styles: Path, ask: Any, photo: Path, tmp_path: Path
) -> None:
    wave, night = publish(styles / "wave", "ada/wave"), publish(styles / "night", "ada/night")
    # What was interrupted is done again, and nothing twice.
    for said, id, number in zip(ask("ada", wave, night, wave), ["wave", "night", "wave"], [1, 2, 1], strict=True):
        assert f"{hub.endpoint}/ada/{id} is published" in said
        assert f"{hub.endpoint}/bob/registry/discussions/{number} proposes it" in said
    repo = hub.repos["ada/wave"]
    revision = repo.branches["main"]
    assert len(repo.commits) == 2, "made, and filled"
    files = {file.name: file.read_bytes() for file in (styles / "wave").iterdir()}
    assert {**repo.commits[revision], ".gitattributes": b""} == {**files, ".gitattributes": b""}
    [entry] = entries(hub, revision="refs/pr/1")
    assert (entry["id"], entry["title"], entry["repo"], entry["revision"]) == ("wave", "The Wave", "ada/wave", revision)
    assert entries(hub) == []

    sheet = tmp_path / "sheet.png"
    review = ("review", "bob/registry", 1, "--photo", photo, "-o", sheet)
    [refusal] = ask("ada", (*review, "--merge"), fails=True)
    assert "answered 403" in refusal and entries(hub) == []
    with Image.open(sheet) as picture:
        assert picture.width > 2 * 90  # the preview, and the photograph repainted
    # Both were added to the end of the same list, which git would not merge, and the first changes something else too.
    registry = hub.repos["bob/registry"]
    registry.commit({**registry.commits[registry.branches["refs/pr/1"]], "app.py": b"evil"}, "refs/pr/1")
    second = ("review", "bob/registry", 2, "--photo", photo, "-o", sheet, "--merge")
    ask("bob", review)  # he keeps the registry as it is now
    hub.failures["/api/models/bob/registry"] = Failure()
    [stale] = ask("bob", (*review, "--merge"), fails=True)
    assert "answered 503 when asked for bob/registry" in stale and entries(hub) == []
    hub.failures.clear()
    seen, merged, added = ask("bob", review, (*review, "--merge"), second)
    for words in ("The Wave", "Ada", "mit", revision, "62 tensors of johnson", "most alike the bundled"):
        assert words in seen
    assert "The styles of pull request 1 were added" in merged and "pull request 2 were added" in added
    assert [pull.status for pull in registry.pulls] == ["closed", "closed"]
    assert [entry["id"] for entry in entries(hub)] == ["wave", "night"]
    assert list(registry.commits[registry.branches["main"]]) == ["registry.yaml"]

    refs = ["wave", "night", f"ada/wave@{revision}"]
    paint = ("stylize", photo, "--registry", "bob/registry", "-o", tmp_path / "out.png", "--style")
    listed, *_ = ask("eve", ("styles", "--registry", "bob/registry"), *((*paint, ref) for ref in refs))
    assert "The Wave" in listed and "The Night" in listed
    painted = (tmp_path / "out.png").read_bytes()
    hub.close()
    ask("eve", *((*paint, ref) for ref in refs))
    assert (tmp_path / "out.png").read_bytes() == painted


PRIVATELY = """
import json, logging, sys
from pathlib import Path
from nst_core.publishing import publish_style
records = []
handler = logging.Handler()
handler.emit = lambda record: records.append(record.getMessage())
logging.getLogger("huggingface_hub").addHandler(handler)
made = [publish_style(Path({folder!r}), "ada/wave", registry="ada/registry", token={token!r}) for _ in range(2)]
print(json.dumps([made[0].pull_request, made[0] == made[1], records]))
"""


def test_a_private_registry_is_read_with_the_persons_token(hub: LoopbackHub, styles: Path, tmp_path: Path) -> None:
    hub.new("ada/registry", {"registry.yaml": EMPTY}, private=True)
    script = PRIVATELY.format(folder=str(styles / "wave"), token="hf_ada_write")
    address, again, records = hub.run(script, tmp_path / "home")  # a server's own, which is nobody's
    assert address == f"{hub.endpoint}/ada/registry/discussions/1"
    assert again and records == [], "to publish it again is nothing to warn of"


def test_what_is_not_published(hub: LoopbackHub, styles: Path, ask: Any, tmp_path: Path) -> None:
    hub.account("eve", role="read", token="hf_eve_write")
    wave, bare = styles / "wave", make_style(tmp_path / "bare", title="Bare", artist="", license="mit")
    [stranger] = ask("", publish(wave, "ada/wave"), fails=True)
    assert "answered 401 when asked for ada/wave: log in" in stranger
    [reader] = ask("eve", publish(wave, "eve/wave"), fails=True)
    assert "answered 403 when asked for eve/wave: log in" in reader
    others, unfinished, nowhere = ask(
        "ada", publish(wave, "bob/wave"), publish(bare, "ada/bare"), publish(wave, "ada/a", "bob/none"), fails=True
    )
    assert "answered 403 when asked for bob/wave: log in" in others
    card = "Not ready to be published: it lacks 'artist', each a line of its front matter, as in `title: My Style`."
    assert unfinished == card and "no repository bob/none" in nowhere
    assert list(hub.repos) == ["bob/registry"]

    ask("ada", publish(wave, "ada/wave"))
    hub.repos["bob/registry"].merge(hub.repos["bob/registry"].pulls[0])
    [taken] = ask("bob", publish(styles / "night", "bob/wave"), fails=True)
    assert taken == "The registry already has a style 'wave': choose another name."
    assert "bob/wave" not in hub.repos
    hub.new("ada/model", {"config.json": b"{}", "pytorch_model.bin": b"weights", "README.md": b"# Mine"})
    hub.new("ada/large", {"model.safetensors": b"0" * 2**20})
    hub.new("ada/private", {}, private=True)
    hub.new("ada/gated", {}, gated=True)
    names = ("ada/wave", "ada/large", "ada/model", "ada/private", "ada/gated")
    answers = ask("ada", *(("publish", styles / "night", "--repo", name) for name in names), fails=True)
    instead = "choose another name for the repository."
    own = f"{instead[:-1]}, or replace its files on its page."
    full = [f"{name} already holds other weights: {own}" for name in names[:2]]
    full += [f"ada/model already holds 'config.json', 'pytorch_model.bin': {instead}"]
    public = "make it public on its page, or choose another name."
    assert answers == [*full, *(f"ada/{kind} is {kind}: {public}" for kind in ("private", "gated"))]
    assert not list((tmp_path / "home-ada").rglob("models--ada--large/blobs/*")), "it was not fetched to be compared"
    assert [len(hub.repos[name].commits) for name in names[1:]] == [1, 1, 1, 1]


def test_others_requests_are_no_hindrance_and_ones_own_are_replaced(
    hub: LoopbackHub, styles: Path, ask: Any, tmp_path: Path
) -> None:
    registry = hub.repos["bob/registry"]
    for junk in (b"\xff\xfe", b"version: 1\n", b"a: b: c"):
        registry.propose({"registry.yaml": junk}, "eve", "Add The Wave")
    registry.propose({}, "eve", "Add The Wave")
    hub.new("ada/wave", {"README.md": b"# Mine, made on the Hub's page"})
    hub.failures["/api/models/bob/registry/commit/main"] = Failure(HTTPStatus.FORBIDDEN)
    [half] = ask("ada", publish(styles / "wave", "ada/wave"), fails=True)
    assert half.startswith("ada/wave is published, but not proposed to bob/registry: The Hugging Face Hub answered 403")
    hub.failures.clear()
    corrected = make_style(tmp_path / "wave", title="The Great Wave", artist="Ada", license="mit", seed=1)
    for number, said in enumerate(ask("ada", *(publish(of, "ada/wave") for of in (styles / "wave", corrected))), 5):
        assert f"{hub.endpoint}/bob/registry/discussions/{number} proposes it" in said
    assert [pull.status for pull in registry.pulls] == 4 * ["open"] + ["closed", "open"]
    [entry] = entries(hub, revision="refs/pr/6")
    assert (entry["title"], entry["revision"]) == ("The Great Wave", hub.repos["ada/wave"].branches["main"])


def test_a_published_cards_example_opens_its_repository_and_the_preview_says_not_where_it_was_taken(
    hub: LoopbackHub, ask: Any, tmp_path: Path
) -> None:
    text = '# A Title\n\nRegistry.load().open("{}")'
    folder = make_style(tmp_path / "wave", text=text.format("."))
    taken = Image.Exif()
    taken.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSMapDatum] = "SECRET place"
    noise = Image.frombytes("RGB", (1700, 1700), random.Random(0).randbytes(3 * 1700**2))
    noise.save(folder / PREVIEW, "JPEG", exif=taken, quality=95, subsampling="4:4:4")
    ask("ada", ("publish", folder, "--repo", "ada/wave"))
    repo = hub.repos["ada/wave"]
    files = repo.commits[repo.branches["main"]]
    assert Card.parse(files[CARD].decode()).text == text.format("ada/wave")
    assert b"SECRET" in (folder / PREVIEW).read_bytes() and b"SECRET" not in files[PREVIEW]
    assert len(files[PREVIEW]) <= MAX_BYTES[PREVIEW]
    with Image.open(BytesIO(files[PREVIEW])) as preview:
        assert preview.format == "WEBP" and preview.size == (512, 512)


def test_a_card_written_by_hand_is_found_too(hub: LoopbackHub, ask: Any, tmp_path: Path) -> None:
    front = "title: A Title # in English\nartist: Ådä\nlicense: mit\ntags: {}\nmade: {{year: 1984, with: [a, '1']}}"
    flow = "{title: A Title, artist: A, license: mit}"
    fronts = front.format("[sea]"), front.format("\n- nst-style"), front.format(""), flow
    for number, text in enumerate(fronts):
        folder = make_style(tmp_path / f"style-{number}")
        (folder / CARD).write_text(f"---\n{text}\n---\nHello", encoding="utf-8")
        ask("ada", ("publish", folder, "--repo", f"ada/style-{number}"))
    cards = [repo.commits[repo.branches["main"]][CARD].decode() for name, repo in hub.repos.items() if "ada/" in name]
    listed = "import json; from nst_core import hub; print(json.dumps([found.repo for found in hub.find()]))"
    assert sorted(hub.run(listed, tmp_path / "home")) == [f"ada/style-{number}" for number in range(4)]
    assert cards[1] == f"---\n{fronts[1]}\n---\nHello", "as it was"
    for card, tags in zip(cards, [["sea"], [], [], []], strict=True):
        said = Card.parse(card)
        assert (said.title, said.tags, said.text) == ("A Title", tuple(tags), "Hello")
    assert yaml.safe_load(cards[0].split("---\n")[1])["made"] == {"year": 1984, "with": ["a", "1"]}


def test_what_is_not_merged(hub: LoopbackHub, styles: Path, ask: Any, photo: Path, tmp_path: Path) -> None:
    ask("ada", publish(styles / "wave", "ada/wave"))
    registry = hub.repos["bob/registry"]
    registry.merge(registry.pulls[0])
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in (styles / "wave").iterdir():
        (copy / file.name).write_bytes(file.read_bytes().replace(b"The Wave", b"My Own Work"))
    ask("eve", publish(copy, "eve/own"))
    files = registry.commits[registry.branches["main"]]
    registry.propose({**files, "registry.yaml": EMPTY}, "eve", "Tidy up")
    registry.propose({**files, "notes.md": b"Hello"}, "eve", "Greet")
    own = hub.repos["eve/own"]
    own.commit({**own.commits[own.branches["main"]], CARD: b"# None"})
    text = registry.commits[registry.branches["refs/pr/2"]]["registry.yaml"].decode()
    moved = text.replace(entries(hub, revision="refs/pr/2")[1]["revision"], own.branches["main"])
    registry.propose({**files, "registry.yaml": moved.encode()}, "eve", "Add it")

    look = ("--photo", photo, "-o", tmp_path / "sheet.png", "--merge")
    reviews = [("review", "bob/registry", number, *look) for number in (1, 2, 3, 4, 5, 9)]
    merged, copied, removing, nothing, anonymous, missing = ask("bob", *reviews, fails=True)
    start = "Not to be merged as it is: "
    assert merged == f"{start}it is merged."
    assert copied == f"{start}own has the weights of wave; its weights are practically those of wave."
    assert removing == f"{start}it removes wave."
    assert nothing == f"{start}it adds no style."
    assert "it lacks 'title', 'artist', 'license'" in anonymous
    assert "no revision 'refs/pr/9'" in missing
    assert all(pull.status == "open" for pull in registry.pulls[1:])


@pytest.mark.slow
def test_what_is_not_the_owners_word_is_not_merged(
    hub: LoopbackHub, styles: Path, ask: Any, photo: Path, tmp_path: Path
) -> None:
    ask("ada", publish(styles / "wave", "ada/wave"))
    registry, wave = hub.repos["bob/registry"], hub.repos["ada/wave"]
    [entry] = entries(hub, revision="refs/pr/1")

    def propose(**changed: str) -> None:
        text = yaml.safe_dump({"version": 1, "styles": [{**entry, **changed}]})
        registry.propose({"registry.yaml": text.encode()}, "eve", "Add it")

    propose(id="udnie-2", title="Udnie", artist="Eve", license="cc0-1.0")
    night = {file.name: file.read_bytes() for file in (styles / "night").iterdir()}
    pull = wave.propose(night, "eve", "Improve it")
    sha256 = hashlib.sha256(night["model.safetensors"]).hexdigest()
    propose(id="night", title="The Night", revision=wave.branches[pull.branch], sha256=sha256)
    look = ("--photo", photo, "-o", tmp_path / "sheet.png", "--merge")
    said, strange = ask("bob", *(("review", "bob/registry", number, *look) for number in (2, 3)), fails=True)
    assert said == (
        "Not to be merged as it is: the title of udnie-2 is 'Udnie', but in its card 'The Wave'; the artist of udnie-2 "
        "is 'Eve', but in its card 'Ada'; the license of udnie-2 is 'cc0-1.0', but in its card 'mit'."
    )
    assert strange.endswith("is not a commit of ada/wave's main branch: anybody may have proposed it.")
    hub.renamed["ada/former"] = "ada/wave"
    propose(repo="ada/former")
    [renamed] = ask("bob", ("review", "bob/registry", len(registry.pulls), *look), fails=True)
    assert renamed == "Not to be merged as it is: ada/former is called ada/wave on the Hub."
    assert entries(hub) == []
    # The same weights, which main has by now, and had not when it was proposed.
    propose(id="wave-2")
    registry.merge(registry.pulls[0])
    [copied] = ask("bob", ("review", "bob/registry", len(registry.pulls), *look), fails=True)
    assert "its weights are practically those of wave" in copied
    # A style that is gone or blocked keeps nobody from looking at the others.
    listed = yaml.safe_load(registry.commits[registry.branches["main"]]["registry.yaml"])
    blocked = {**listed, "blocked": [{"repo": listed["styles"][0]["repo"], "reason": "stolen"}]}
    registry.commit({"registry.yaml": yaml.safe_dump(blocked).encode()})
    ask("ada", publish(styles / "night", "ada/night"))
    said = ask("bob", ("review", "bob/registry", len(registry.pulls), *look[:-1]))
    assert "title The Night" in str(said)


def test_a_space_is_a_registry_too(hub: LoopbackHub, styles: Path, ask: Any, photo: Path, tmp_path: Path) -> None:
    bundled = {"id": "udnie", "title": "U", "artist": "P", "license": "mit", "tags": [], "sha256": "0" * 64}
    listed = yaml.safe_dump({"version": 1, "styles": [{**bundled, "path": "styles/udnie"}]})
    hub.new("spaces/bob/repaint", {"registry.yaml": listed.encode(), "app.py": b""})
    [said] = ask("ada", publish(styles / "wave", "ada/wave", "spaces/bob/repaint"))
    assert f"{hub.endpoint}/spaces/bob/repaint/discussions/1 proposes it" in said
    ask("bob", ("review", "spaces/bob/repaint", 1, "--photo", photo, "-o", tmp_path / "sheet.png", "--merge"))
    assert [entry["id"] for entry in entries(hub, "spaces/bob/repaint")] == ["udnie", "wave"]
    [refusal] = ask("eve", ("styles", "--registry", "spaces/bob/repaint"), fails=True)
    assert "gives a path to 'udnie'" in refusal
