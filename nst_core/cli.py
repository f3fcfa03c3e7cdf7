"""The command line: ``python -m nst_core``."""

import errno
import json
import logging
import os
import sys
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer
from rich.table import Column, Table
from typer.core import TyperCommand

from nst_core import __version__
from nst_core.cli_optimization import optimize
from nst_core.cli_sharing import export, import_style, publish, review
from nst_core.cli_training import search, train
from nst_core.cli_video import video
from nst_core.console import (
    MaskOption,
    MixOption,
    PrecisionOption,
    RayOption,
    RegistryOption,
    SecondOption,
    StrokeOption,
    StyleOption,
    make_folder,
    print_table,
    progress_bar,
    stderr,
)
from nst_core.errors import NSTError
from nst_core.files import identity
from nst_core.memory import keep_freed_memory, out_of_memory
from nst_core.quota import heed_quota, share_cores
from nst_core.registry import Registry, on_the_hub, perhaps_a_folder
from nst_core.text import count, few

UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EPIPE}
"""The system's errors for an output that takes no more data."""

# Commands import what they need when they run: torch takes seconds, and --help needs none of it.

app = typer.Typer(
    help="Neural style transfer: repaint photographs, and train networks to do it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class _Command(TyperCommand):
    """A command that refuses empty text unless that is the default: an empty path would mean the current folder."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        given, _, _ = self.make_parser(ctx).parse_args(list(args))
        parameter: Any  # of a class that is private to Typer
        for parameter in self.params:
            value = given.get(parameter.name)
            if parameter.default != "" and "" in (value if isinstance(value, list | tuple) else [value]):
                raise typer.BadParameter("it is empty; if the current folder is meant, give . instead.", ctx, parameter)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        import numpy  # noqa: F401  # PyTorch imports it too, but drops whatever interrupts that, Ctrl-C included

        return super().invoke(ctx)


command = partial(app.command, cls=_Command)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _begin(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


@command()
def styles(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    registry: RegistryOption = None,
) -> None:
    """List the styles."""
    entries = list(Registry.load(registry))
    if as_json:
        print(
            json.dumps(
                [entry.model_dump(mode="json", exclude={"path"}, exclude_none=True) for entry in entries], indent=2
            )
        )
        return
    # Ids are meant to be typed, so they are not wrapped where the table is too wide.
    id = Column("id", no_wrap=True)
    table = Table(id, "title", "artist", "licence", "tags", box=None, header_style="bold")
    for entry in entries:
        table.add_row(entry.id, entry.title, entry.artist, entry.license, ", ".join(entry.tags))
    print_table(table)


@command()
def stylize(
    photos: Annotated[
        list[Path], typer.Argument(metavar="PHOTO…", help="Photographs to repaint, or folders of photographs.")
    ],
    style: StyleOption,
    # As text: a Path would lose the trailing slash that marks a folder.
    out: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--out",
            metavar="PATH",
            help="The file to write; for several photographs, without a suffix, or with a / at its end, the folder. By "
            "default, PHOTO-STYLE.png in the current folder.",
        ),
    ] = None,
    size: Annotated[
        int | None, typer.Option(help="Longer side of the result in pixels, 16 to 16384; by default, the photograph's.")
    ] = None,
    strength: Annotated[float, typer.Option(help="0 returns the photograph, 1 the network's picture.")] = 1.0,
    color: Annotated[
        Literal["style", "photo"], typer.Option(help="The painting's colours, or the photograph's.")
    ] = "style",
    stroke: StrokeOption = 1.0,
    second: SecondOption = None,
    mix: MixOption = None,
    mask: MaskOption = None,
    precision: PrecisionOption = "auto",
    ray: RayOption = False,
    registry: RegistryOption = None,
) -> None:
    """Repaint photographs in a style; in a folder, the results are named PHOTO-STYLE.png.

    A folder's subfolders, and what was painted there before, are skipped. Ctrl-C ends the command early: no picture is
    left half written, and the exit status is 130.
    """
    from nst_core.batch import Painted, folders_inside, photographs, result_names, stylize_files, stylize_files_on_ray
    from nst_core.images import open_picture
    from nst_core.stylization import check_blend, check_second, check_size, check_stroke

    known = Registry.load(registry)
    names = {entry.id for entry in known} | {style.replace("/", "-"), Path(style).name}
    if os.path.isdir(style):
        names.add(Path(os.path.realpath(style)).name)
    given, photos, size = photos, photographs(photos, names), check_size(size)
    target, one_file = _target(out, photos, size)
    opened, over = known.open(style), known.open(second) if second else None
    # Checked here, too, rather than once for each photograph.
    strength, stroke = check_blend(strength, color), check_stroke(stroke)
    check_second(over, mix, mask)
    where = open_picture(mask) if mask else None
    targets = [target]
    if not one_file:
        targets = [target / name for name in result_names(photos, opened.id.replace("/", "-"))]
    _check_kept(photos, mask, targets, "another name" if one_file else "a folder")
    if not one_file and any(map(os.path.exists, photos)):
        make_folder(target)

    def wrote(target: Path, painted: Painted) -> None:
        written.append(target)
        line = f"{target}  {painted.width} × {painted.height} px, {painted.seconds:.1f} s"
        if output and output.isatty():
            bar.console.print(line, markup=False)
        elif output:
            print(line, file=output, flush=True)

    output = sys.stdout  # which the bar replaces; None if it is closed
    written: list[Path] = []
    refused: list[NSTError] = []
    interrupted = False
    try:
        with progress_bar() as bar:
            task = bar.add_task(opened.title, total=len(photos))
            # One by one, so that Ctrl-C keeps the earlier ones.
            refused.extend(
                (stylize_files_on_ray if ray else stylize_files)(
                    photos,
                    targets,
                    [opened, over] if over else [opened],
                    progress=lambda done: bar.update(task, completed=done),
                    wrote=wrote,
                    strength=strength,
                    color=color,
                    size=size,
                    stroke=stroke,
                    mix=mix,
                    mask=where,
                    precision=precision,
                )
            )
    except KeyboardInterrupt:
        interrupted = True
    for refusal in refused:
        stderr.print(str(refusal), markup=False)
    if interrupted:
        stderr.print(f"Interrupted: {len(written)} of {count(len(photos), 'picture')} written.")
        raise typer.Exit(130)
    if left_out := folders_inside(given, target if out else None):
        stderr.print(f"Folders inside a folder are skipped unless they are named: {few(left_out)}.", markup=False)
    if refused:
        raise typer.Exit(1)


def _target(out: str | None, photos: list[Path], size: int | None) -> tuple[Path, bool]:
    """The file to write, or the folder of several, and whether it is a file.

    Raises:
        NSTError: it is a file for several photographs, or one that cannot hold the picture.
    """
    from nst_core.images import SAVED_SUFFIXES, check_suffix

    if out == "-":
        raise NSTError("Pictures are not written to the standard output: name a file or a folder (-o).")
    target = Path(out or "")
    if not out or out.endswith(("/", os.sep)) or os.path.isdir(out):
        return target, False
    if len(photos) > 1 and target.suffix.lower() in SAVED_SUFFIXES:
        raise NSTError(f"{out!r} names one picture, but there are {len(photos)} photographs: choose a folder (-o).")
    if len(photos) > 1 or not target.suffix:
        return target, False
    check_suffix(target)
    if not (os.path.exists(photos[0]) and photos[0].is_fifo()):  # a pipe can be read only once
        check_suffix(target, photos[0], size)
    return target, True


def _check_kept(photos: list[Path], mask: Path | None, targets: list[Path], right: str) -> None:
    """Refuse to overwrite what is to be read.

    Raises:
        NSTError: one of the targets is; the message advises to choose what is ``right``.
    """
    read = {identity(mask): "the mask"} if mask else {}
    read |= {identity(photo): "one of the photographs" for photo in photos}
    for path in targets:
        if what := read.get(identity(path)):
            raise NSTError(f"{str(path)!r} is {what}, and would be overwritten: choose {right} (-o).")


@command()
def check(
    what: Annotated[
        str, typer.Argument(metavar="FOLDER|FILE|USER/REPO|ID", help="A style, its zip, or just its weights.")
    ],
    registry: RegistryOption = None,
) -> None:
    """Check a style as before it is used, and report what is right and what is wrong with it.

    If there is both a folder and a style of the registry with that name, the folder is checked.
    """
    from nst_core.report import examine, examine_file

    if os.path.isfile(what):
        report = examine_file(Path(what))
    elif not os.path.isdir(what) and (match := on_the_hub(what)):
        known = Registry.load(registry)
        with perhaps_a_folder(what):
            folder = known.fetch(match[1], match[2])
        report = examine(folder)
    elif not os.path.exists(what) and Path(what).name == what:
        report = examine(Registry.load(registry).open(what).folder)
    else:
        report = examine(Path(what))
    table = Table(show_header=False, box=None)
    for finding in report.findings:
        table.add_row("right" if finding.passed else "wrong", finding.part, finding.words)
    print_table(table)
    if not report.usable:
        raise NSTError(f"{what} cannot be used: fix what is wrong.")
    print(f"{what} is sound." if report.publishable else f"{what} can be used; to publish it, fix what is wrong.")


command()(optimize)
command()(video)
command()(train)
command()(search)
command("import")(import_style)
command()(export)
command()(publish)
command()(review)


def _refuse(reason: str) -> NoReturn:
    """Exit; when processes train together, one per machine says why, as each machine may have its own reason."""
    if os.environ.get("LOCAL_RANK", "0") == "0":
        print(reason, file=sys.stderr)
    sys.exit(1)


def main() -> None:
    """Run; a refusal is one line on stderr and exit status 1."""
    logging.basicConfig(format="%(message)s", level=logging.ERROR if stderr.quiet else logging.WARNING)
    logging.getLogger("nst_core.optimization").setLevel(logging.INFO)  # which layers replace a preset's
    keep_freed_memory()
    share_cores()
    heed_quota()
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a file's encoding may lack ×, as on Windows
    try:
        try:
            app(prog_name="python -m nst_core")
        finally:
            if sys.stdout:
                sys.stdout.flush()  # here, where a failure can still be reported
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        if isinstance(sys.stdout, TextIOWrapper):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would flush again at exit
        if error.errno == errno.EPIPE:  # nobody reads it any longer, as with | head
            sys.exit(1)
        _refuse(f"The output could not be written: {error.strerror}.")
    except NSTError as error:
        _refuse(str(error))
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        _refuse("There is too little memory for that: choose a smaller size, crop or batch.")
