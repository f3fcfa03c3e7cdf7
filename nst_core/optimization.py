"""Gatys, Ecker and Bethge 2015: pixels optimised until a picture has the content and the style that were asked for."""

import json
import logging
import math
import time
import zlib
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from nst_core.checkpoint import load_checkpoint
from nst_core.colors import match_colors, match_luminance
from nst_core.errors import NSTError, check_number, one_line
from nst_core.features import FeatureNetwork, feature_network, fingerprint, nearest_layers, numbers_per_pixel
from nst_core.files import replacing
from nst_core.images import (
    Content,
    Source,
    blackened,
    fit,
    fitted_size,
    mask_greys,
    open_picture,
    to_picture,
    to_tensor,
)
from nst_core.losses import ContentTarget, PerceptualLoss, StyleTarget, open_painting, style_target
from nst_core.memory import check_memory
from nst_core.method import METHODS, SIZES, Method, MethodChanges, MethodError
from nst_core.modes import own_modes, unaffected
from nst_core.optimizers import OPTIMIZERS, Point
from nst_core.precision import best_device, fast_bfloat16
from nst_core.stages import Plan, Stage
from nst_core.stylization import BlendColor, blend
from nst_core.text import count

if TYPE_CHECKING:
    from typing_extensions import Unpack

logger = logging.getLogger(__name__)

WINDOW = 10
"""Steps over which saturation is judged."""
THINNEST = 32
"""The least shorter side to which a painting is scaled, in pixels: a convolution after four poolings needs them."""
BYTES_OF_STEP, BYTES_OF_TARGET = 14, 5
"""Approximate bytes of memory per activation of a feature network's convolutions: while the picture is optimised, as
the backward pass needs many of them, and while a painting's style is taken."""


class OptimizationError(NSTError):
    """An optimisation that cannot start or go on."""


