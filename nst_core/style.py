"""A style: a folder of card, configuration, weights and preview, opened and checked, or written."""

import os
import re
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError
from safetensors.torch import save
from torch import Tensor, nn

from nst_core.architectures import ARCHITECTURES, MAX_VERSION, VERSIONS, Architecture, Paint
from nst_core.errors import NSTError, one_line
from nst_core.files import real_path
from nst_core.gate import load_network, max_bytes, read_weights
from nst_core.images import Source, fit, open_picture, save_picture
from nst_core.memory import check_memory
from nst_core.modes import FLOAT32_ON_CPU
from nst_core.precision import Precision
from nst_core.progress import Progress
from nst_core.registry import REPO
from nst_core.streaming import quickest_type
from nst_core.text import PlainText, Tags, check_json, explain, few, load_yaml, plain, quoted, read_text

CARD, CONFIG, WEIGHTS, PREVIEW = "README.md", "config.json", "model.safetensors", "preview.webp"
MAX_CARD, MAX_CONFIG, MAX_FRONT_MATTER = 2**20, 2**18, 2**15
"""The most bytes, and characters of a card's front matter: YAML is slow to read."""
MAX_BYTES = {
    CARD: MAX_CARD,
    PREVIEW: 2**23,
    CONFIG: MAX_CONFIG,
    WEIGHTS: max(max_bytes(architecture) for architecture in VERSIONS.values()),
}
"""The four files of a style, and the most bytes that each may have."""
DTYPES = torch.float16, torch.bfloat16, torch.float32
"""Of weights in a file."""
PREVIEW_SIZE = 512
"""Longer side of the preview, in pixels."""
HUB_TAGS = ("style-transfer", "nst-style")
"""Tags that the card of every style has on the Hub, beside its own."""
FRONT_MATTER = re.compile(r"---[ \t\r]*\n(.*?)^---[ \t\r]*$\s*(.*)", re.DOTALL | re.MULTILINE)
"""Matches a card's front matter, and the text after it."""
ADDRESS = re.compile(
    rf"(?:https?:/+)?(?:(?:huggingface|hf)\.co/)?(?:(?:spaces|models)/)?({REPO})(?:/(?:tree|blob)/.*|/*)", re.ASCII
)
"""Matches a repository's address as people paste or write it, or as a ``Path`` has it, which makes / of //; its name
is a group."""

LICENSES = {
    "cc0-1.0": "CC0 1.0: no rights reserved",
    "cc-by-4.0": "CC BY 4.0: name the author",
    "cc-by-sa-4.0": "CC BY-SA 4.0: name the author, share alike",
    "cc-by-nc-4.0": "CC BY-NC 4.0: name the author, not for profit",
    "apache-2.0": "Apache 2.0",
    "mit": "MIT",
    "bsd-3-clause": "BSD, three clauses",
    "openrail": "OpenRAIL",
}
"""Licences of styles that may be published: as the Hub writes them, and in words."""


class StyleError(NSTError):
    """A folder that is not a style, or one that this version cannot open."""


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    file: ClassVar[str]

    def __init__(self, /, **said: Any) -> None:
        try:
            super().__init__(**said)
        except ValidationError as error:
            raise StyleError(explain(error, self.file)) from error


class StyleConfig(_File):
    """``config.json``: what the weights are, and how they were made.

    Raises:
        StyleError: something in it is not as it should be.
    """

    file = CONFIG

    architecture: str
    architecture_version: int = Field(ge=1, le=MAX_VERSION)
    training: dict[str, Any] = {}
    """Every hyper-parameter."""
    metrics: dict[str, Any] = {}
    """Losses at the end of the training, and scores that ``benchmarks/quality.py`` measured, by name."""

    def find_architecture(self) -> Architecture:
        """The plug-in that these weights are for.

        Raises:
            StyleError: there is none, or only an older one.
        """
        newest = ARCHITECTURES.get(self.architecture)
        if newest is None:
            raise StyleError(
                f"{CONFIG} names the architecture {quoted(self.architecture)}, but there are only "
                f"{few(list(ARCHITECTURES))}."
            )
        architecture = VERSIONS.get((newest.id, self.architecture_version))
        if architecture is None:
            raise StyleError(
                f"{CONFIG} asks for version {self.architecture_version} of {newest.id}, but this nst_core knows only "
                f"up to version {newest.version}: a newer nst_core is needed."
            )
        return architecture


