"""The registry: what it refuses to read, what it opens, and that it loads each style once."""

import copy
import hashlib
import json
import os
import pickle
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import nst
from made_styles import make_style

from nst_core import hub, registry as registry_module
from nst_core.errors import NSTError
from nst_core.gate import WeightsError
from nst_core.hub import HubError
from nst_core.registry import Entry, Registry, RegistryError, add_entry
from nst_core.style import CARD, PREVIEW, WEIGHTS, Style, StyleError

REVISION, SHA256 = "0123456789" * 4, "00112233" * 8


def entry(**about: Any) -> dict[str, Any]:
    """A bundled style of the registry that is made below; ``None`` leaves a key out."""
    complete = {
        "id": "great-wave",
        "title": "The Great Wave",
        "artist": "Katsushika Hokusai",
        "license": "cc0-1.0",
        "tags": ["ukiyo-e", "sea"],
        "path": "styles/great-wave",
        "sha256": SHA256,
        **about,
    }
    return {key: value for key, value in complete.items() if value is not None}


def write(folder: Path, *entries: dict[str, Any], **document: Any) -> Path:
    path = folder / "registry.yaml"
    path.write_text(yaml.safe_dump({"version": 1, "styles": list(entries), **document}, allow_unicode=True))
    return path


def refusal(
    source: str | Path, call: Callable[[Any], object] = Registry.load, kind: type[NSTError] = RegistryError
) -> str:
    with pytest.raises(kind) as caught:
        call(source)
    sentence = str(caught.value)
    assert sentence[-1] in ".?" and sentence.isprintable() and len(sentence) < 400
    return sentence


def test_a_thousand_styles_of_the_hub_are_not_too_many(tmp_path: Path) -> None:
    about = {"path": None, "revision": REVISION, "license": "cc-by-nc-sa-4.0"}
    many = [entry(id=f"great-wave-{n}", repo=f"somebody-or-other/great-wave-{n}", **about) for n in range(1000)]
    write(tmp_path, *many)
    assert len(Registry.load(tmp_path)) == 1000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry of two styles."""
    folder = tmp_path_factory.mktemp("registry")
    entries = []
    for seed, id in enumerate(["great-wave", "starry-night"]):
        style = make_style(folder / "styles" / id, seed=seed, title="Of the card", tags=("card",))
        sha256 = hashlib.sha256((style / WEIGHTS).read_bytes()).hexdigest()
        entries.append(entry(id=id, path=f"styles/{id}", sha256=sha256))
    write(folder, *entries)
    return folder


def test_a_registry_is_a_list_of_entries(folder: Path) -> None:
    registry = Registry.load(folder / "registry.yaml")
    assert len(registry) == 2
    assert [entry.id for entry in registry] == ["great-wave", "starry-night"]
    assert repr(registry) == "Registry(great-wave, starry-night)"
    assert "great-wave" in registry and "wave" not in registry
    wave = registry["great-wave"]
    assert wave in registry and all(entry in registry for entry in registry)
    assert (wave.title, wave.artist, wave.license) == ("The Great Wave", "Katsushika Hokusai", "cc0-1.0")
    assert (wave.tags, wave.path) == (("ukiyo-e", "sea"), (folder / "styles" / "great-wave").resolve())
    assert wave.preview == (folder / "styles" / "great-wave" / PREVIEW).resolve()
    assert [entry.id for entry in Registry.load(str(folder))] == ["great-wave", "starry-night"]


def test_a_registry_can_be_copied_and_sent_to_another_process(folder: Path, tmp_path: Path) -> None:
    blocked = [{"repo": "a/b", "reason": "c"}]
    path = write(tmp_path, entry(path=None, repo="me/wave", revision=REVISION), blocked=blocked)
    there = Registry.parse(path.read_text(), path, repo="me/styles")
    for copied in (copy.deepcopy(there), pickle.loads(pickle.dumps(there))):
        assert copied.entries == there.entries and copied.repo == "me/styles" and copied.why_blocked("a/b") == "c"
    here = Registry.load(folder)
    style = here.open("great-wave")
    for copied in (copy.deepcopy(here), pickle.loads(pickle.dumps(here))):
        assert copied.open("great-wave").title == style.title


def test_a_preview_that_is_not_there(tmp_path: Path) -> None:
    hub = entry(id="hub", path=None, repo="user/name", revision=REVISION)
    assert [entry.preview for entry in Registry.load(write(tmp_path, entry(), hub))] == [None, None]


def test_the_registry_that_comes_along(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a checkout it lies beside the package, in a wheel inside."""
    package = tmp_path / "site" / "nst_core"
    package.mkdir(parents=True)
    monkeypatch.setattr(registry_module, "__file__", str(package / "registry.py"))
    assert "There is no registry.yaml at " in refusal(None)  # type: ignore[arg-type]
    write(tmp_path / "site", entry(id="beside"))
    assert [entry.id for entry in Registry.load()] == ["beside"]
    write(package, entry(id="inside"))
    assert [entry.id for entry in Registry.load()] == ["inside"]


