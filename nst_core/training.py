"""Training a transformation network on one painting: Johnson et al. 2016, as a generator of steps."""

import hashlib
import json
import logging
import math
import os
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from nst_core.architectures import ARCHITECTURES
from nst_core.checkpoint import load_checkpoint
from nst_core.errors import NSTError, check_number, one_line
from nst_core.features import FeatureNetwork, feature_network, fingerprint
from nst_core.files import replacing
from nst_core.images import (
    PHOTO_SUFFIXES,
    PictureError,
    Source,
    fit,
    is_photograph,
    open_picture,
    read_file,
    to_picture,
    to_tensor,
)
from nst_core.layers import lay_out
from nst_core.losses import LossTerms, PerceptualLoss, open_painting, style_target
from nst_core.modes import OwnNumbers, own_modes, unaffected
from nst_core.muon import Muon
from nst_core.precision import fast_bfloat16
from nst_core.processes import Processes, is_first
from nst_core.recipe import Recipe, check_recipe
from nst_core.style import WEIGHTS, Style, check_style
from nst_core.stylization import MIN_SIDE
from nst_core.text import few, quoted

logger = logging.getLogger(__name__)

SMALLEST_PHOTO = 32  # pixels: a smaller one, enlarged to a crop, holds nothing to learn from


class TrainingError(NSTError):
    """A training that cannot start or go on."""


@dataclass(frozen=True)
class TrainingStep:
    """What one step of ``train`` yields; the losses are means over the batch, weights applied."""

    step: int
    """From 1."""
    total: float
    content: float
    """In the first steps, which learn to reproduce photographs, the mean squared error."""
    style: float
    """0 in those first steps, as is the total variation."""
    total_variation: float
    learning_rate: float
    """Muon's in this step, see ``Recipe.rate_at``."""
    seconds: float
    """Of work since the training began, without the time between an interruption and its resumption."""


class Photographs(Dataset[Tensor]):
    """Random squares (3, crop, crop), RGB in 0–1, one for each photograph of each step of a recipe.

    They are cut from the photographs in a folder and its subfolders. Subfolders that are hidden, are a style's, or hold
    what a training draws as it runs are left out.
    Sample i is the same whenever it is asked for: that is what makes a resumed training equal an uninterrupted one.
    Photographs that cannot be read, or are under 32 px, are passed over with a message.

    Raises:
        TrainingError: the folder has no photograph, or none that can be read.
    """

    def __init__(self, folder: str | Path, recipe: Recipe, *, without: Path | None = None) -> None:
        """Pictures in the folder ``without``, if that lies in ``folder``, are left out."""
        self.recipe = recipe
        if not isinstance(folder, str | os.PathLike) or not os.path.isdir(folder):
            raise TrainingError(f"There is no folder {folder}; name one that holds photographs to train on.")
        self.folder = Path(folder)
        self.paths = sorted(_pictures(self.folder, without and without.resolve()))
        if not self.paths:
            raise TrainingError(f"The folder {folder} holds no photographs ({', '.join(sorted(PHOTO_SUFFIXES))}).")
        self.skipped: set[Path] = set()

    def __len__(self) -> int:
        return self.recipe.steps * self.recipe.batch_size

    def __getitem__(self, index: int) -> Tensor:
        epoch, position = divmod(index, len(self.paths))
        shuffled = _generator(self.recipe.seed, epoch)
        order = torch.randperm(len(self.paths), generator=shuffled, device="cpu").tolist()
        drawn = _generator(self.recipe.seed, epoch, position)
        zoom, across, down = torch.rand(3, generator=drawn, dtype=torch.float32, device="cpu").tolist()
        side = self.recipe.crop
        short = side * (1 + (self.recipe.zoom - 1) * zoom)
        # Twice as large as it will be, so that a decoder's coarse reduction does not show.
        candidates = [self.paths[place] for place in order[position:] + order[:position]]
        picture = self.first_readable(candidates, at_least=math.ceil(2 * short))
        picture = fit(picture, math.ceil(max(picture.size) * short / min(picture.size)))
        left, top = round(across * (picture.width - side)), round(down * (picture.height - side))
        return to_tensor(picture.crop((left, top, left + side, top + side)))[0] / 255

    def names(self) -> list[str]:
        """The photographs' paths in the folder, with / between their parts."""
        return [path.relative_to(self.folder).as_posix() for path in self.paths]

    def take(self, names: list[str]) -> None:
        """Keep only these of ``names()``: those of an interrupted training, not any added since.

        Raises:
            TrainingError: some are gone.
        """
        there = dict(zip(self.names(), self.paths, strict=True))
        if gone := [name for name in names if name not in there]:
            raise TrainingError(f"The training began with photographs that are gone: {few(gone)}; put them back.")
        self.paths = [there[name] for name in names]

    def first_readable(self, paths: list[Path], at_least: int | None = None) -> Image.Image:
        """The first of the photographs that can be learned from, perhaps reduced, see ``open_picture``.

        Raises:
            TrainingError: there is none.
        """
        for path in paths:
            try:
                picture = open_picture(path, at_least=at_least)
                if min(picture.size) < SMALLEST_PHOTO:
                    raise PictureError(
                        f"{path.name} is {picture.width} × {picture.height} pixels, too small to learn from."
                    )
            except PictureError as error:
                if path not in self.skipped:
                    logger.warning("Skipped: %s", error)
                    self.skipped.add(path)
                continue
            return picture
        raise TrainingError(f"No photograph in the folder {quoted(self.folder)} could be read.")


