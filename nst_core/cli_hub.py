"""The commands ``publish`` and ``review``."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from nst_core.console import check_file
from nst_core.errors import NSTError
from nst_core.registry import Registry

RegistryRepo = Annotated[str, typer.Argument(metavar="REGISTRY", help="Its repository on the Hub, as user/repo.")]


def publish(
    folder: Annotated[Path, typer.Argument(help="The style's folder.")],
    repo: Annotated[str, typer.Option(metavar="USER/NAME", help="The repository to make of it.")],
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
    number: Annotated[int, typer.Argument(min=1, help="Of the pull request.")],
    photo: Annotated[list[Path], typer.Option(help="What the sheet shows; may be repeated.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="SHEET", help="The picture to write.")],
    merge: Annotated[bool, typer.Option("--merge", help="Merge it, if there is nothing to object to.")] = False,
) -> None:
    """Look at the styles that a pull request adds to a registry: report, likeness to others, a sheet of pictures."""
    from nst_core import hub
    from nst_core.images import open_picture, save_picture
    from nst_core.review import changes
    from nst_core.review import review as look_at
    from nst_core.sheet import draw_sheet

    check_file(out)
    photos = [open_picture(path).convert("RGB") for path in photo]
    # A branch of that name is where the Hub keeps a pull request.
    present, proposed = Registry.load(registry), Registry.load(f"{registry}@refs/pr/{number}")
    found = changes(present, proposed)
    objections = [f"it removes {id}" for id in found.removed] + [f"it changes {entry.id}" for entry in found.changed]
    bundled = Registry.load()
    console = Console(markup=False)
    rows, rows_are = [], []
    for entry in [*found.added, *found.changed]:
        opened = (source.open(known.id) for source in (bundled, present) for known in source)
        seen = look_at(entry, proposed, opened, photos)
        table = Table(show_header=False, box=None, title=entry.id, title_justify="left")
        for name in ("title", "artist", "license", "repo", "revision"):
            table.add_row(name, str(getattr(entry, name)))
        for finding in seen.report.findings:
            table.add_row(finding.part, ("" if finding.passed else "✗ ") + finding.words)
            objections += [] if finding.passed else [finding.words]
        if seen.nearest:
            table.add_row("most alike", f"{seen.nearest[0]}, cosine of the weights {seen.nearest[1]:.3f}")
            objections += [f"{entry.id} is as good as the same as {seen.nearest[0]}"] if seen.is_duplicate else []
        console.print(table)
        if seen.pictures:
            rows.append(seen.pictures)
            rows_are.append(entry.id)
    if rows:
        save_picture(draw_sheet(rows, rows_are=rows_are), out)
        print(f"{out} shows what they paint.")
    if not rows and not objections:
        objections = ["it changes no style"]
    if objections:
        raise NSTError(f"Not to be merged as it is: {'; '.join(objections)}.")
    if merge:
        hub.merge(registry, number)
        print(f"Pull request {number} is merged into {registry}.")