class Card(_File):
    """``README.md``: facts about a style as YAML front matter, and a text in Markdown.

    Raises:
        StyleError: something in it is not as it should be.
    """

    file = CARD

    title: PlainText = ""
    artist: PlainText = ""
    license: PlainText = ""
    tags: Tags = ()
    text: str = ""

    def render(self) -> str:
        """The file's text; its front matter also has what the Hub asks of every model."""
        front = {
            "license": self.license,
            "library_name": "nst-core",
            "tags": list(dict.fromkeys(HUB_TAGS + self.tags)),
            "pipeline_tag": "image-to-image",
            "title": self.title,
            "artist": self.artist,
        }
        return f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---\n\n{self.text.strip()}\n"

    @classmethod
    def parse(cls, text: str) -> "Card":
        """The inverse of ``render``; what the front matter lacks is left empty.

        Raises:
            StyleError: the front matter is too long, not YAML, or holds something other than text where text belongs.
        """
        match = FRONT_MATTER.match(text)
        front, text = match.groups() if match else ("", text)
        if len(front) > MAX_FRONT_MATTER:
            raise StyleError(f"The front matter of {CARD} should have at most {MAX_FRONT_MATTER:,} characters.")
        try:
            fields = load_yaml(front) or {}
        except ValueError as error:
            raise StyleError(f"The front matter of {CARD} is not YAML that can be read: {error}.") from error
        if not isinstance(fields, dict):
            raise StyleError(f"The front matter of {CARD} should be lines that read `key: value`.")
        said = {key: value for key, value in fields.items() if key in cls.model_fields and value}
        card = cls(**{**said, "text": text.strip()})
        return card.model_copy(update={"tags": tuple(tag for tag in card.tags if tag not in HUB_TAGS)})


@dataclass(frozen=True, eq=False)
class Style:
    """A style ready to paint: its network takes and returns (N, 3, H, W) of RGB in 0–255, see ``Architecture``."""

    id: str
    """The id of its entry in the registry, ``user/repo@revision`` on the Hub, or its folder's name; never empty."""
    title: str
    artist: str
    license: str
    """As the Hub writes it, such as ``cc0-1.0``; empty if unknown."""
    tags: tuple[str, ...]
    folder: Path
    """Where its files are."""
    config: StyleConfig = field(repr=False)
    architecture: Architecture
    network: nn.Module = field(repr=False)
    """In float32, in evaluation mode, without gradients."""

    _painters: dict[torch.dtype, tuple[list[object], list[np.ndarray], Paint]] = field(
        default_factory=dict, init=False, repr=False
    )
    """The fast painters, by the type they compute in, each with the settings and weights that it was made from."""

    def __getstate__(self) -> dict[str, Any]:
        # A copy, or another process, makes its own fast painters: pickled, they are six times as large as the style.
        return {**vars(self), "_painters": {}}

    @property
    def device(self) -> torch.device:
        """Where its network computes."""
        return self._sample.device

    @property
    def _sample(self) -> Tensor:
        """A tensor of its network's type, on its network's device."""
        return next(self.network.parameters(), torch.empty(0, **FLOAT32_ON_CPU))

    @property
    def bytes_per_pixel(self) -> int:
        """About the most memory, in bytes, that painting on a CPU takes for each pixel of the photograph."""
        return 160 if self.architecture.fast else 500

    def painter(self, precision: Precision = "auto") -> Paint:
        """The fastest way to paint with the network on this machine; with "exact", the fastest in float32.

        It paints with the weights as they are now: they are compared each time, which takes a millisecond for a johnson
        network. A network with forward hooks, or with a ``forward`` of its own, is run itself, layer by layer; but
        layers that were replaced by others, with tensors of the same names, go unnoticed.
        """
        changed = any(
            layer._forward_hooks or layer._forward_pre_hooks or "forward" in vars(layer)
            for layer in self.network.modules()
        )
        if self.architecture.fast is None or self.device.type != "cpu" or changed:
            return self._paint_at_once
        dtype = quickest_type() if precision == "auto" else torch.float32
        # A fast painter holds copies of the weights: if a training has changed those, it is made again. Neither address
        # nor version of a tensor tells: fused optimizers do not count versions, and inference mode has none.
        settings = [getattr(layer, "eps", None) for layer in self.network.modules()]
        tensors = self.network.state_dict().values()
        settings += [tensor.dtype for tensor in tensors]
        # By NumPy, whose single thread waits for no other on a busy CPU.
        weights = [tensor.float().numpy() for tensor in tensors]
        made_with, made_of, paint = self._painters.get(dtype, ([], [], None))
        if paint is None or made_with != settings or not all(map(np.array_equal, made_of, weights)):
            copies = [array.copy() for array in weights]
            paint = self.architecture.fast(self.network, dtype)
            self._painters[dtype] = settings, copies, paint
        return paint

    def _paint_at_once(self, photo: Tensor, progress: Progress | None) -> Tensor:
        height, width, _ = photo.shape
        if self.device.type == "cpu":
            check_memory(self.bytes_per_pixel * height * width, f"paint {width} × {height} px")
        with torch.inference_mode():
            painted = self.network(photo.permute(2, 0, 1)[None].to(self._sample))
        if painted.shape[-2] < height or painted.shape[-1] < width:
            given = f"{painted.shape[-1]} × {painted.shape[-2]} px of {width} × {height} px"
            raise NSTError(f"The network of {self.architecture.id} gives {given}: it should give at least as many.")
        pixels = painted[0].permute(1, 2, 0)[:height, :width].round().clamp(0, 255).to("cpu", torch.uint8)
        if progress:
            progress(1.0)
        return pixels

    @classmethod
    def open(cls, folder: str | Path, *, sha256: str | None = None, name: str | None = None) -> "Style":
        """Open, check and load a folder that holds a style.

        ``sha256`` is the hash that the weights must have; ``name`` is the style's name if its card gives none, by
        default its folder's.

        Raises:
            StyleError: the folder is not a style, or its architecture is not known.
            WeightsError: its weights did not pass the gate.
        """
        given, folder = folder, _real(folder)
        name = plain(name or folder.name)
        if os.path.isfile(folder):
            raise StyleError(f"{quoted(name)} is a file: give its folder, with {CONFIG} and {WEIGHTS}.")
        if not os.path.isdir(folder):
            raise no_folder(given, name)
        if missing := [file for file in (CONFIG, WEIGHTS) if not os.path.isfile(folder / file)]:
            raise StyleError(f"{quoted(name)} is not a style: it lacks {' and '.join(missing)}.")
        config, card = read_config(folder), read_card(folder)
        name = name or "style"  # the folder's has nothing visible
        architecture = config.find_architecture()
        return cls(
            id=name,
            title=card.title or name,
            artist=card.artist,
            license=card.license,
            tags=card.tags,
            folder=folder,
            config=config,
            architecture=architecture,
            network=load_network(folder / WEIGHTS, architecture, sha256=sha256),
        )


