"""The tab *Contribute*: a style of one's own is examined, tried by its owner alone, and published."""

import os
import re
import shlex
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from html import escape
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import gradio as gr

from nst_core import hub
from nst_core.contribution import IGNORED, is_zip, unpack
from nst_core.errors import NSTError
from nst_core.images import PictureError, fit, open_picture, save_picture
from nst_core.publishing import Published, publish_style
from nst_core.report import MAX_PREVIEW_SIDE, Report, examine
from nst_core.style import ADDRESS, CARD, LICENSES, PREVIEW, PREVIEW_SIZE, WEIGHTS, Style, read_card, with_facts
from nst_core.stylization import repaint
from nst_core.text import few, plain, quoted, slug
from ui.errors import PageError
from ui.events import as_markup
from ui.files import address_of, received
from ui.gallery import EXAMPLES, SEEN, RepaintWidgets, offer_own
from ui.studio import Studio
from ui.words import say, translator_for

INTRODUCTION = (
    "<p>Have you trained a style, on the <i>Advanced</i> tab or with <code>python -m nst_core train</code>? Drop its "
    "<code>model.safetensors</code> here, or its folder as a zip. Once it has been checked, you can try it until you "
    "leave or reload this page, for an hour at most; nobody else sees it. If you like, publish it for everybody.</p>"
)
BY_COMMAND = "On your own computer, where the style’s folder is:"
RIGHTS = (
    "I made this style or may publish it, and the picture it was trained on is in the public domain or I have the "
    "right to use it."
)

NAME = re.compile(r"[A-Za-z0-9]+([._-][A-Za-z0-9]+)*")
"""Matches what a repository on the Hub may be called."""


class Widgets(NamedTuple):
    """What the handlers and events need of the tab."""

    file: gr.File
    report: gr.HTML
    offer: gr.Column
    """All that a usable style comes with."""
    sample: gr.HTML
    tried: gr.Button
    fields: list[Any]
    """Title, artist, licence and name of the repository."""
    rights: gr.Checkbox
    publish: gr.Button | None
    published: gr.HTML
    mine: gr.State
    """What the studio calls the style."""
    folder_name: gr.State


def contribute_tab(
    studio: Studio, gallery: RepaintWidgets, film_style: gr.Dropdown, *, registry: str | None, login: bool
) -> None:
    """Lay the tab out in the ``gr.Blocks`` around it and wire it up.

    A style that is tried is offered in the list ``film_style`` too.

    With ``login`` people publish here under their own name on the Hub, else the page says how to; ``registry`` is the
    one on the Hub that styles are proposed to.

    Raises:
        HubError: with ``login``, outside a Space, nobody is logged in on this machine, whose login is used there.
    """
    if login and "OAUTH_CLIENT_ID" not in os.environ:
        hub.user_name()
    widgets = lay_out(login)
    wire(widgets, Handlers(studio, registry, login), gallery, film_style)


def lay_out(login: bool) -> Widgets:
    """Make the tab's widgets, in the order in which they stand."""
    mine, folder_name = gr.State(""), gr.State("")
    with gr.Row(elem_id="contribute"):
        with gr.Column(scale=5, min_width=340):
            gr.HTML(say(INTRODUCTION))
            if login:
                # First, as signing in reloads the page. In English alone: Gradio tells by the words that nobody has
                # signed in.
                gr.LoginButton("Sign in with Hugging Face to publish", size="md", elem_id="login")
            file = gr.File(
                label=say("model.safetensors, or a folder as .zip"),
                elem_id="upload",
                height=140,
            )
            report = gr.HTML(elem_id="report")
        with gr.Column(scale=7, min_width=340):
            gr.HTML(
                say("<p>What your style paints will appear here, along with what it takes to publish it.</p>"),
                elem_id="contribute-hint",
            )
            with gr.Column(visible=False, elem_id="offer") as offer:
                # gr.Image would be a button that has no name and does nothing.
                sample = gr.HTML(elem_id="sample")
                tried = gr.Button(say("Try it on your own photograph"), elem_id="try")
                gr.HTML(say("<h3>Publish it</h3>"))
                with gr.Row(visible=login):
                    title = gr.Textbox(label=say("Title"), max_length=120, min_width=200)
                    artist = gr.Textbox(label=say("Artist of the picture"), max_length=120, min_width=200)
                with gr.Row():
                    license = gr.Dropdown(
                        [(name, id) for id, name in LICENSES.items()],
                        value=None,
                        label=say("Licence"),
                        min_width=200,
                        visible=login,
                    )
                    name = gr.Textbox(label=say("Repository"), placeholder="my-style", max_length=90, min_width=200)
                rights = gr.Checkbox(label=say(RIGHTS), visible=login)
                publish = gr.Button(say("Publish"), elem_id="publish") if login else None
                published = gr.HTML(elem_id="published")
    fields = [title, artist, license, name]
    return Widgets(file, report, offer, sample, tried, fields, rights, publish, published, mine, folder_name)