def test_looking_through_a_registry_is_light(folder: Path) -> None:
    script = (
        "import sys\nfrom nst_core.registry import Registry\n"
        f"registry = Registry.load({str(folder)!r})\nregistry['great-wave']\n"
        "print(*{'torch', 'gradio', 'huggingface_hub'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        ({"id": "Great Wave"}, "'id' in registry.yaml's style 'Great Wave' should be at most 64 lower-case letters"),
        ({"id": "a" * 65}, "should be at most 64 lower-case letters"),
        ({"id": "great--wave"}, "should be at most 64 lower-case letters"),
        ({"id": "../wave"}, "should be at most 64 lower-case letters"),
        ({"id": None}, "registry.yaml's style '2' lacks 'id'."),
        ({"title": None}, "registry.yaml's style 'great-wave' lacks 'title'."),
        ({"title": "\u202e\0 "}, "'title' in registry.yaml's style 'great-wave' should be text that can be seen."),
        ({"title": ["a"]}, "'title' in registry.yaml's style 'great-wave' should be a valid string."),
        ({"withdrawn": False}, "'withdrawn' in registry.yaml's style 'great-wave' should be the reason in words, or"),
        ({"tags": "a"}, "'tags' in registry.yaml's style 'great-wave' should be a list."),
        ({"sha256": None}, "lacks 'sha256'."),
        ({"sha256": "0" * 63}, "should be the SHA-256 of the weights, 64 of 0–9 and a–f."),
        ({"sha256": "A" * 64}, "should be the SHA-256 of the weights, 64 of 0–9 and a–f."),
        ({"sha": "0" * 64}, "has 'sha', which means nothing there."),
        ({"path": None}, "style 'great-wave' should have either a path, or a repo and its revision."),
        ({"repo": "user/name"}, "should have either a path, or a repo and its revision."),
        ({"repo": "user/name", "revision": REVISION}, "should have either a path, or a repo and its revision."),
        ({"revision": REVISION}, "should have either a path, or a repo and its revision."),
        ({"path": None, "repo": "user/name"}, "should have either a path, or a repo and its revision."),
        ({"path": None, "repo": "user/name", "revision": "main"}, "should be a full commit hash, 40 of 0–9 and a–f."),
        ({"path": None, "repo": "user/name", "revision": REVISION[:-1]}, "should be a full commit hash"),
        ({"path": None, "repo": "../name", "revision": REVISION}, "should be a repository on the Hub, as user/name."),
        ({"path": None, "repo": "usér/name", "revision": REVISION}, "should be a repository on the Hub"),
        ({"path": None, "repo": "user/name/x", "revision": REVISION}, "should be a repository on the Hub"),
        ({"path": None, "repo": "user/name\n", "revision": REVISION}, "should be a repository on the Hub"),
        ({"path": "../great-wave"}, "'path' in registry.yaml's style 'great-wave' should be a folder inside the reg"),
        ({"path": "/etc"}, "should be a folder inside the registry's own."),
        ({"path": "styles/../../x"}, "should be a folder inside the registry's own."),
        ({"path": "link/x"}, "should be a folder inside the registry's own."),
        (
            {"path": "a\0b"},
            "'path' in registry.yaml's style 'great-wave' should be a folder inside the registry's own.",
        ),
        (
            {"path": "styles\\great-wave"},
            "should have / between its folders, as in styles/great-wave, and no backslash.",
        ),
    ],
)
def test_an_entry_that_is_not_right(tmp_path: Path, about: dict[str, Any], reason: str) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "link").symlink_to(tmp_path)
    assert reason in refusal(write(inner, entry(id="good"), entry(**about)).rename(inner / "registry.yaml"))