def _pictures(folder: Path, without: Path | None) -> Iterator[Path]:
    """The photographs in a folder and its subfolders, except those that ``Photographs`` leaves out."""
    for place, inside, files in os.walk(folder):
        here = Path(place)
        yield from (here / file for file in files if is_photograph(here / file))
        inside[:] = [name for name in inside if not name.startswith(".") and not _is_left_out(here / name, without)]


def _is_left_out(folder: Path, without: Path | None) -> bool:
    """Whether a folder is ``without``, a style's, or one where a training draws as it runs."""
    drawn = ("losses.csv", "checkpoint.pt") if folder.name == "training" else ()
    return folder.resolve() == without or any(os.path.exists(folder / file) for file in (WEIGHTS, *drawn))


def perceptual_loss(recipe: Recipe, features: FeatureNetwork, painting: Image.Image) -> PerceptualLoss:
    """The loss that a recipe minimises; the painting is RGB or RGBA, of any size, and transparent parts do not count.

    Raises:
        LossError, FeaturesError: there is no such convention or layer.
    """
    device = next(features.parameters()).device
    return PerceptualLoss(
        features,
        [style_target(fit(painting, recipe.style_size), device)],
        content_layers={layer: recipe.content_weight * weight for layer, weight in recipe.content_layers.items()},
        style_layers={layer: recipe.style_weight * weight for layer, weight in recipe.style_layers.items()},
        total_variation=recipe.total_variation,
        content_focus=recipe.content_focus,
        convention=recipe.convention,
    )


def check_architecture(id: str) -> None:
    """Refuse an architecture that does not exist.

    Raises:
        TrainingError: it is not in ``ARCHITECTURES``.
    """
    if id not in ARCHITECTURES:
        raise TrainingError(f"There is no architecture {quoted(id)}: choose one of {', '.join(ARCHITECTURES)}.")


@torch.inference_mode(False)
def new_network(recipe: Recipe, start: Style | None = None) -> nn.Module:
    """The network that a recipe is to train: random by its seed, or a copy of a style's.

    Raises:
        RecipeError: as ``check_recipe``.
        TrainingError: there is no such architecture, or the style is of another.
    """
    check_recipe(recipe)
    check_architecture(recipe.architecture)
    with torch.device("cpu"), OwnNumbers(recipe.seed):  # with another type, the same seed gives other numbers
        network = ARCHITECTURES[recipe.architecture].network().float()
    if start is not None:
        check_style(start)
        if start.architecture.id != recipe.architecture:
            raise TrainingError(
                f"{start.id} is a {start.architecture.id} network, but a {recipe.architecture} one is to be trained."
            )
        network.load_state_dict(start.network.state_dict())
    return network


