"""The commands ``import``, ``export``, ``publish`` and ``review``: styles from others, and for others."""

import os
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from nst_core.console import (
    MixOption,
    RegistryOption,
    SecondOption,
    check_apart,
    print_table,
    stderr,
    style_word,
)
from nst_core.errors import NSTError
from nst_core.files import check_place
from nst_core.registry import Registry
from nst_core.text import plain

if TYPE_CHECKING:
    from nst_core.style import Style

RegistryRepo = Annotated[
    str, typer.Argument(metavar="REGISTRY", help="Its repository on the Hub, as user/repo or spaces/user/repo.")
]


def import_style(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            help="A .pth, a .safetensors, an ml5.js folder with manifest.json, or the checkpoint.pt of a training."
        ),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FOLDER", help="The style folder to write.")],
    sample: Annotated[Path, typer.Option(metavar="PHOTO", help="The photograph that the preview shows repainted.")],
    title: Annotated[str, typer.Option(help="Title of the painting.")] = "",
    artist: Annotated[str, typer.Option(help="Who painted it.")] = "",
    license: Annotated[
        str, typer.Option(help="The checkpoint's licence, as the Hub writes it: mit, bsd-3-clause.")
    ] = "",
    tag: Annotated[list[str] | None, typer.Option(help="A tag to find the style by; may be repeated.")] = None,
) -> None:
    """Make a style folder from another project's network, recognised by its tensors, or from an unfinished training.

    The projects known are pytorch/examples, gordicaleksa/pytorch-neural-style-transfer-johnson,
    eriklindernoren/Fast-Neural-Style-Transfer, and lengstrom/fast-style-transfer as ml5.js has it.
    """
    import torch

    from nst_core.gate import try_network
    from nst_core.images import fit, open_picture
    from nst_core.importing import read_checkpoint
    from nst_core.style import PREVIEW_SIZE, Card, StyleConfig, check_new, write_style
    from nst_core.training import painted
    from nst_core.training_folder import card_text, reproduction

    check_new(out)
    photo = fit(open_picture(sample).convert("RGB"), PREVIEW_SIZE)
    imported = read_checkpoint(checkpoint)
    network = imported.architecture.network()
    network.load_state_dict(imported.state)
    try_network(network, imported.architecture, checkpoint.name)
    title = plain(title or Path(os.path.abspath(out)).name)  # which need not be text
    training: dict[str, object] = {"imported_from": imported.origin}
    text = f"# {title}\n\nA style for nst-core, imported from {imported.origin}. How it was trained is not known.\n"
    if made := imported.training:
        training |= asdict(made.recipe) | {"style_image_sha256": made.painting, "feature_network": made.features}
        if made.step < made.recipe.steps:
            training["stopped_after"] = made.step
        text = card_text(title, plain(artist), "", made.recipe, made.step, 0, {})
    again = ["import", checkpoint.name, "-o", Path(os.path.abspath(out)).name, "--sample", "photo.jpg"]
    for option, said in (("--title", title), ("--artist", artist), ("--license", license)):
        again += [option, said] if said else []
    for said in tag or []:
        again += ["--tag", said]
    write_style(
        out,
        network_state=imported.state,
        config=StyleConfig(
            architecture=imported.architecture.id,
            architecture_version=imported.architecture.version,
            training=training,
        ),
        card=Card(title=title, artist=artist, license=license, tags=tuple(tag or ()), text=text + reproduction(again)),
        preview=painted(network, photo),
        dtype=torch.float32,  # it is to paint exactly as in its own project
    )
    print(f"{out} is now a style, from {imported.origin}: python -m nst_core stylize PHOTO --style {style_word(out)}")


def export(
    style: Annotated[
        str, typer.Argument(help="A style's id in the registry, a folder, or user/repo on the Hugging Face Hub.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FILE", help="The .onnx file to write.")],
    precision: Annotated[
        Literal["fp32", "fp16"], typer.Option(help="fp16 is half as large, and computes in float16 where that is safe.")
    ] = "fp32",
    second: SecondOption = None,
    mix: MixOption = None,
    registry: RegistryOption = None,
) -> None:
    """Write a style as ONNX, for phones and browsers: it takes and gives float32 (1, 3, height, width), RGB in 0–255.

    Height and width may be any; the output has the size of the input, and is clamped to 0–255. With a second style, the
    network takes mix as well: float32 (1), 0 to 1, by default the one given here.
    """
    check_place(out)
    from nst_core.exporting import check_export, export_style

    check_export(out)
    styles = [Registry.load(registry).open(name) for name in (style, second) if name]
    export_style(styles[0], out, precision=precision, second=styles[1] if second else None, mix=mix)
    titles = " + ".join(one.title for one in styles)
    print(f"{out} paints {titles}, {precision}: {out.stat().st_size / 1e6:.2f} MB.")