def test_an_id_may_have_64_characters(tmp_path: Path) -> None:
    assert "a" * 64 in Registry.load(write(tmp_path, entry(id="a" * 64)))


def test_a_folder_is_taken_before_a_repository_of_its_name(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "user").mkdir()
    (tmp_path / "user" / "registry").symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    assert "starry-night" in Registry.load("user/registry")


def test_any_kind_of_path_is_a_folder(folder: Path) -> None:
    with os.scandir(folder / "styles") as styles:
        opened = {entry.name: Registry.load(folder).open(entry) for entry in styles}  # type: ignore[arg-type]
    assert {name: style.folder for name, style in opened.items()} == {
        name: folder / "styles" / name for name in ("great-wave", "starry-night")
    }


def test_hashes_of_digits_are_text(tmp_path: Path) -> None:
    path = write(tmp_path)
    lines = [
        "version: 1",
        "styles:",
        "- id: '1e5'",
        "  title: 1984",
        "  artist: no",
        "  license: mit",
        "  tags: [1, yes]",
    ]
    lines += ["  repo: 1/2", f"  revision: {'0' * 39}1", f"  sha256: {'0' * 62}12"]
    path.write_text("\n".join(lines))
    [style] = Registry.load(path)
    assert (style.title, style.artist, style.tags, style.repo) == ("1984", "no", ("1", "yes"), "1/2")
    assert (style.revision, style.sha256) == ("0" * 39 + "1", "0" * 62 + "12")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "registry.yaml is not a registry: it should have 'version: 1' and a list of 'styles'."),
        ("- a", "registry.yaml is not a registry: it should have 'version: 1' and"),
        ("styles: []", "registry.yaml lacks 'version'."),
        ("version: 1", "registry.yaml lacks 'styles'."),
        ("version: 2\nstyles: []", "'version' in registry.yaml should be '1'."),
        ("version: 1\nstyles: {}", "'styles' in registry.yaml should be a"),
        ("version: 1\nstyles: [a]", "'styles.0' in registry.yaml should be a"),
        ("version: 1\nstyles: []\nextra: 1", "registry.yaml has 'extra', which means nothing there."),
        ("version: 1\nstyles: [", "registry.yaml is not a registry that can be read: "),
        ("version: 1\nversion: 1\nstyles: []", "a key appears twice in one mapping in line 1"),
        ("version: 1\nstyles:\n- &a {id: x}\n- *a", "an alias (*) is not allowed in line 4"),
        ("version: 1\nstyles: []\n---\nversion: 1", "found another document"),
        ("[" * 100_000, "it is nested too deeply"),
        ("\xff", "is not UTF-8 text"),
        (" " * 600_000, "has more than 524,288 bytes"),
    ],
)
def test_a_file_that_is_no_registry(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "registry.yaml").write_bytes(text.encode("latin-1"))
    assert reason in (said := refusal(tmp_path / "registry.yaml")) and said.count("registry.yaml") == 1