@torch.inference_mode()
def painted(network: nn.Module, photo: Image.Image) -> Image.Image:
    """Repaint a photograph, RGB, with a network in training, as its finished style will."""
    seen = to_tensor(photo).to(next(network.parameters()).device)
    down, across = (max(0, MIN_SIDE - side) for side in seen.shape[2:])
    trains = network.training
    try:
        output = network.eval()(F.pad(seen, (0, across, 0, down), mode="replicate"))
    finally:
        network.train(trains)
    return to_picture(output[..., : photo.height, : photo.width].cpu())


@own_modes()
def train(
    recipe: Recipe,
    style_image: Source,
    photos: str | Path,
    network: nn.Module,
    features: FeatureNetwork | str | Path,
    checkpoint: str | Path | None = None,
    *,
    resume: bool = False,
    checkpoint_every: int = 100,
    should_stop: Callable[[], bool] = lambda: False,
) -> Generator[TrainingStep, None, None]:
    """Train ``network`` in place, one ``TrainingStep`` at a time; stop asking and it stops.

    The network takes and returns (B, 3, H, W), RGB in 0–255, and is moved to the device. ``style_image`` is a painting
    as ``open_picture`` takes it, ``photos`` a folder with photographs, which may be in subfolders, and ``features`` a
    feature network, or what ``load_features`` takes.

    First the network learns to reproduce photographs (mean squared error; the ``content`` of those steps). Then it
    minimises, over photographs x, ℓ(f(x)) = content + style + total variation (Johnson et al. 2016, section 3) with
    Muon. It trains on CUDA if there is one, and convolutions run in bfloat16 where the CPU or GPU is built for it.

    Every ``checkpoint_every`` steps and at the end the whole state is saved as ``checkpoint``, if that is given; with
    ``resume`` it is read from there, and the losses are the same as without the interruption. ``should_stop`` is called
    after every step; if it returns True, the checkpoint is written, and the training stops there.

    Arguments are checked at once, the checkpoint with the first step.

    The processes that ``accelerate launch`` or ``torchrun`` started share each batch, on a GPU each if there are some,
    and one of them writes: the losses are those of one process, whatever their number.

    Raises:
        ProcessesError: the processes cannot share a batch equally, or accelerate is not installed.
        RecipeError: as ``check_recipe``.
        TrainingError: there is nothing to train in float32, or to train on; the checkpoint is of another training, or
            is there without ``resume``, or is not given with it; the losses are no longer numbers, or the output has
            become one flat colour.
        PictureError: the painting cannot be read.
        LossError, FeaturesError: the painting is completely transparent, the recipe asks for a convention or a layer
            that does not exist, or ``load_features`` refuses the features.
    """
    check_recipe(recipe)
    if not isinstance(network, nn.Module):
        raise TrainingError(f"A network to train is what new_network(recipe) gives, not {one_line(network)}.")
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise TrainingError(
            "The network is frozen, as a style's is: what new_network(recipe, style) gives can be trained."
        )
    if any(parameter.dtype != torch.float32 for parameter in network.parameters()):
        raise TrainingError("The network should be in float32: convert it with network.float().")
    checkpoint = Path(checkpoint) if checkpoint else None
    if resume and not checkpoint:
        raise TrainingError("Resuming takes the checkpoint to continue from: give its file.")
    every = check_number(TrainingError, "steps from checkpoint to checkpoint", checkpoint_every, 1, whole=True)
    run = _Run(recipe, style_image, photos, network, features, checkpoint)
    return run.steps(resume, every, should_stop)