def publish(
    folder: Annotated[Path, typer.Argument(help="The style's folder.")],
    repo: Annotated[str, typer.Option(metavar="USER/NAME", help="The repository to create for it.")],
    registry: Annotated[
        str | None, typer.Option(metavar="USER/REPO", help="A registry on the Hub to propose it to.")
    ] = None,
) -> None:
    """Publish a style folder on the Hugging Face Hub, and propose it to a registry: log in with `hf auth login`."""
    from nst_core.publishing import publish_style

    published = publish_style(folder, repo, registry=registry)
    print(f"{published.url} is published: python -m nst_core stylize PHOTO --style {repo}")
    if published.pull_request:
        print(f"{published.pull_request} proposes it to {registry}.")


def review(
    registry: RegistryRepo,
    number: Annotated[int, typer.Argument(min=1, help="Number of the pull request.")],
    photo: Annotated[list[Path], typer.Option(help="A photograph for the sheet to show; may be repeated.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="SHEET", help="The picture to write.")],
    merge: Annotated[
        bool, typer.Option("--merge", help="Add its styles and close it, if there are no objections.")
    ] = False,
) -> None:
    """Examine the styles that a pull request adds to a registry: reports, likeness to others, a sheet of pictures."""
    from nst_core import hub
    from nst_core.images import check_suffix, open_picture, save_picture
    from nst_core.review import changes, repeated, review as look_at
    from nst_core.sheet import draw_sheet

    check_suffix(out)
    check_apart({"--out": out}, photo)
    photos = [open_picture(path).convert("RGB") for path in photo]
    # The Hub keeps a pull request in a branch of that name.
    base, proposed = (hub.registry_at(registry, at) for at in (hub.base_of(registry, number), f"refs/pr/{number}"))
    found, present = changes(base, proposed), hub.registry_at(registry)
    status = hub.status_of(registry, number)
    objections = [f"it is {status}"] if status != "open" else []
    objections += [f"it removes {id}" for id in found.removed] + [f"it changes {entry.id}" for entry in found.changed]
    objections += repeated(found.added, present)
    rows, row_labels = [], []
    for entry in [*found.added, *found.changed]:
        seen = look_at(entry, proposed, _known_styles(present), photos)
        table = Table(show_header=False, box=None, title=entry.id, title_justify="left")
        for name in ("title", "artist", "license", "repo", "revision"):
            table.add_row(name, str(getattr(entry, name)))
        for finding in seen.report.findings:
            table.add_row(finding.part, ("" if finding.passed else "wrong: ") + finding.words)
        if seen.nearest:
            table.add_row("most alike", f"{seen.nearest[0]}, cosine of the weights {seen.nearest[1]:.3f}")
        print_table(table)
        objections += seen.objections
        if seen.pictures:
            rows.append(seen.pictures)
            row_labels.append(entry.id)
    if rows:
        save_picture(draw_sheet(rows, row_labels=row_labels), out)
        print(f"{out} shows what they paint.")
    if not found.added and not objections:
        objections = ["it adds no style"]
    if objections:
        raise NSTError(f"Not to be merged as it is: {'; '.join(objections)}.")
    if merge:
        hub.accept(registry, number, found.added)
        print(f"The styles of pull request {number} were added to {registry}, and it is closed.")


def _known_styles(registry: Registry) -> Iterator["Style"]:
    """The bundled styles, and those of a registry that are on the Hub."""
    bundled = Registry.load()
    for entry in bundled:
        if entry.repo:  # a reviewed registry has it, too, unless it was withdrawn there
            continue
        yield replace(bundled.open(entry.id), id=f"the bundled {entry.id}")
    for entry in registry:
        if entry.repo:
            try:
                yield registry.open(entry.id)
            except NSTError as error:  # it may be blocked, or gone
                stderr.print(f"Not compared with {entry.id}: {error}", markup=False)