class Handlers:
    """What the tab's events call."""

    def __init__(self, studio: Studio, registry: str | None, login: bool) -> None:
        self.studio, self.registry, self.login = studio, registry, login

    def examined(self, upload: Any, request: gr.Request) -> list[Any]:
        """What is said of a dropped file and, if it is a usable style, all that this comes with."""
        translate = translator_for(request)
        if not upload:
            return nothing("")
        folder = Path(tempfile.mkdtemp(dir=self.studio.folder)) / "style"
        found, refusal = None, ""
        try:
            path = received(upload, "file")
            unpack(path, folder)
            found = examine(folder)
        except NSTError as error:
            refusal = str(error)
        if not (found and found.usable):
            shutil.rmtree(folder.parent, ignore_errors=True)
            return nothing(in_words(found, translate, refusal))
        card = read_card(folder)
        named = slug(card.title) if card.title else ""
        style = Style.open(folder, name=named or translate("Your style"))
        if not (folder / PREVIEW).is_file():
            save_picture(repaint(open_picture(EXAMPLES[1]), style, size=PREVIEW_SIZE), folder / PREVIEW)
            if self.login:  # what is published from here has it
                found = examine(folder)
        with suppress(PictureError):  # which the report tells
            # Redrawn by us, like those from the Hub.
            preview = open_picture(folder / PREVIEW, max_pixels=MAX_PREVIEW_SIDE**2)
            save_picture(fit(preview, PREVIEW_SIZE), folder / SEEN)
        shown = self.studio.file("painted.png")
        save_picture(repaint(open_picture(EXAMPLES[0]), style, size=PREVIEW_SIZE), shown)
        if self.login:  # the fields ask for what the card lacks
            found = Report(tuple(finding for finding in found.findings if finding.part != CARD or finding.passed))
        zipped = top_folder(path)
        return [
            self.studio.take(request.session_hash, style),
            in_words(found, translate),
            gr.Column(visible=True),
            "<h3>{0}</h3><img src='{1}' alt='{0}'>".format(translate("What it paints"), address_of(shown)),
            card.title,
            card.artist,
            card.license if card.license in LICENSES else None,
            named,
            zipped,
            "" if self.login else commands(zipped, named, self.registry, translate),
        ]

    def sent(
        self,
        request: gr.Request,
        token: gr.OAuthToken | None,
        mine: str,
        rights: Any,
        *fields: Any,
    ) -> str:
        """Publish the style; returns where it is, or why it is not published, as HTML."""
        try:
            if token is None:
                raise PageError(
                    "To publish it, first sign in with Hugging Face, with the button above; after that, drop your "
                    "style again."
                )
            if rights is not True:
                raise PageError("To publish it, first confirm that you are allowed to: tick the box above.")
            title, artist, license, name = (plain(text) if isinstance(text, str) else "" for text in fields)
            needed = {"Title": title, "Artist of the picture": artist, "Licence": license}
            if empty := [label for label, text in needed.items() if not text]:
                raise PageError(f"To publish it, first fill in the fields that are empty: {few(empty)}.")
            style = self.studio.style(request.session_hash, mine)  # its folder goes when it does
            # Outside a Space, Gradio mocks the sign-in and gives a fake token: there, the machine's own is used.
            own = token.token if "OAUTH_CLIENT_ID" in os.environ else None
            repo = own_repository(name or slug(title), hub.user_name(own))
            describe(style.folder, title, artist, license)
            return links(publish_style(style.folder, repo, registry=self.registry, token=own), translator_for(request))
        except NSTError as error:
            return f'<p class="wrong" role="alert">{as_markup(error)}</p>'

    def renamed(self, name: str, folder: str, request: gr.Request) -> str:
        """The commands that publish the style by another name."""
        return commands(folder, name, self.registry, translator_for(request))


def nothing(report: str) -> list[Any]:
    """What ``Handlers.examined`` returns where there is no usable style."""
    return ["", report, gr.Column(visible=False), "", *[gr.skip()] * 4, "", ""]


