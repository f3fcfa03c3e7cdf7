"""What a maintainer wants to know about a pull request against a registry on the Hub, before merging it."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from PIL import Image
from torch.nn import functional as F

from nst_core.hub import fetch, is_on_main, present_name
from nst_core.images import fit, open_picture
from nst_core.registry import Entry, Registry, same_repo
from nst_core.report import Report, examine
from nst_core.style import PREVIEW, Style, read_card
from nst_core.stylization import repaint
from nst_core.text import quoted

SIDE = 512
"""Pixels to the longer side of the pictures that a review shows."""
DUPLICATE = 0.99
"""Cosine from which two networks' weights are as good as the same: a bundled style that was trained from another has
0.55 to 0.93 with that."""


@dataclass(frozen=True)
class Changes:
    """How a proposed registry differs from the present one."""

    added: list[Entry]
    changed: list[Entry]
    removed: list[str]
    """Ids."""


def changes(present: Registry, proposed: Registry) -> Changes:
    """How two registries differ."""
    before = {entry.id: entry for entry in present.entries}
    after = {entry.id: entry for entry in proposed.entries}
    return Changes(
        [entry for id, entry in after.items() if id not in before],
        [entry for id, entry in after.items() if id in before and before[id] != entry],
        [id for id in before if id not in after],
    )


def repeated(added: list[Entry], present: Registry) -> list[str]:
    """Objections to entries that have the weights or the repository of one in the registry, even a withdrawn one, or
    of one added before them."""
    objections, known = [], list(present.entries)
    for entry in added:
        for other in known:
            why = f", which was withdrawn: {other.withdrawn.rstrip('.')}" if other.withdrawn else ""
            if entry.sha256 == other.sha256:
                objections.append(f"{entry.id} has the weights of {other.id}{why}")
            elif same_repo(entry.repo, other.repo):
                objections.append(f"{entry.id} has the repository of {other.id}{why}")
        known.append(entry)
    return objections


@dataclass(frozen=True)
class Review:
    """What was found about one entry of a pull request."""

    report: Report
    nearest: tuple[str, float] | None
    """The registry's style whose weights are most like it, and their cosine."""
    pictures: list[Image.Image]
    """Its own preview, and the photographs painted by it, RGB; empty where the report says why it cannot be used."""
    objections: list[str]
    """Why it should not be merged as it is."""


def review(entry: Entry, proposed: Registry, others: Iterable[Style], photos: list[Image.Image]) -> Review:
    """Fetch an entry's style, examine it, compare it, and paint the photographs with it.

    Raises:
        HubError: it cannot be fetched from the Hub.
        RegistryError, StyleError, WeightsError: it is blocked, has no card that can be read, or is not what the entry
            says.
    """
    folder = entry.path or fetch(entry.repo or "", entry.revision)
    report, card = examine(folder), read_card(folder)
    objections = [finding.words.rstrip(".") for finding in report.findings if not finding.passed]
    # The page shows what the entry says; the style's owner has said what the card says.
    objections += [
        f"the {name} of {entry.id} is {quoted(said)}, but in its card {quoted(meant)}"
        for name in ("title", "artist", "license")
        if (said := getattr(entry, name)) != (meant := getattr(card, name)) and meant
    ]
    # A block list and the next review would look for its present name on the Hub.
    if entry.repo and (name := present_name(entry.repo)) != entry.repo:
        objections.append(f"{entry.repo} is called {name} on the Hub")
    if entry.repo and entry.revision and not is_on_main(entry.repo, entry.revision):
        objections.append(
            f"{entry.revision} is not a commit of {entry.repo}'s main branch: anybody may have proposed it"
        )
    if not report.usable:
        return Review(report, None, [], objections)
    style = proposed.open(entry.id)
    likeness = {other.id: cosine(style, other) for other in others if other.architecture is style.architecture}
    nearest = max(likeness.items(), key=lambda item: item[1], default=None)
    if nearest and nearest[1] >= DUPLICATE:
        objections.append(f"its weights are practically those of {nearest[0]}")
    shown = any(finding.part == PREVIEW and finding.passed for finding in report.findings)
    preview = [fit(open_picture(folder / PREVIEW), SIDE)] if shown else []
    painted = [repaint(photo, style, size=SIDE) for photo in photos]
    pictures = [picture.convert("RGB") for picture in [*preview, *painted]]
    return Review(report, nearest, pictures, objections)


def cosine(style: Style, other: Style) -> float:
    """How alike the weights of two networks of one architecture are: 1 is the same up to their length."""
    return F.cosine_similarity(_direction(style), _direction(other), dim=0).item()


def _direction(style: Style) -> torch.Tensor:
    """All tensors, each of length one, so that no large one hides the others."""
    return torch.cat([F.normalize(tensor.flatten(), dim=0) for tensor in style.network.state_dict().values()])
