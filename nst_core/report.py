"""A report on a style for those who made it: everything that is right and wrong with it."""

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from nst_core.architectures import Architecture
from nst_core.contribution import is_zip, unpack
from nst_core.errors import NSTError
from nst_core.gate import load_network, recognise, trial_picture
from nst_core.images import PictureError, open_picture
from nst_core.style import (
    CARD,
    CONFIG,
    LICENSES,
    MAX_BYTES,
    PREVIEW,
    WEIGHTS,
    Card,
    StyleError,
    no_folder,
    read_card,
    read_config,
)
from nst_core.text import count, few, quoted

TRIAL = "a trial picture"
TRIAL_SIDE = 256  # pixels
MAX_CLIPPED = 0.9
"""The largest share of a trial picture's values outside 0–255: half of an untrained network's are."""
MAX_PREVIEW_SIDE = 2048  # pixels


@dataclass(frozen=True)
class Finding:
    """A plain sentence about one part of a style; where that did not pass, it says what would be right."""

    part: str
    passed: bool
    words: str
    hinders: bool = True
    """Whether the style cannot be used if this did not pass; if False, it only cannot be published."""


@dataclass(frozen=True)
class Report:
    """All findings about a style."""

    findings: tuple[Finding, ...]

    @property
    def usable(self) -> bool:
        """Whether it can be painted with."""
        return all(finding.passed or not finding.hinders for finding in self.findings)

    @property
    def publishable(self) -> bool:
        """Whether there is nothing to mend."""
        return all(finding.passed for finding in self.findings)


def examine(folder: Path) -> Report:
    """Check every part of a style's folder, whatever is wrong with the others.

    Raises:
        StyleError: there is no such folder.
    """
    if not os.path.isdir(folder):
        raise no_folder(folder, folder.name)
    findings, architecture = [], None
    try:
        if not os.path.isfile(folder / CONFIG):
            raise StyleError(
                f'It is missing: {{"architecture": "johnson", "architecture_version": 1}} is such a {CONFIG}.'
            )
        architecture = read_config(folder).find_architecture()
        findings.append(Finding(CONFIG, True, f"It is for {architecture.id}, version {architecture.version}."))
    except NSTError as error:
        findings.append(Finding(CONFIG, False, str(error)))
    findings += _weights(folder / WEIGHTS, architecture)
    try:
        findings.append(_card(read_card(folder)))
    except NSTError as error:
        findings.append(Finding(CARD, False, str(error)))
    return Report((*findings, _preview(folder / PREVIEW)))


def examine_file(path: Path) -> Report:
    """Check weights alone, or a style's folder as a zip.

    Raises:
        ContributionError: a zip that is damaged, or of something else, such as a checkpoint of PyTorch.
    """
    if not is_zip(path):
        return Report(tuple(_weights(path, None)))
    with tempfile.TemporaryDirectory() as folder:
        style = Path(folder) / "style"
        unpack(path, style)
        return examine(style)


def _weights(path: Path, architecture: Architecture | None) -> list[Finding]:
    try:
        # Where the configuration does not say, the tensors do.
        architecture = architecture or recognise(path)
        network = load_network(path, architecture)
    except NSTError as error:
        return [Finding(WEIGHTS, False, str(error))]
    tensors = count(len(architecture.shapes), "tensor")
    parameters = count(sum(parameter.numel() for parameter in network.parameters()), "parameter")
    words = f"{tensors} of {architecture.id}, {parameters}, all finite."
    return [Finding(WEIGHTS, True, words), _trial(network)]


def _trial(network: nn.Module) -> Finding:
    picture = trial_picture(TRIAL_SIDE, blobs=16, seed=1)
    began = time.perf_counter()
    with torch.inference_mode():
        painted = network(picture)
    seconds = time.perf_counter() - began
    if not torch.isfinite(painted).all():
        words = f"At {TRIAL_SIDE} × {TRIAL_SIDE} px it has NaN or infinity: every value should be a finite number."
        return Finding(TRIAL, False, words)
    clipped = ((painted < 0) | (painted > 255)).float().mean().item()
    painted = painted.clamp(0, 255)
    if clipped > MAX_CLIPPED:
        words = f"{clipped:.1%} of its values lie outside 0–255 and are cut off: at most {MAX_CLIPPED:.0%} may."
        return Finding(TRIAL, False, words)
    words = (
        f"{TRIAL_SIDE} × {TRIAL_SIDE} px in {seconds:.2f} s; of 0–255 the mean is {painted.mean().item():.0f} and the "
        f"deviation {painted.std().item():.0f}; {clipped:.0%} of the values lay outside."
    )
    return Finding(TRIAL, True, words)


def _card(card: Card) -> Finding:
    faults = []
    if missing := [name for name in ("title", "artist", "license") if not getattr(card, name)]:
        faults.append(f"it lacks {few(missing)}, each a line of its front matter, as in `title: My Style`")
    if card.license and card.license not in LICENSES:
        faults.append(f"the licence {quoted(card.license, 40)} is not one of {', '.join(LICENSES)}")
    if faults:
        return Finding(CARD, False, f"Not ready to be published: {'; '.join(faults)}.", hinders=False)
    return Finding(CARD, True, f"{card.title}, {card.artist}, {card.license}.")


def _preview(path: Path) -> Finding:
    if not os.path.isfile(path):
        words = "Not ready to be published: this picture of what the style paints is missing."
        return Finding(PREVIEW, False, words, hinders=False)
    try:
        if (size := path.stat().st_size) > MAX_BYTES[PREVIEW]:
            raise PictureError(f"It has {size:,} bytes, but at most {MAX_BYTES[PREVIEW]:,} are allowed.")
        picture = open_picture(path, max_pixels=MAX_PREVIEW_SIDE**2)
        sides = f"{picture.width} × {picture.height} px"
        if max(picture.size) > MAX_PREVIEW_SIDE:
            raise PictureError(f"It has {sides}, but at most {MAX_PREVIEW_SIDE} px per side are allowed.")
    except PictureError as error:
        return Finding(PREVIEW, False, str(error), hinders=False)
    return Finding(PREVIEW, True, f"{sides}.")