def test_a_billion_laughs(tmp_path: Path) -> None:
    lines = ["a0: &a0 [lol]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    (tmp_path / "registry.yaml").write_text("\n".join(lines))
    assert "an alias (*) is not allowed in line 2" in refusal(tmp_path)


def test_ids_are_unique(tmp_path: Path) -> None:
    assert refusal(write(tmp_path, entry(), entry(title="Other"))) == (
        "registry.yaml has two styles 'great-wave'; each should have an id of its own."
    )


def test_no_registry_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(tmp_path) == f"There is no registry.yaml at {tmp_path}."
    assert refusal(tmp_path / "other.yaml") == f"There is no registry.yaml at {tmp_path / 'other.yaml'}."
    assert refusal("config/other.yaml") == f"There is no registry.yaml at {Path.cwd() / 'config' / 'other.yaml'}."
    monkeypatch.chdir(tmp_path)
    assert refusal("..") == f"There is no registry.yaml at {tmp_path.parent}."


def test_an_empty_registry(tmp_path: Path) -> None:
    registry = Registry.load(write(tmp_path))
    assert len(registry) == 0 and list(registry) == []
    assert refusal(Path("x"), lambda _: registry["x"]) == "There is no style 'x'; the registry has none."


@pytest.mark.parametrize(
    ("ref", "sentence"),
    [
        ("graet-wave", "There is no style 'graet-wave'; did you mean great-wave?"),
        ("Great Wave", "There is no style 'Great Wave'; did you mean great-wave?"),
        (" GREAT WAVE ", "There is no style ' GREAT WAVE '; did you mean great-wave?"),
        ("mona-lisa", "There is no style 'mona-lisa'; the registry has 'great-wave', 'starry-night'."),
        ("", "There is no style ''; the registry has 'great-wave', 'starry-night'."),
        ("\u202e\0", "There is no style '\\u202e\\x00'; the registry has 'great-wave', 'starry-night'."),
        ("x" * 10_000, f"There is no style '{'x' * 79}…'; the registry has 'great-wave', 'starry-night'."),
        ("./\0", "There is no style './\\x00'; the registry has 'great-wave', 'starry-night'."),
        ("styles/\0", "There is no style 'styles/\\x00'; the registry has 'great-wave', 'starry-night'."),
    ],
)
def test_an_unknown_style(folder: Path, ref: str, sentence: str) -> None:
    registry = Registry.load(folder)
    assert refusal(folder, lambda _: registry.open(ref)) == sentence
    assert refusal(folder, lambda _: registry[ref]) == sentence


def test_a_long_name_is_looked_through_once(folder: Path) -> None:
    registry, began = Registry.load(folder), time.process_time()
    refusal("/" * 50_000 + "\0", registry.open)
    assert time.process_time() - began < 1


@pytest.mark.parametrize("id", [0, None, ["great-wave"]])
def test_an_entry_has_no_number(folder: Path, id: Any) -> None:
    sentence = refusal(folder, lambda _: Registry.load(folder)[id])
    assert sentence == f"A registry has its entries by id, such as 'udnie', and not by {id!r}."


@pytest.mark.parametrize("source", [3, "", b"registry.yaml", ["registry.yaml"]])
def test_what_a_registry_is_not_read_from(source: Any) -> None:
    sentence = refusal(source, Registry.load)
    assert sentence == f"A registry is read from a path, or user/repo on the Hub, not from {source!r}."


@pytest.mark.parametrize(
    "ref",
    [
        *("./nowhere", "../" * 3 + "nowhere\n", "/tmp/none/nowhere", "~/nowhere"),
        *("styles/nowhere/", "styles/of/nowhere", "user/repo@../nowhere"),
    ],
)
def test_what_reads_as_a_path_is_a_folder_that_is_not_there(folder: Path, ref: str) -> None:
    sentence = refusal(ref, Registry.load(folder).open, StyleError)
    assert sentence.startswith("There is no folder 'nowhere': ")


@pytest.mark.parametrize(
    "ref",
    [
        *("https://huggingface.co/ada/wave", "http://hf.co/ada/wave/tree/main/wave", "huggingface.co/spaces/ada/wave/"),
        *("ada/wave/", "spaces/ada/wave"),
    ],
)
def test_an_address_on_the_hub_is_no_folder(folder: Path, ref: str, tmp_path: Path) -> None:
    told = (
        "There is no folder 'wave': a style is a folder with config.json and model.safetensors, or one on the Hub, "
        "written as ada/wave."
    )
    assert refusal(ref, Registry.load(folder).open, StyleError) == told
    assert nst("check", ref, folder=tmp_path).stderr == f"{told}\n"


def test_a_folder_may_be_meant_where_the_hub_has_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> Path:
        raise HubError("The Hub has none.")

    monkeypatch.setattr(hub, "fetch", refused)
    monkeypatch.chdir(folder)
    registry = Registry.load(folder)
    told = "The Hub has none. Nor is there a folder 'styles/graet-wave' here."
    assert refusal("styles/graet-wave", registry.open, HubError) == told
    assert nst("check", "styles/graet-wave", folder=folder).stderr == f"{told}\n"
    assert refusal("user/wave", registry.open, HubError) == "The Hub has none. Nor is there a folder 'user/wave' here."
    assert refusal("user/wave@v1", registry.open, HubError) == "The Hub has none."


def test_what_opens_no_style(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder / "styles")
    registry = Registry.load(folder)
    assert "is a file: give its folder" in refusal(f"great-wave/{WEIGHTS}", registry.open, StyleError)
    for wrong in (None, 3, ["great-wave"]):
        with pytest.raises(RegistryError, match=r"^A style is opened by its id, a folder, .*\.$"):
            registry.open(wrong)  # type: ignore[arg-type]


def test_the_entry_wins_over_the_card(folder: Path) -> None:
    style = Registry.load(folder).open("great-wave")
    assert (style.id, style.title, style.artist) == ("great-wave", "The Great Wave", "Katsushika Hokusai")
    assert (style.license, style.tags) == ("cc0-1.0", ("ukiyo-e", "sea"))
    assert style.folder == (folder / "styles" / "great-wave").resolve()


def test_a_folder_is_what_its_card_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry.load(folder)
    for ref in (folder / "styles" / "starry-night", str(folder / "styles" / "starry-night")):
        style = registry.open(ref)
        assert (style.id, style.title, style.tags) == ("starry-night", "Of the card", ("card",))
    monkeypatch.chdir(folder)
    assert registry.open("styles/starry-night").title == "Of the card"
    assert registry.open(Path("styles/starry-night")).title == "Of the card"


def test_a_folder_that_is_no_style(folder: Path, tmp_path: Path) -> None:
    registry = Registry.load(folder)
    assert "is not a style" in refusal(tmp_path, registry.open, StyleError)
    assert "There is no folder" in refusal(tmp_path / "nowhere", registry.open, StyleError)
    (tmp_path / "round").symlink_to("round")
    assert "There is no folder" in refusal(tmp_path / "round", registry.open, StyleError)


def test_an_id_is_taken_before_a_folder(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "great-wave").mkdir()
    monkeypatch.chdir(tmp_path)
    assert Registry.load(folder).open("great-wave").title == "The Great Wave"


def test_weights_that_are_not_those_of_the_entry(folder: Path) -> None:
    path = folder / "other.yaml"
    document = yaml.safe_load((folder / "registry.yaml").read_text())
    document["styles"][0]["sha256"] = SHA256
    path.write_text(yaml.safe_dump(document))
    registry = Registry.load(path)
    assert "is not the file that was promised" in refusal(path, lambda _: registry.open("great-wave"), WeightsError)
    assert registry.open("starry-night").id == "starry-night"


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders that are opened from here on."""
    opened: list[str] = []
    really = Style.open.__func__  # type: ignore[attr-defined]

    def open(cls: type[Style], /, folder: Path, **arguments: Any) -> Style:
        opened.append(folder.name)
        style: Style = really(cls, folder, **arguments)
        return style

    monkeypatch.setattr(Style, "open", classmethod(open))
    return opened


def test_a_style_is_loaded_at_first_use_and_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = counted(monkeypatch)
    registry = Registry.load(folder)
    list(registry)
    assert opened == []
    assert registry.open("great-wave") is registry.open("great-wave")
    assert registry.open("starry-night") is not registry.open("great-wave")
    assert opened == ["great-wave", "starry-night"]


def test_threads_that_ask_at_once_share_one_loading(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = counted(monkeypatch)
    registry = Registry.load(folder)
    barrier, styles = threading.Barrier(6), []

    def ask(id: str) -> None:
        barrier.wait()
        styles.append(registry.open(id))

    threads = [threading.Thread(target=ask, args=(id,)) for id in ["great-wave", "starry-night"] * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(opened) == ["great-wave", "starry-night"]
    assert len(styles) == 6 and len(set(map(id, styles))) == 2


def test_the_style_used_longest_ago_is_let_go(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "KEPT", 2)
    [wave, _] = Registry.load(folder)
    registry = Registry(tuple(wave.model_copy(update={"id": id}) for id in ("first", "second", "third")))
    opened = counted(monkeypatch)
    first, second = registry.open("first"), registry.open("second")
    assert registry.open("first") is first
    registry.open("third")
    assert len(opened) == 3
    assert registry.open("first") is first
    assert registry.open("second") is not second
    assert len(opened) == 4


def test_a_failure_is_not_kept(tmp_path: Path) -> None:
    style = make_style(tmp_path / "styles" / "great-wave")
    sha256 = hashlib.sha256((style / WEIGHTS).read_bytes()).hexdigest()
    registry = Registry.load(write(tmp_path, entry(sha256=sha256)))
    good = (style / WEIGHTS).read_bytes()
    (style / WEIGHTS).write_bytes(good[:-1])
    assert "cut short" in refusal(tmp_path, lambda _: registry.open("great-wave"), WeightsError)
    (style / WEIGHTS).write_bytes(good)
    assert registry.open("great-wave").title == "The Great Wave"


def test_entries_are_data(folder: Path) -> None:
    [wave, _] = Registry.load(folder)
    assert wave.model_dump()["tags"] == ("ukiyo-e", "sea")
    with pytest.raises(ValueError, match="frozen"):
        wave.title = "Other"
    assert isinstance(wave, Entry) and (folder / "styles" / "great-wave" / CARD).exists()


def test_what_was_withdrawn_is_explained_and_not_shown(folder: Path, tmp_path: Path) -> None:
    gone = entry(
        id="gone", title="Gone", path=str(folder / "styles" / "great-wave"), withdrawn="Its artist asked us to."
    )
    registry = Registry.load(write(folder, gone))
    assert (
        "gone" not in registry
        and list(registry) == []
        and len(registry) == 0
        and [item.id for item in registry.entries] == ["gone"]
    )
    for call in (registry.open, registry.__getitem__):
        with pytest.raises(RegistryError) as caught:
            call("gone")
        assert str(caught.value) == "Gone was withdrawn from the gallery: Its artist asked us to."
    assert refusal("gon", registry.open) == "There is no style 'gon'; the registry has none."


def test_what_is_blocked_is_not_asked_for(tmp_path: Path) -> None:
    pinned = entry(id="pinned", path=None, repo="eve/wave", revision=REVISION)
    everything = {"repo": "Eve/Wave", "reason": "Not hers."}
    registry = Registry.load(write(tmp_path, pinned, blocked=[everything]))
    for ref in ("eve/wave", f"eve/wave@{REVISION}", "eve/wave@main", "pinned"):
        assert refusal(ref, registry.open) == "eve/wave is blocked by this registry: Not hers."
    done = nst("check", "eve/wave", "--registry", tmp_path)
    assert (done.returncode, done.stderr) == (1, "eve/wave is blocked by this registry: Not hers.\n")
    assert list(registry) == [] and "pinned" not in registry
    assert refusal("pinned", registry.__getitem__) == "eve/wave is blocked by this registry: Not hers."
    text = (tmp_path / "registry.yaml").read_text()
    with pytest.raises(RegistryError, match="eve/wave is blocked by this registry"):
        add_entry(text, Entry.model_validate(entry(id="again", path=None, repo="eve/wave", revision=REVISION)))
    one = {"repo": "eve/wave", "revision": REVISION, "reason": "Broken"}
    registry = Registry.load(write(tmp_path, blocked=[one]))
    assert registry.why_blocked("eve/wave", REVISION) == "Broken"
    assert registry.why_blocked("eve/wave") is registry.why_blocked("eve/waves", REVISION) is None
    assert "should have" not in refusal(f"eve/wave@{REVISION}", registry.open)
    assert "'blocked.0.reason'" in refusal(write(tmp_path, blocked=[{"repo": "eve/wave"}]))


@pytest.mark.parametrize(
    "text",
    [
        "version: 1\nstyles: []\n",
        "# Ours\nversion: 1\nstyles: []  # none yet\nblocked: []\n",
        "version: 1\nstyles:\n- {id}\n".format(
            id="id: a\n  title: A\n  artist: A\n  license: mit\n  tags: []\n  path: a\n  sha256: " + SHA256
        ),
        "version: 1\nstyles:\n    # one\n    - id: a\n      title: A  # a remark\n      artist: A\n      license: m\n"
        f"      tags: []\n      path: a\n      sha256: {SHA256}\n\nblocked:\n- repo: a/b\n  reason: R\n",
        f"styles: [{{id: a, title: A, artist: A, license: mit, tags: [], path: a, sha256: {SHA256}}}]\nversion: 1",
        "{version: 1, styles: []}",
        "{version: 1, styles: !!seq []}",
        *(
            f"version: 1\nstyles: {marked}\n  # - one\n  -  # - it\n    {known}\nblocked: []\n"
            for marked in ("!!seq", "&all")
            for known in [json.dumps(entry(id="known"))]
        ),
        '{"version": 1, # ours\n "styles": [\n'
        f"  {{id: a, title: A, artist: A, license: mit, tags: [], path: a, sha256: {SHA256}}},  # one\n]}}\n",
    ],
)
def test_an_entry_is_added_and_all_else_stays(text: str, tmp_path: Path) -> None:
    before = Registry.parse(text, tmp_path / "registry.yaml")
    new = Entry.model_validate(entry(path=None, repo="ada/wave", revision=REVISION))
    added = add_entry(text, new)
    after = Registry.parse(added, tmp_path / "registry.yaml")
    assert after.entries == (*before.entries, new)
    assert re.findall("#.*", added) == re.findall("#.*", text)
    assert ("blocked" in added) == ("blocked" in text) and after.why_blocked("a/b") == before.why_blocked("a/b")
    with pytest.raises(RegistryError, match="already has a style 'great-wave'"):
        add_entry(added, new.model_copy(update={"repo": "eve/wave"}))
    with pytest.raises(RegistryError, match=r"^ada/wave is in the registry already, as 'great-wave': its main"):
        add_entry(added, new.model_copy(update={"id": "wave"}))
    with pytest.raises(RegistryError, match=r"^Ada/WAVE is in the registry already, as 'great-wave': its main"):
        add_entry(added, new.model_copy(update={"id": "wave", "repo": "Ada/WAVE"}))


def test_what_is_written_above_the_next_section_stays_there() -> None:
    known = json.dumps(entry(id="known"))
    text = f"version: 1\nstyles:\n  - {known}\n  # the last of ours\n\n# Not theirs:\n# ask first\nblocked: []\n"
    added = add_entry(text, Entry.model_validate(entry(path=None, repo="ada/wave", revision=REVISION)))
    assert added.startswith(text.partition("\n\n")[0] + "\n  - id: great-wave\n")
    assert added.endswith("\n\n# Not theirs:\n# ask first\nblocked: []\n")


@pytest.mark.parametrize("styles", ["[]", "[]  # none yet", "\n  - {}"])
def test_an_added_entry_reads_as_a_person_would_write_it(styles: str) -> None:
    known = json.dumps(entry(id="known"))
    new = Entry.model_validate(entry(path=None, repo="ada/wave", revision=REVISION, title="神奈川沖浪裏"))
    added = add_entry(f"version: 1\nstyles: {styles.format(known)}\n", new)
    assert "\n  - id: great-wave\n    title: 神奈川沖浪裏\n    artist: Katsushika Hokusai\n" in added
    in_brackets = add_entry(f"{{version: 1, styles: [{known}]}}", new)
    assert '"id": "great-wave", "title": "神奈川沖浪裏", "artist": "Katsushika Hokusai"' in in_brackets