class _Run:
    """One run of a training: what stays the same in all its steps."""

    def __init__(
        self,
        recipe: Recipe,
        style_image: Source,
        photos: str | Path,
        network: nn.Module,
        features: FeatureNetwork | str | Path,
        checkpoint: Path | None,
    ) -> None:
        self.recipe, self.network, self.checkpoint = recipe, network, checkpoint
        self.processes = Processes()
        self.device = self.processes.device
        self.share = self.processes.share(recipe.batch_size)
        """Which part of each batch this process works on."""
        features = feature_network(features).to(self.device)
        features.to(memory_format=torch.channels_last)  # type: ignore[call-overload, unused-ignore]
        painting = open_painting(style_image)
        self.loss = perceptual_loss(recipe, features, painting)
        # Pictures that a training writes as it runs are nothing to learn from, and differ after every interruption.
        self.photographs = Photographs(photos, recipe, without=checkpoint and checkpoint.parent)
        self.marks = {"painting": _checksum(style_image, painting), "feature network": fingerprint(features)}

    @unaffected
    def steps(
        self, resume: bool, checkpoint_every: int, should_stop: Callable[[], bool]
    ) -> Generator[TrainingStep, None, None]:
        """Train from the first step, or from the checkpoint's."""
        recipe, network, checkpoint = self.recipe, self.network, self.checkpoint
        lay_out(network.to(self.device).train(), self.device)
        network.zero_grad()  # gradients of an interrupted step may still be there
        optimizer = Muon(network)
        joined = self.processes.joined(network)
        saved = None
        if checkpoint and resume:
            saved = _read_checkpoint(checkpoint)
            self.photographs.take(saved["asked"].get("photographs", []))
        elif checkpoint and os.path.exists(checkpoint):
            raise TrainingError(
                f"A training was begun already, and its checkpoint is {checkpoint}: resume continues it; to start "
                "over, delete it or name another folder."
            )
        settings = self._settings()
        if saved:
            _restore(saved, settings, network, optimizer)
        start, seconds = (saved["step"], saved["seconds"]) if saved else (0, 0.0)
        began = time.perf_counter() - seconds
        for step, batch in enumerate(self._batches(start), start):
            terms, output = self._losses(joined, step, batch.to(self.device, non_blocking=True))
            parts = terms.total, terms.content, terms.style, terms.total_variation, _contrast(output)
            total, content, style, total_variation, contrast = self.processes.mean(
                torch.stack([part.detach().to(self.device) for part in parts])
            ).tolist()
            _check(total, contrast, step)
            terms.total.backward()
            rate = recipe.rate_at(step)
            optimizer.step(rate)
            done, seconds = step + 1, time.perf_counter() - began
            yield TrainingStep(done, total, content, style, total_variation, rate, seconds)
            # After the step is yielded, so that a record of the steps never lacks one that the checkpoint has.
            last = done == recipe.steps or should_stop()
            if checkpoint and is_first() and (last or done % checkpoint_every == 0):
                state = {"network": network.state_dict(), "optimizer": optimizer.state_dict()}
                _save(checkpoint, {"step": done, "seconds": seconds, "asked": settings, **state})
            if last:
                return

    def _settings(self) -> dict[str, Any]:
        """What must be the same to resume it, as plain values: NumPy's text is not, and would not be read back."""
        settings = asdict(self.recipe) | self.marks | {"photographs": self.photographs.names()}
        return json.loads(json.dumps(settings))

    def _batches(self, start: int) -> Iterator[Tensor]:
        """This process's part of each batch from step ``start`` on: (B, 3, crop, crop), RGB in 0–1, on the CPU."""
        size = self.recipe.batch_size
        loader = DataLoader(
            self.photographs,
            batch_sampler=[
                list(range(step * size, (step + 1) * size)[self.share]) for step in range(start, self.recipe.steps)
            ],
            generator=torch.Generator(),  # or it would draw a seed from the program's
            num_workers=8 if self.device.type == "cuda" else 0,
            persistent_workers=self.device.type == "cuda",
        )
        with torch.device("cpu"):  # it draws a seed on the default device, and its generator is on the CPU
            batches = iter(loader)
        try:
            yield from batches
        except TrainingError as error:  # a worker's has a traceback as its message, which ends with the sentence
            raise TrainingError(str(error).rpartition(f"{TrainingError.__name__}: ")[2].strip()) from error

    def _losses(self, network: nn.Module, step: int, batch: Tensor) -> tuple[LossTerms, Tensor]:
        """A step's losses, and the network's output, (B, 3, crop, crop), about in 0–1."""
        recipe = self.recipe
        # On the CPU, so that a seed gives the same noise on every device.
        whole = recipe.batch_size, *batch.shape[1:]
        drawn = _generator(recipe.seed, step)
        grain = torch.randn(whole, generator=drawn, dtype=torch.float32, device="cpu")[self.share].to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=fast_bfloat16(self.device)):
            output = network(255 * batch + recipe.noise * grain)[..., : recipe.crop, : recipe.crop] / 255
            if step >= recipe.reconstruction_steps:
                return self.loss(output, self.loss.content_targets(batch)), output
            error = (output.float() - batch).square().mean()
            return LossTerms(error, error, error.new_zeros(()), error.new_zeros(()), {}), output