@dataclass(frozen=True, eq=False)
class OptimizationState:
    """Where an optimisation stands: enough to go on as if it had never stopped."""

    step: int
    """How many steps there have been."""
    stage: int
    """Number of the stage: the coarse scales come first, and then, at full size, draft, bfloat16 and float32."""
    stage_began: int
    """The step after which this stage began."""
    ended: bool
    """Whether the stage ended with this step: a resumed run begins the next one, or goes on with the last."""
    point: Point = field(repr=False)
    best: Point = field(repr=False)
    """This stage's point with the lowest loss so far."""
    totals: tuple[float, ...] = field(repr=False)
    """The latest total losses of this stage, by which saturation is judged."""
    seconds: float
    """Of work so far."""
    optimizer: list[Any] = field(repr=False)
    """What ``Optimizer.state`` gave."""
    asked: dict[str, Any] = field(repr=False)
    """The run's settings, and marks of its pictures and networks: all must be the same to resume it."""

    def save(self, path: str | Path) -> None:
        """Write it to a file, whole or not at all.

        Raises:
            OptimizationError: it cannot be written.
        """
        try:
            with replacing(Path(path)) as new:
                # Not by asdict, which copies all tensors: the optimiser may remember forty pictures.
                torch.save({**vars(self), "point": vars(self.point), "best": vars(self.best)}, new)
        except (OSError, TypeError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or str(error).rstrip(".")
            raise OptimizationError(f"The state could not be written to {str(path)!r}: {reason}.") from error

    @classmethod
    @torch.inference_mode(False)
    def load(cls, path: str | Path) -> "OptimizationState":
        """Read what ``save`` wrote.

        Raises:
            OptimizationError: it cannot be read, or is something else.
        """
        try:
            state = load_checkpoint(path, best_device())
            return cls(**{**state, "point": Point(**state["point"]), "best": Point(**state["best"])})
        except (OSError, ValueError, TypeError, LookupError) as error:
            raise OptimizationError(f"{str(path)!r} holds no state of an optimisation to continue.") from error


@dataclass(frozen=True, eq=False)
class OptimizationStep:
    """What one step of ``optimize`` yields; the losses are of this step's picture, weights applied."""

    step: int
    """From 1, over all scales."""
    total: float
    content: float
    style: float
    total_variation: float
    layers: dict[str, float] = field(repr=False)
    """Each layer's part, by ``content/conv2_2`` and ``style/conv1_2``."""
    seconds: float
    """Of work since the run began, without the time between an interruption and its resumption."""
    remaining: float
    """Seconds that the remaining steps would take at this stage's pace, or until ``Method.seconds`` are over."""
    progress: float
    """How much of the time is over, 0–1, judged by ``remaining``: it may fall."""
    size: tuple[int, int]
    """Width and height at this scale, in pixels."""
    finished: Literal["saturated", "steps", "time"] | None
    """Why this is the last step, if it is."""
    state: OptimizationState = field(repr=False)
    """To go on from here: ``optimize(…, resume=step.state)``. It holds several pictures."""
    photo: Image.Image = field(repr=False)
    """The content picture at this size; its transparency is the result's."""

    @cached_property
    def picture(self) -> Image.Image:
        """This step's picture."""
        return self._picture(self.state.point)

    @cached_property
    def best(self) -> Image.Image:
        """The picture with the lowest loss of this scale so far."""
        return self._picture(self.state.best)

    def _picture(self, point: Point) -> Image.Image:
        color: BlendColor = "photo" if self.state.asked["color"] == "photo" else "style"
        return blend(self.photo, to_picture(255 * point.picture), color=color)


@own_modes()
def optimize(
    content: Source,
    styles: Source | Sequence[Source],
    method: Method | str = "quick",
    *,
    features: FeatureNetwork | str | Path = "compact",
    weights: float | Sequence[float] | None = None,
    masks: Source | Sequence[Source | None] | None = None,
    start: Source | None = None,
    draft: FeatureNetwork | str | Path | None = None,
    resume: OptimizationState | None = None,
    **changes: "Unpack[MethodChanges]",
) -> Generator[OptimizationStep, None, None]:
    """Optimise a picture, one ``OptimizationStep`` at a time; stop asking and it stops.

    A step holds its state, four pictures in float32 or more: keep its losses and pictures, but not all the steps.

    Args:
        content: the photograph; this and all other pictures are what ``open_picture`` takes, and count as black where
            they are fully transparent.
        styles: a painting, or several.
        method: a ``Method``, or the name of one of ``METHODS``.
        features: a feature network with ``method.pooling``, or what ``load_features`` takes. Layers that it lacks
            are replaced by the nearest of their block; that is logged, as a warning unless they are a preset's.
        weights: of the paintings, or of the only one; equal by default, and scaled to a sum of 1.
        masks: where in the result each painting counts, white on black, of any size; None is everywhere.
        start: a picture to start from, instead of ``method.init``.
        draft: a cheaper feature network, such as ``"compact"``, that brings the picture close before ``features``
            take over; it ends with their losses.
        resume: go on from a step's ``state``: the steps are the same as without the interruption.
        changes: settings of ``Method`` that differ from ``method``'s, such as ``steps=300, seed=0``.

    Raises:
        MethodError: a setting makes no sense.
        OptimizationError: losses are no longer numbers, or the state is of another run or of one that ended.
        NSTError: a picture, a layer or a feature network is refused, or too little memory is free.
    """
    if not isinstance(method, Method):
        if not isinstance(method, str) or method not in METHODS:
            raise MethodError(f"There is no method {one_line(method)}: choose one of {', '.join(METHODS)}.")
        method = METHODS[method]
    if unknown := changes.keys() - {one.name for one in fields(Method)}:
        known = ", ".join(one.name for one in fields(Method))
        raise MethodError(f"A method has no setting {', '.join(sorted(unknown))}; it has {known}.")
    method = replace(method, **changes)
    paintings = _paintings(styles, weights, masks)
    if not isinstance(resume, OptimizationState | None):
        raise OptimizationError(
            f"A run continues from a step's state, or OptimizationState.load(file), not {one_line(resume)}."
        )
    run = _Run(
        method,
        feature_network(features, pooling=method.pooling),
        open_picture(content),
        paintings,
        None if start is None else open_picture(start),
        None if draft is None else feature_network(draft, pooling=method.pooling),
    )
    return run.steps(resume)


@dataclass(frozen=True, eq=False)
class _Painting:
    picture: Image.Image
    weight: float
    mask: Image.Image | None


def _paintings(styles: Any, weights: Any, masks: Any) -> list[_Painting]:
    """What ``optimize`` was given of each painting; the weights are scaled to a sum of 1."""
    styles = _listed(styles)
    if not styles:
        raise MethodError("There is no painting: give at least one.")
    if weights is None:
        weights = [1.0] * len(styles)
    alone = not isinstance(weights, Iterable) or getattr(weights, "ndim", None) == 0  # so is an array of one number
    weights = [weights] if alone else list(weights)
    masks = [None] * len(styles) if masks is None else _listed(masks)
    if not len(styles) == len(weights) == len(masks):
        raise MethodError(
            f"The numbers of paintings, weights and masks should be equal, not {len(styles)}, {len(weights)} and "
            f"{len(masks)}."
        )
    masks = [mask if mask is None else open_picture(mask) for mask in masks]
    if all(mask and not mask_greys(mask).getbbox() for mask in masks):
        raise MethodError("The mask is black all over: it should be white where its painting applies.")
    weights = [check_number(MethodError, "weight of a painting", weight, 0) for weight in weights]
    if not 0 < sum(weights) < math.inf:
        raise MethodError("The paintings' weights should be finite, not negative, and not all 0.")
    return [
        _Painting(open_painting(style), weight / sum(weights), mask)
        for style, weight, mask in zip(styles, weights, masks, strict=True)
    ]


def _listed(pictures: Any) -> list[Any]:
    """The pictures as a list: a single one, even if ``open_picture`` will refuse it, makes a list of one."""
    alone = isinstance(pictures, Image.Image | str | Path | Content | np.ndarray | Tensor) or hasattr(pictures, "read")
    return list(pictures) if isinstance(pictures, Iterable) and not alone else [pictures]


class _Run:
    """One run of the optimisation: what stays the same in all its steps."""

    def __init__(
        self,
        method: Method,
        features: FeatureNetwork,
        content: Image.Image,
        paintings: list[_Painting],
        start: Image.Image | None,
        draft: FeatureNetwork | None,
    ) -> None:
        content_layers = {layer: method.content_weight * part for layer, part in method.content_layers.items()}
        style_layers = {layer: method.style_weight * part for layer, part in method.style_layers.items()}
        # Divided by the largest, as sums of squares times 1e30 exceed float32; the optimisers do not mind the scale.
        self.unit = max([*content_layers.values(), *style_layers.values(), method.total_variation])
        self.total_variation = method.total_variation / self.unit
        weights = {
            kind: {layer: weight / self.unit for layer, weight in layers.items()}
            for kind, layers in (("content", content_layers), ("style", style_layers))
        }
        self.method = method
        self.device = best_device()
        mark, draft_mark = fingerprint(features), draft and fingerprint(draft)
        if mark == draft_mark:
            raise MethodError("The draft is the feature network itself: choose a cheaper one such as compact, or none.")
        networks = {False: features} | ({True: draft} if draft else {})
        for network in networks.values():
            if network.pooling != method.pooling:
                raise MethodError(
                    f"The feature network has {network.pooling} pooling, but the method asks for {method.pooling}: "
                    f"load it with pooling={method.pooling!r}, or give its name."
                )
        self.networks = {
            drafts: network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload, unused-ignore]
            for drafts, network in networks.items()
        }
        # Of two networks that give the same layers, what is lacking is said once.
        given = {drafts: tuple(network.layers) for drafts, network in networks.items()}
        chosen = {layers: _layers(weights, layers) for layers in dict.fromkeys(given.values())}
        self.layers = {drafts: chosen[layers] for drafts, layers in given.items()}
        self.content, self.paintings, self.start = blackened(content), paintings, start
        self.from_noise = start is None and method.init == "noise"
        self.plan = Plan(method, content.size, fast_bfloat16(self.device), draft is not None)
        ends = {"steps", "seconds", "saturation"}
        settings = {name: value for name, value in asdict(method).items() if name not in ends} | {
            "layers": self.layers[False],
            "weights of the paintings": [painting.weight for painting in paintings],
            "photograph or start": [_mark(picture) for picture in (content, start)],
            "paintings or masks": [_mark(picture) for one in paintings for picture in (one.picture, one.mask)],
            "feature network": mark,
            **({"draft network": draft_mark} if draft else {}),
            "draft or precision of this machine": [[stage.draft, stage.exact] for stage in self.plan.stages],
        }
        self._check_memory()
        self.settings: dict[str, Any] = json.loads(json.dumps(settings))  # plain values, as read back from a file

    def _check_memory(self) -> None:
        width, height = fitted_size(self.content.size, self.method.size)
        paintings = (math.prod(self._painting_size(one.picture, self.method.size)) for one in self.paintings)
        numbers = max(map(numbers_per_pixel, self.networks.values()))
        needed = numbers * max(BYTES_OF_STEP * width * height, BYTES_OF_TARGET * max(paintings))
        if self.device.type == "cpu":
            remedy = "a smaller size or strokes" if self.method.style_size > 1 else "a smaller size"
            check_memory(needed, f"optimise {width} × {height} px", remedy)

    def steps(self, resume: OptimizationState | None) -> Generator[OptimizationStep, None, None]:
        """Check the state to resume from, and begin."""
        if resume is not None and resume.asked != self.settings:
            names = self.settings.keys() | resume.asked.keys()
            changed = sorted(name for name in names if resume.asked.get(name) != self.settings.get(name))
            raise OptimizationError(
                f"The state to continue from is that of a run that differs in {', '.join(changed)}."
            )
        if resume and (resume.step >= self.method.steps or resume.seconds >= (self.method.seconds or math.inf)):
            raise OptimizationError(
                f"The run to continue ended after {count(resume.step, 'step')} and {resume.seconds:.1f} s: allow more "
                "steps, or seconds."
            )
        return self._steps(resume)

    @unaffected
    def _steps(self, state: OptimizationState | None) -> Generator[OptimizationStep, None, None]:
        plan, most = self.plan, self.method.seconds or math.inf
        began = time.perf_counter() - (state.seconds if state else 0)
        for number, stage in enumerate(plan.stages):
            last, finest = number + 1 == len(plan.stages), stage.size == plan.stages[-1].size
            if not self._is_left(number, state):
                continue
            photo = fit(self.content, stage.size)
            loss, targets = self._loss(photo, stage)
            optimizer = OPTIMIZERS[self.method.optimizer](self.method.learning_rate)
            evaluate = partial(self._evaluate, loss=loss, targets=targets, exact=stage.exact)
            if state is None or state.stage < number:
                state = self._at_beginning(number, state, photo, evaluate)
            if state.optimizer:
                optimizer.restore(state.optimizer)
            end = plan.end(number, state.stage_began)
            limit = most * (1 - plan.left(number, end, end) / plan.whole())
            entered, resumed_at = time.perf_counter(), state.step
            finished: Literal["saturated", "steps", "time"] | None = None
            while finished is None:
                point = optimizer.step(state.point, evaluate)
                totals = (*state.totals[-WINDOW:], point.total)
                seconds = time.perf_counter() - began
                if point is state.point or self._saturated(totals):
                    finished = "saturated"
                    totals = (point.total,)  # so that a run that is resumed from here makes steps
                elif state.step + 1 >= end:
                    finished = "steps"
                elif seconds >= limit:
                    finished = "time"
                state = replace(
                    state,
                    step=state.step + 1,
                    ended=finished is not None,
                    point=point,
                    best=min(state.best, point, key=lambda one: one.total),
                    totals=totals,
                    seconds=seconds,
                    optimizer=optimizer.state(),
                )
                over = finished if last or (finest and seconds >= most) else None
                pace = (time.perf_counter() - entered) / (state.step - resumed_at) / stage.cost
                left = plan.left(number, state.step, max(end, state.step))
                remaining = 0.0 if over else max(0.0, min(pace * left, most - seconds))
                yield OptimizationStep(
                    step=state.step,
                    total=point.total,
                    content=point.content,
                    style=point.style,
                    total_variation=point.total_variation,
                    layers=point.layers,
                    seconds=seconds,
                    remaining=remaining,
                    progress=seconds / (seconds + remaining),
                    size=photo.size,
                    finished=over,
                    state=state,
                    photo=photo,
                )
                if over:
                    return

    def _is_left(self, number: int, state: OptimizationState | None) -> bool:
        """Whether a stage has steps to make after that state."""
        plan, last = self.plan, number + 1 == len(self.plan.stages)
        if state is None:
            return plan.end(number, 0) > 0  # with very few steps, a stage may have none
        if state.seconds >= (self.method.seconds or math.inf) and plan.stages[number].size < plan.stages[-1].size:
            return False  # one step at full size is still made
        done = number < state.stage or (number == state.stage and state.ended and not last)
        return not done and plan.end(number, state.step) > state.step

    def _at_beginning(
        self, number: int, before: OptimizationState | None, photo: Image.Image, evaluate: Callable[[Tensor], Point]
    ) -> OptimizationState:
        """The state in which a stage begins, from the best picture of the one before if there was one."""
        kept: list[Any] = []
        if before is None:
            picture = self._beginning(photo)
        elif self.plan.stages[number].size == self.plan.stages[before.stage].size:
            picture, kept = before.best.picture, before.optimizer
        else:
            picture = self._enlarged(before.best.picture, photo)
        point = evaluate(picture)
        return OptimizationState(
            step=before.step if before else 0,
            stage=number,
            stage_began=before.step if before else 0,
            ended=False,
            point=point,
            best=point,
            totals=(point.total,),
            seconds=before.seconds if before else 0.0,
            optimizer=kept,
            asked=self.settings,
        )

    def _saturated(self, totals: tuple[float, ...]) -> bool:
        if totals[-1] == 0:
            return True
        return len(totals) > WINDOW and totals[0] - min(totals) < self.method.saturation * totals[0]

    def _tensor(self, picture: Image.Image) -> Tensor:
        return to_tensor(picture).to(self.device) / 255

    def _loss(self, photo: Image.Image, stage: Stage) -> tuple[PerceptualLoss, dict[str, ContentTarget]]:
        """The loss at a stage, and the photograph's activations there."""
        targets = [self._target(painting, photo, stage.size) for painting in self.paintings]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=not stage.exact):
            loss = PerceptualLoss(
                self.networks[stage.draft],
                targets,
                content_layers=self.layers[stage.draft]["content"],
                style_layers=self.layers[stage.draft]["style"],
                total_variation=self.total_variation,
                convention=self.method.convention,
            )
            if self.method.color == "photo":
                photo = photo.convert("L")
            return loss, loss.content_targets(self._tensor(photo))

    def _painting_size(self, painting: Image.Image, size: int) -> tuple[int, int]:
        """Width and height to which a painting is scaled while the picture's longer side is ``size``."""
        shape = min(painting.size) / max(painting.size)
        # At every scale, the deepest layer should see something, unless the painting is a mere line.
        longer = min(math.ceil(THINNEST / shape), SIZES[1])
        return fitted_size(painting.size, max(8, round(size * self.method.style_size), longer))

    def _target(self, painting: _Painting, photo: Image.Image, size: int) -> StyleTarget:
        picture = fit(painting.picture, max(self._painting_size(painting.picture, size)))
        if self.method.color == "photo":
            picture = match_luminance(picture, photo)
        elif self.method.color == "matched":
            picture = match_colors(picture, photo)
        mask = mask_greys(painting.mask).resize(photo.size, Image.Resampling.BOX) if painting.mask else None
        return style_target(picture, self.device, painting.weight, self._tensor(mask)[:, :1] if mask else None)

    def _beginning(self, photo: Image.Image) -> Tensor:
        if self.from_noise:
            generator = torch.Generator().manual_seed(self.method.seed)
            size = 1, 3, photo.height, photo.width
            return torch.rand(size, generator=generator, dtype=torch.float32, device="cpu").to(self.device)
        picture = self.start or (self.paintings[0].picture if self.method.init == "style" else photo)
        return self._tensor(blackened(picture).convert("RGB").resize(photo.size, Image.Resampling.LANCZOS))

    def _enlarged(self, picture: Tensor, photo: Image.Image) -> Tensor:
        """A coarser scale's picture at the photograph's size: the start there, plus the enlarged change so far."""
        enlarged = partial(F.interpolate, size=(photo.height, photo.width), mode="bicubic", antialias=True)
        if self.from_noise:  # all of it is change
            return enlarged(picture).clamp(0, 1)
        change = picture - self._beginning(fit(self.content, max(picture.shape[-2:])))
        return (self._beginning(photo) + enlarged(change)).clamp(0, 1)

    def _evaluate(self, picture: Tensor, loss: PerceptualLoss, targets: dict[str, ContentTarget], exact: bool) -> Point:
        picture = picture.detach().requires_grad_()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=not exact):
            terms = loss(picture.contiguous(memory_format=torch.channels_last), targets)
        (gradient,) = torch.autograd.grad(terms.total, picture)
        losses = torch.stack([terms.total, terms.content, terms.style, terms.total_variation, *terms.layers.values()])
        if not torch.isfinite(gradient).all() or not torch.isfinite(losses).all():
            raise OptimizationError("The losses are no longer numbers: try smaller weights or a lower learning rate.")
        total, content, style, total_variation, *layers = (self.unit * value for value in losses.tolist())
        return Point(
            picture.detach(),
            gradient.contiguous(),
            total,
            content,
            style,
            total_variation,
            layers=dict(zip(terms.layers, layers, strict=True)),
        )


def _layers(wanted: Mapping[str, Mapping[str, float]], given: Sequence[str]) -> dict[str, dict[str, float]]:
    """``nearest_layers`` for content and style; replacements are logged.

    They are a warning if the caller chose the layers, and information if they are a preset's.
    """
    chosen: dict[str, dict[str, float]] = {}
    for kind in ("content", "style"):
        chosen[kind] = nearest_layers(wanted[kind], given)
        if absent := [layer for layer in wanted[kind] if layer not in chosen[kind]]:
            presets = [getattr(preset, f"{kind}_layers").keys() for preset in METHODS.values()]
            logger.log(
                logging.INFO if wanted[kind].keys() in presets else logging.WARNING,
                "This feature network has no %s; its nearest %s layers are used instead: %s.",
                ", ".join(absent),
                kind,
                ", ".join(chosen[kind]),
            )
    return chosen


def _mark(picture: Image.Image | None) -> list[Any]:
    """Mode, size and checksum, by which a picture is recognised."""
    return [picture.mode, *picture.size, zlib.crc32(picture.tobytes())] if picture else []