def no_folder(folder: str | Path, name: str) -> StyleError:
    """The refusal of a folder that is not there; a repository on the Hub may be meant, and be written otherwise."""
    repo = ADDRESS.fullmatch(str(folder))
    or_else = f", or one on the Hub, written as {repo[1]}" if repo else ""
    return StyleError(f"There is no folder {quoted(name)}: a style is a folder with {CONFIG} and {WEIGHTS}{or_else}.")


def check_style(style: object) -> None:
    """Refuse what is not a ``Style``, such as the id or the folder of one.

    Raises:
        StyleError: it is not one.
    """
    if not isinstance(style, Style):
        right = "what Registry.load().open('udnie') gives, or Style.open(folder)"
        raise StyleError(f"A style is {right}, not {one_line(style)}.")


def read_config(folder: Path) -> StyleConfig:
    """A style folder's ``config.json``; what another version of this library wrote beside that is left out.

    Raises:
        StyleError: it cannot be read, or something in it is not as it should be.
    """
    text = read_text(folder / CONFIG, MAX_CONFIG, StyleError)
    try:
        said = TypeAdapter(dict[str, Any]).validate_json(text)
        check_json(text)
    except ValidationError as error:
        raise StyleError(explain(error, CONFIG)) from error
    except ValueError as error:
        raise StyleError(f"{CONFIG} cannot be used: {error}.") from error
    return StyleConfig(**{name: value for name, value in said.items() if name in StyleConfig.model_fields})


def read_card(folder: Path) -> Card:
    """A style folder's card, empty where it has none.

    Raises:
        StyleError: it cannot be read, or something in it is not as it should be.
    """
    file = folder / CARD
    return Card.parse(read_text(file, MAX_CARD, StyleError)) if os.path.isfile(file) else Card()


def tagged(card: str) -> str:
    """A card's text with the tags that the Hub finds styles by; whatever else its front matter says stays."""
    match = FRONT_MATTER.match(card)
    if not match:
        return card
    tags = load_yaml(match[1]).get("tags") or []
    if HUB_TAGS[-1] in tags:
        return card
    return with_facts(card, tags=[*HUB_TAGS, *tags])


def with_facts(card: str, **facts: str | list[str]) -> str:
    """A card's text whose front matter, which may be missing, says these facts; whatever else it says stays."""
    match = FRONT_MATTER.match(card) or FRONT_MATTER.match(Card(text=card).render())
    assert match
    front, new = yaml.compose(match[1]), yaml.compose(yaml.safe_dump(facts, sort_keys=False))
    assert isinstance(new, yaml.MappingNode)
    kept = front.value if isinstance(front, yaml.MappingNode) else []  # there may be comments alone
    new.value = [(key, value) for key, value in kept if key.value not in facts] + new.value
    return f"---\n{yaml.serialize(new, allow_unicode=True)}---\n\n{match[2]}"