def wire(widgets: Widgets, handlers: Handlers, gallery: RepaintWidgets, film_style: gr.Dropdown) -> None:
    """Make the tab's events."""
    mine, report, fields, published = widgets.mine, widgets.report, widgets.fields, widgets.published
    gr.on(
        [widgets.file.upload, widgets.file.clear],
        handlers.examined,
        widgets.file,
        [mine, report, widgets.offer, widgets.sample, *fields, widgets.folder_name, published],
        show_progress_on=report,
        trigger_mode="always_last",  # a file dropped while the one before is still being removed counts, too
        concurrency_id="gate",
        concurrency_limit=1,
    )
    offer_own(widgets.tried, mine, handlers.studio, gallery, film_style)
    if widgets.publish:
        inputs = [mine, widgets.rights, *fields]
        widgets.publish.click(handlers.sent, inputs, published, concurrency_id="hub", concurrency_limit=4).then(
            js="() => bringIntoView('#published')"
        )
    else:
        *_, name = fields
        name.change(
            handlers.renamed,
            [name, widgets.folder_name],
            published,
            queue=False,
            show_progress="hidden",
            trigger_mode="always_last",  # the last letter counts
        )


def own_repository(said: str, user: str) -> str:
    """The repository of the user's that is meant by its name, also with theirs before it, or by its address.

    Of words that are no name, one is made.

    Raises:
        PageError: it is someone else's.
    """
    address = ADDRESS.fullmatch(said)
    owner, _, name = (address[1] if address else said).rpartition("/")
    if owner and owner.lower() != user.lower():
        raise PageError(f"A style is published under your own name, {user}: leave out {quoted(owner)}.")
    return f"{user}/{name if NAME.fullmatch(name) else slug(name)}"


def describe(folder: Path, title: str, artist: str, license: str) -> None:
    """Write what a person said about their style into its card; all else in it stays."""
    path = folder / CARD
    card = path.read_text(encoding="utf-8-sig") if path.is_file() else ""
    if not read_card(folder).text:
        card += f"\n# {title}\n\nA style for nst-core: it repaints a photograph after *{title}* by {artist}.\n"
    path.write_text(with_facts(card, title=title, artist=artist, license=license), encoding="utf-8")


def in_words(report: Report | None, translate: Callable[[str], str], refusal: str = "") -> str:
    """A report, or what refused the file before there was one, as HTML; ``translate`` translates the verdict."""
    lines = [f'<li class="wrong">{escape(refusal)}</li>'] if refusal else []
    for finding in report.findings if report else []:
        sign = "" if finding.passed else ' class="wrong"'
        lines.append(f"<li{sign}><b>{escape(finding.part)}</b> {escape(finding.words)}</li>")
    verdict = "It can be used." if report and report.usable else "It cannot be used as it is."
    return f"<p><b>{translate(verdict)}</b></p><ul>{''.join(lines)}</ul>"


def top_folder(upload: Path) -> str:
    """The name of the folder that a zip, which ``unpack`` took, was made of, if it says."""
    if not is_zip(upload):  # weights alone
        return ""
    with zipfile.ZipFile(upload) as archive:
        files = [PurePosixPath(entry) for entry in archive.namelist()]
    return next(file.parent.name for file in files if file.name == WEIGHTS and not IGNORED.intersection(file.parts))


def commands(folder: str, name: str, registry: str | None, translate: Callable[[str], str]) -> str:
    """The commands that publish a style, as HTML; ``translate`` translates the English words around them."""
    folder, repo = shlex.quote(plain(folder) or "FOLDER"), shlex.quote(plain(str(name or "")) or "my-style")
    proposal = f" --registry {shlex.quote(registry)}" if registry else ""
    lines = f"hf auth login\npython -m nst_core publish {folder} --repo YOUR-NAME/{repo}{proposal}"
    return f"<p>{translate(BY_COMMAND)}</p><pre>{escape(lines)}</pre>"


def links(published: Published, translate: Callable[[str], str]) -> str:
    """Where a published style is now, as HTML; ``translate`` translates the English words around the links."""
    lines = [translate("Published as {}.").format(anchor(published.url, published.repo))]
    words = "Everybody can use it with the link {}."
    if published.pull_request:
        request = anchor(published.pull_request, translate("a pull request"))
        lines.append(translate("Proposed for the gallery in {}.").format(request))
        words = "Until it is merged, everybody can use it with the link {}."
    lines.append(translate(words).format(f"<code>?style={escape(published.repo)}</code>"))
    return "".join(f"<p>{line}</p>" for line in lines)


def anchor(url: str, text: str) -> str:
    """A link, as HTML."""
    return f'<a href="{escape(url)}" target="_blank" rel="noopener">{escape(text)}</a>'
