"""What a training leaves in its folder: losses as CSV and as a picture, samples, and at the end the style."""

import csv
import hashlib
import math
import os
import platform
import shlex
import statistics
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, fields
from importlib.util import find_spec
from pathlib import Path

import torch
from PIL import Image
from torch import nn

from nst_core.architectures import Architecture
from nst_core.files import locked
from nst_core.history import HistoryWriter
from nst_core.images import fit, save_picture
from nst_core.recipe import Recipe
from nst_core.style import MAX_BYTES, PREVIEW_SIZE, Card, StyleConfig, write_style
from nst_core.text import count, plain, quoted
from nst_core.training import TrainingError, TrainingStep, is_complete, painted

MEASURED_STEPS = 100
"""How many of the last steps, except for reconstruction, the losses in ``config.json`` are averaged over."""
MAX_LINE = 1000
"""The most characters of a name, or of the painting's description, that a style tells."""
COLUMNS = [field.name for field in fields(TrainingStep)]
LOSSES = ("total", "content", "style", "total_variation")


class TrainingFolder:
    """The folder of one training; the style's own four files appear in it when the training is done.

    ``training/`` in it holds ``losses.csv``, ``losses.png``, ``sample-….webp`` and the checkpoint.
    """

    def __init__(self, folder: Path, painting: Path, sample: Image.Image) -> None:
        """``sample`` is a photograph to show progress and preview on.

        Raises:
            TrainingError: the painting cannot be read, the folder cannot be made, or matplotlib is not installed.
        """
        if find_spec("matplotlib") is None:
            raise TrainingError('Training draws its losses with matplotlib: pip install "nst-core[train]" installs it.')
        # For the style's files: the painting's own may be gone when the training is done.
        self.painting = plain(painting.name, MAX_LINE)
        try:
            self.painting_sha256 = hashlib.sha256(painting.read_bytes()).hexdigest()
        except OSError as error:
            raise TrainingError(f"The painting {quoted(painting.name)} cannot be read: {error.strerror}.") from error
        self.folder = folder
        self.working = folder / "training"
        self.checkpoint = self.working / "checkpoint.pt"
        self.losses = self.working / "losses.csv"
        self.sample = fit(sample.convert("RGB"), PREVIEW_SIZE)
        try:
            self.working.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TrainingError(f"The folder {folder} cannot be created: {error.strerror}.") from error

    def is_finished(self) -> bool:
        """Whether its training has made all steps, and the folder is a style.

        Raises:
            TrainingError: there is no checkpoint, or it cannot be read.
        """
        return is_complete(self.checkpoint) and all(os.path.exists(self.folder / file) for file in MAX_BYTES)

    def record(self, steps: Iterator[TrainingStep], *, resume: bool) -> Iterator[TrainingStep]:
        """Pass the steps on and write each one's losses to ``losses.csv``; a resumed file is continued.

        Raises:
            NSTError: the file cannot be written.
            TrainingError: another training is running in the folder.
        """
        with self._alone():
            # A training goes on even if its losses were lost.
            history = HistoryWriter(self.losses, COLUMNS, resume=resume and bool(self._losses()))
            for step in steps:
                history.write(asdict(step))
                yield step

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other trainings out of the folder."""
        lock = self.working / ".lock"  # the other files may be replaced by new ones, which nobody has locked
        busy = TrainingError(
            f"Another training is running in the folder {quoted(self.folder)}: wait for its end, or name another "
            "folder."
        )
        with ExitStack() as held:
            try:
                lock.touch()
                held.enter_context(locked(lock, busy))
            except OSError as error:
                raise TrainingError(f"The folder {self.working} cannot be written to: {error.strerror}.") from error
            yield

    def show(self, network: nn.Module, step: int) -> Image.Image:
        """Repaint the sample, save it as ``sample-<step>.webp``, draw the loss curves; returns the repainted sample."""
        picture = painted(network, self.sample)
        save_picture(picture, self.working / f"sample-{step:06d}.webp")
        self._draw_losses()
        return picture

    def finish(
        self,
        network: nn.Module,
        architecture: Architecture,
        recipe: Recipe,
        *,
        features: str,
        warm_start: str | None,
        registry: str | None = None,
        title: str,
        artist: str,
        painting: str,
        license: str,
        tags: tuple[str, ...],
    ) -> None:
        """Write the style: card, configuration with every hyper-parameter, weights, preview.

        If the training ended before ``recipe.steps``, they say so.

        Raises:
            StyleError: the folder cannot be written.
            WeightsError: the weights are not finite in half precision.
        """
        # File names and words of a command line need not be valid text.
        title, artist, painting = plain(title), plain(artist), plain(painting, MAX_LINE)
        features, warm_start = plain(features, MAX_LINE), warm_start and plain(warm_start, MAX_LINE)
        registry = registry and plain(registry, MAX_LINE)
        training = {
            **asdict(recipe),
            "features": features,
            "warm_start": warm_start,
            "style_image": self.painting,
            "style_image_sha256": self.painting_sha256,
            "torch": torch.__version__.split("+")[0],
            "python": platform.python_version(),
        }
        losses = self._losses()
        # They may be lost if a training is resumed with no step left to make.
        done = int(losses[-1]["step"]) if losses else recipe.steps
        if done < recipe.steps:
            training["stopped_after"] = done
        measured = [row for row in losses if row["step"] > recipe.reconstruction_steps][-MEASURED_STEPS:]
        metrics = {
            f"training_{name}": round(statistics.fmean(row[name] for row in measured), 5) for name in LOSSES if measured
        }
        folder = Path(os.path.abspath(self.folder)).name
        again = training_command(recipe, self.painting, folder, features, warm_start, registry)
        write_style(
            self.folder,
            network_state=network.state_dict(),
            config=StyleConfig(
                architecture=architecture.id,
                architecture_version=architecture.version,
                training=training,
                metrics=metrics,
            ),
            card=Card(
                title=title,
                artist=artist,
                license=license,
                tags=tags,
                text=card_text(title, artist, painting, recipe, done, len(measured), metrics) + reproduction(again),
            ),
            preview=self.show(network, done),
        )

    def _losses(self) -> list[dict[str, float]]:
        """The complete rows of ``losses.csv``; none if it cannot be read."""
        try:
            with self.losses.open(newline="", encoding="utf-8", errors="replace") as file:
                return [dict(zip(COLUMNS, map(float, row), strict=True)) for row in csv.reader(file) if _is_whole(row)]
        except (OSError, csv.Error):
            return []

    def _draw_losses(self) -> None:
        from matplotlib.figure import Figure  # half a second to import, and only training draws

        rows = self._losses()
        if not rows:
            return
        figure = Figure(figsize=(8, 4.5), layout="constrained")
        axes = figure.subplots()
        for name in LOSSES:
            axes.semilogy(
                [row["step"] for row in rows], [row[name] for row in rows], label=name.replace("_", " "), lw=0.8
            )
        axes.set(xlabel="step", ylabel="loss")
        axes.legend()
        figure.savefig(self.working / "losses.png", dpi=120)


def _is_whole(row: list[str]) -> bool:
    """Whether it has a number for each column."""
    try:
        return len(row) == len(COLUMNS) and all(math.isfinite(float(value)) for value in row)
    except ValueError:
        return False


def card_text(
    title: str, artist: str, painting: str, recipe: Recipe, done: int, measured: int, metrics: dict[str, float]
) -> str:
    """A card's text on a training of ``done`` steps; the metrics are means over the last ``measured``."""
    steps, squares = count(recipe.steps, "step"), count(recipe.batch_size, "square")
    steps = steps if done == recipe.steps else f"{done:,} of {steps}"
    after = f"*{title}* by {artist}." if artist else f"*{title}*."
    if painting:
        after += f"\nThe painting: {painting}."
    losses = ""
    if metrics:
        means = f"content {metrics['training_content']:.3f}, style {metrics['training_style']:.3f}"
        losses = f"\nLosses over the last {count(measured, 'step')}: {means}."
    return f"""# {title}

A style for nst-core: a transformation network (Johnson et al. 2016) that repaints a photograph after {after}

```python
from nst_core import Registry, open_picture, stylize

picture = stylize(open_picture("photo.jpg"), Registry.load().open("."))
```

## Training

{steps} of {squares} of {recipe.crop} px; the painting at {recipe.style_size} px;
content weight {recipe.content_weight:g}, content focus {recipe.content_focus:g}, style weight
{recipe.style_weight:g}, total variation {recipe.total_variation:g}. Every hyper-parameter is in `config.json`.{losses}
"""


def training_command(
    recipe: Recipe, style_image: str, folder: str, features: str, warm_start: str | None, registry: str | None = None
) -> list[str]:
    """The words of the command that trains the same again; ``registry`` is the one that has the warm start."""
    words = ["train", style_image, "--photos", "photos/", "-o", folder]
    words += ["--warm-start", warm_start] if warm_start else []
    words += ["--registry", registry] if warm_start and registry else []
    words += ["--features", features] if features != "vgg19" else []
    return words + recipe.options(warm=bool(warm_start))


def reproduction(command: list[str]) -> str:
    """The part of a card that says which command made the style."""
    return f"\n## Reproduce\n\n```sh\npython -m nst_core {shlex.join(plain(word, MAX_LINE) for word in command)}\n```\n"