def check_new(folder: Path) -> None:
    """Refuse, before any work is done, a folder where a style's files would replace others.

    Raises:
        StyleError: the folder has files with the names of a style's.
    """
    if there := [f"a {file}" for file in MAX_BYTES if os.path.lexists(folder / file)]:
        named = " and ".join(filter(None, (", ".join(there[:-1]), there[-1])))
        raise StyleError(
            f"The folder {quoted(folder)} already has {named}, which a style's own does not replace: move "
            f"{'them' if there[1:] else 'it'} away, or name another folder."
        )


def write_style(
    folder: str | Path,
    *,
    network_state: dict[str, Tensor],
    config: StyleConfig,
    card: Card,
    preview: Source,
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write a style's four files; other files of the folder stay. The preview is reduced to ``PREVIEW_SIZE``.

    All are first completed in a temporary folder inside it. Then a former style's weights are deleted, and the four
    moved into place, the weights last: an interruption leaves the folder as it was, or without the file that makes it a
    style.

    Raises:
        StyleError: one of them is something else, the architecture is not known, the card or ``config.json`` could not
            be read again, or the folder cannot be written.
        WeightsError: the state is not the architecture's, or not finite in ``dtype``.
        PictureError: the preview cannot be read.
    """
    folder = _real(folder)
    _check_parts(network_state, config, card, dtype)
    architecture = config.find_architecture()
    # Copies, as safetensors refuses tensors that share memory.
    weights = {name: tensor.detach().to("cpu", dtype, copy=True).contiguous() for name, tensor in network_state.items()}
    there, shown = os.path.isdir(folder), open_picture(preview)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Not beside the folder, which may be a volume of its own, or the only one that may be written to.
        with tempfile.TemporaryDirectory(prefix=".new-", dir=folder) as temporary:
            new = Path(temporary)
            (new / CARD).write_text(card.render(), encoding="utf-8")
            (new / CONFIG).write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")
            read_card(new), read_config(new)  # as whoever opens it does
            save_picture(fit(shown, min(PREVIEW_SIZE, max(shown.size))), new / PREVIEW)
            (new / WEIGHTS).write_bytes(save(weights))  # save_file's would be readable by its owner alone
            read_weights(new / WEIGHTS, architecture)
            (folder / WEIGHTS).unlink(missing_ok=True)
            for file in (CARD, PREVIEW, CONFIG, WEIGHTS):
                (new / file).replace(folder / file)
    except OSError as error:
        raise StyleError(f"The style {quoted(folder.name)} could not be written: {error.strerror}.") from error
    except UnicodeEncodeError as error:
        character = error.object[error.start]
        raise StyleError(f"{CARD} cannot hold {character!r}, which is not a valid character.") from error
    except PydanticSerializationError as error:
        raise StyleError(
            f"{CONFIG} can hold Python's own numbers, texts, lists and dictionaries alone: {error}."
        ) from error
    finally:
        if not there:
            with suppress(OSError):  # there is something in it
                folder.rmdir()


def _check_parts(network_state: object, config: object, card: object, dtype: object) -> None:
    """Refuse what is something else than ``write_style`` takes under that name."""
    if not isinstance(config, StyleConfig):
        right = "StyleConfig(architecture='johnson', architecture_version=1)"
        raise StyleError(f"The configuration is what {right} gives, not {one_line(config)}.")
    if not isinstance(card, Card):
        raise StyleError(f"The card is what Card(title='A Title') gives, not {one_line(card)}.")
    if not isinstance(network_state, Mapping):
        kind = type(network_state).__name__
        raise StyleError(f"The network's state is what network.state_dict() gives, not a {kind}.")
    for name, tensor in network_state.items():
        if not isinstance(tensor, Tensor) or tensor.is_meta:
            raise StyleError(f"{quoted(name)} in the network's state is no tensor that holds numbers, as each should.")
    if dtype not in DTYPES:
        raise StyleError(f"The weights are written as one of {', '.join(map(str, DTYPES))}, not {one_line(dtype)}.")


def _real(folder: str | Path) -> Path:
    if not isinstance(folder, str | os.PathLike):
        raise StyleError(f"The folder of a style is a path, not {one_line(folder)}.")
    try:
        return real_path(folder)
    except OSError as error:
        raise StyleError(f"{quoted(folder)} cannot be a folder: {error.strerror}.") from error