def _checksum(source: Source, painting: Image.Image) -> str:
    """A painting's checksum: of its file, or if it has none, of its size and pixels."""
    if isinstance(source, str | os.PathLike):
        content = read_file(Path(source))
    else:
        content = f"{painting.mode} {painting.size}".encode() + painting.tobytes()
    return hashlib.sha256(content).hexdigest()


def _contrast(output: Tensor) -> Tensor:
    """Standard deviation of an output, clamped to 0–1."""
    return output.detach().float().clamp(0, 1).std()


def _check(total: float, contrast: float, step: int) -> None:
    """Raise a TrainingError when there is nothing left to train."""
    if not math.isfinite(total):
        raise TrainingError(f"The losses stopped being numbers at step {step + 1}; try a lower learning rate.")
    if step >= 100 and contrast < 0.004:
        raise TrainingError(f"The output is one flat colour at step {step + 1}; try a lower learning rate.")


def _generator(*seeds: int) -> torch.Generator:
    """A generator of its own for each tuple of seeds."""
    seed = 0
    for value in seeds:
        seed = (seed * 1_000_003 + value + 1) % 2**63
    return torch.Generator().manual_seed(seed)


def _save(path: Path, state: dict[str, object]) -> None:
    """Replace a checkpoint at once or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as new:
            torch.save(state, new)
    except (OSError, RuntimeError) as error:
        raise TrainingError(
            f"The checkpoint could not be written to {path} ({error}); the one before it is intact."
        ) from error


def is_complete(checkpoint: Path) -> bool:
    """Whether the training of a checkpoint has made all its steps.

    Raises:
        TrainingError: it cannot be read.
    """
    saved = _read_checkpoint(checkpoint)
    return bool(saved["step"] == saved["asked"].get("steps"))


def _read_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a checkpoint."""
    if not os.path.exists(path):
        raise TrainingError(f"There is no checkpoint {path} to resume from: start without resuming.")
    try:
        state = load_checkpoint(path)
        # Earlier versions did not save the seconds.
        known = {"step": int(state["step"]), "seconds": float(state.get("seconds", 0))}
        return state | known | {"asked": dict(state["asked"])}
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise TrainingError(f"The checkpoint {path} cannot be read; delete it to start over.") from error


def _restore(saved: dict[str, Any], settings: dict[str, Any], network: nn.Module, optimizer: Muon) -> None:
    """Load a checkpoint's weights, if it was made with the same settings."""
    before: dict[str, Any] = saved["asked"]
    if changed := sorted(name for name, value in settings.items() if before.get(name) != value):
        numbers = {one.name for one in fields(Recipe) if isinstance(before.get(one.name), int | float)}
        words = [f"{name} {before[name]}" if name in numbers else f"another {name}" for name in changed]
        raise TrainingError(f"The checkpoint was made with {', '.join(words)}; resume with the same.")
    try:
        network.load_state_dict(saved["network"])
        optimizer.load_state_dict(saved["optimizer"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise TrainingError(
            "The checkpoint was made by another version of nst_core; delete it to start over."
        ) from error
