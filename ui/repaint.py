"""The tab *Repaint*: a photograph and a style in, the repainted picture out at once."""

from collections.abc import Callable, Generator, Iterator
from html import escape
from pathlib import Path
from typing import Any, Literal, NamedTuple

import gradio as gr
from gradio.events import Dependency
from PIL import Image

from nst_core.errors import NSTError
from nst_core.images import PictureError, save_picture
from nst_core.style import Style
from nst_core.stylization import blend
from ui.community import community_styles
from ui.events import IN_LINE
from ui.files import address_of, received
from ui.gallery import EXAMPLES, RepaintWidgets, examples, painting_settings, registry_choices, words_of
from ui.line import PROGRESS, Ended
from ui.links import copies, remembers
from ui.masks import MASK_SIDE, read_mask
from ui.sliders import within
from ui.studio import Painting, Studio
from ui.wish import AS_IT_IS, Wish
from ui.words import say, spoken, translator_for

COMPARE, HISTORY, MASK = (Path(__file__).with_name(name) for name in ("compare.js", "history.js", "mask.js"))

HINT = (
    "<p><b>Your picture appears here</b><span class='idle'>Choose a photograph, or try one of the examples.</span>"
    "<span class='busy'>It is being painted.</span></p>"
)


class Widgets(NamedTuple):
    """What the handler and the events need of the tab."""

    photo: gr.Image
    tried: Dependency
    """Fires when an example is put in the photograph's place."""
    settings: dict[str, Any]
    """Components, by their names in a link; Gradio's annotations do not know their events."""
    community: gr.Column
    """Where the community's styles go."""
    result: gr.ImageSlider
    info: gr.HTML
    share: gr.Button
    download: gr.DownloadButton
    link: gr.Button
    history: gr.HTML
    cards: gr.HTML


def repaint_tab(studio: Studio, remembered: gr.BrowserState) -> RepaintWidgets:
    """Lay the tab out in the ``gr.Blocks`` around it and wire it up; ``remembered`` is its ``ui.links.memory``."""
    guests, found = gr.State([]), gr.State()
    widgets = lay_out(studio)
    paint_after = wire(widgets, Handler(studio, widgets), found, remembered)
    settings = widgets.settings
    shared = RepaintWidgets(
        widgets.photo, settings["style"], guests, widgets.history, settings, widgets.cards, found, paint_after
    )
    with widgets.community:
        community_styles(studio.registry, shared)
    return shared


def lay_out(studio: Studio) -> Widgets:
    """Make the tab's widgets, in the order in which they stand."""
    with gr.Row():
        with gr.Column(scale=5, min_width=340):
            photo = gr.Image(
                label=say("Photograph"),
                show_label=False,
                placeholder=say("Drop a photograph here, paste one\nor press to choose"),
                sources=["upload"],
                buttons=[],
                height=220,
                elem_id="photo",
            )
            tried = examples(EXAMPLES, photo, "examples")
            if words := words_of(studio.registry):
                gr.HTML(
                    html_template="",
                    js_on_load="element.append(styleFinder('#styles', props.words))",
                    elem_id="find",
                    apply_default_css=False,
                    words=words,
                )
            style = gr.Radio(
                registry_choices(studio.registry),
                value=next((entry.id for entry in studio.registry), None),
                label=say("Style"),
                elem_id="styles",
            )
            community = gr.Column()
        with gr.Column(scale=7, min_width=340):
            with gr.Column(elem_id="stage"):
                result = gr.ImageSlider(
                    label=say("Before and after"),
                    show_label=False,
                    interactive=False,
                    buttons=["fullscreen"],
                    elem_id="result",
                )
                gr.HTML(
                    say(HINT),
                    elem_id="hint",
                    js_on_load=COMPARE.read_text("utf-8"),
                )
            with gr.Row(elem_id="caption"):
                info = gr.HTML(elem_id="info")
                share = gr.Button(say("Share"), visible=False, size="md", elem_id="share", scale=0)
                download = gr.DownloadButton(
                    say("Download PNG"),
                    interactive=False,
                    size="md",
                    elem_id="download",
                    elem_classes="download",
                    scale=0,
                )
                link = gr.Button(say("Link to settings"), size="md", elem_classes="copy-link", scale=0)
            sizes = [n for n in (512, 1024, 1536, 2048) if n <= studio.max_side]
            choices = [(say("Original"), AS_IT_IS), *((str(n), n) for n in sizes)]
            size = max((n for n in sizes if n <= 1024), default=AS_IT_IS)
            settings = {"style": style, **painting_settings(studio.registry, "Photograph", choices, size)}
            settings["mask"] = gr.HTML(
                value="",
                html_template="",
                js_on_load=MASK.read_text("utf-8"),
                elem_id="mask",
                side=MASK_SIDE,
                apply_default_css=False,
            )
            history = gr.HTML(
                html_template="",
                js_on_load=HISTORY.read_text("utf-8"),
                elem_id="history",
                apply_default_css=False,
            )
            cards = gr.HTML()

    return Widgets(photo, tried, settings, community, result, info, share, download, link, history, cards)


class Handler:
    """Paints for the tab's events."""

    def __init__(self, studio: Studio, widgets: Widgets) -> None:
        self.studio = studio
        self.sliders = widgets.settings["strength"], widgets.settings["mix"]

    def show(
        self,
        photo: dict[str, Any] | None,
        style: str,
        strength: float,
        color: Literal["style", "photo"],
        size: int,
        stroke: float,
        second: str,
        mix: float,
        mask: str,
        request: gr.Request,
    ) -> Iterator[tuple[Any, ...]]:
        """The button for downloads, what is said under the picture, the picture, and what the history keeps of it."""
        session, translate = request.session_hash, translator_for(request)
        # What an overtaken request yields: if a generator yields nothing, Gradio empties all its outputs.
        overtaken = (gr.skip(),) * 4
        if photo is None:
            self.studio.dismiss(session)
            yield gr.DownloadButton(value=None, interactive=False), "", None, gr.skip()
            return
        strength, mix = within(self.sliders, [strength, mix])
        over = "" if second == style else second
        settings = {"strength": strength, "color": color, "size": size or None, "stroke": stroke, "mix": mix}
        try:
            wish = Wish.of(style=style, second=over, mask=mask if over else "", **settings)
            path = received(photo)
            painting = yield from self._painted(session, path, wish, translate)
            picture = blended(painting, wish)
        except Ended:
            yield overtaken
            return
        except NSTError as error:
            yield self._refused(session, error)
            return
        names = [style.id.partition("@")[0] for style in styles_of(painting)]
        file = self.studio.file(f"{'-'.join([path.stem, *names])}.png")
        # The picture shown need not be exact, and JPEG is written, sent and read in a fraction of the time.
        seen = file if picture.mode == "RGBA" else file.with_suffix(".jpg")
        save_picture(picture, seen, note=wish.recipe())
        if not self.studio.wants(session, wish):
            yield overtaken
            return
        self.studio.shown.put(session, wish)
        files = str(painting.original.file), str(seen)
        bounded = wish.size is None and max(picture.size) == self.studio.limit(wish)
        yield gr.DownloadButton(interactive=False), describe(painting, translate, bounded), files, gr.skip()
        if seen != file:
            save_picture(picture, file, note=wish.recipe())
        if self.studio.shown.get(session) is wish:  # though something else may be wanted since
            made = {
                # A picture that is touched up replaces its earlier version.
                "key": f"{path.parent.name}-{wish.style}-{wish.second}",
                "url": address_of(file),
                "name": file.name,
                "title": " + ".join(style.title for style in styles_of(painting)),
                "recipe": wish.recipe(),
            }
            yield gr.DownloadButton(value=file, interactive=True), gr.skip(), gr.skip(), made

    def _refused(self, session: str | None, error: NSTError) -> tuple[Any, ...]:
        """What ``show`` yields of an error: a toast would say it twice, and go."""
        message = f'<p class="wrong">{escape(str(error))}</p>'
        if not isinstance(error, PictureError):
            return gr.skip(), message, gr.skip(), gr.skip()
        # Beside a photograph that cannot be read, the picture of another one does not stay.
        self.studio.shown.forget(session)
        return gr.DownloadButton(value=None, interactive=False), message, None, gr.skip()

    def _painted(
        self, session: str | None, path: Path, wish: Wish, translate: Callable[[str], str]
    ) -> Generator[tuple[Any, ...], None, Painting]:
        """The painting; until it is there, yields what ``show`` says of it.

        Raises:
            Ended: something else has been asked for in the meantime.
            NSTError: the photograph or the style is refused.
        """
        latest = ""
        if not all(self.studio.is_here(name) for name in wish.styles):
            latest = translate("Downloading the style from the Hugging Face Hub …")
            yield gr.skip(), f"<p>{latest}</p>", gr.skip(), gr.skip()
        turn = self.studio.painting(session, path, wish)
        for phrases in turn.watch():
            if not self.studio.wants(session, wish):
                raise Ended
            if phrases and (words := spoken(phrases, translate)) != latest:
                latest = words
                passing = ' class="passing"' if phrases[0][0] == PROGRESS else ""
                yield gr.skip(), f"<p{passing}>{latest}</p>", gr.skip(), gr.skip()
        return turn.result()


def wire(
    widgets: Widgets, handler: Handler, found: gr.State, remembered: gr.BrowserState
) -> Callable[[Callable[..., Any]], Any]:
    """Make the tab's events; returns ``RepaintWidgets.paint_after``."""
    photo, settings, result = widgets.photo, widgets.settings, widgets.result
    style, second, mix = settings["style"], settings["second"], settings["mix"]
    # On a phone the picture would be below the fold.
    gr.on([photo.change, style.input], js="showStyles")
    style.change(None, None, None, js="showCard")

    both = [style.change, second.change]
    gr.on([*both, result.change], None, [style, second, result], js="showMask")
    gr.on(both, None, [style, second], mix, js="showMix")
    result.change(None, result, widgets.share, js="showShare")
    widgets.info.change(js="() => bringIntoView('#info .wrong')")
    widgets.share.click(None, result, widgets.share, js="shareShown")

    # First: Gradio calls the listeners of one event in turn, and what is chosen is remembered before it is painted.
    gr.on(
        [*(setting.input for setting in settings.values()), found.change],
        None,
        [*settings.values()],
        remembered,
        js=remembers("repaint", settings),
    )
    wishes = [photo, *settings.values()]
    # In this order: no picture is shown with another's download.
    shown = [widgets.download, widgets.info, result, widgets.history]
    # A press is handled at once, whatever is under way: the studio ends that.
    again: dict[str, Any] = {"show_progress_on": result, "trigger_mode": "multiple", **IN_LINE}
    # Not change: a photograph that is dropped on another one changes twice, to none and to itself.
    chosen = [photo.upload, *(settings[name].input for name in ("style", "size", "stroke", "second"))]
    gr.on(chosen, handler.show, wishes, shown, **again)
    # When an example is taken away, Gradio still sends its photograph.
    photo.clear(handler.show, wishes, shown, js="(photo, ...wishes) => [null, ...wishes]", **again)
    widgets.tried.success(handler.show, wishes, shown, **again)
    # These find the painting kept: there is nothing to wait for, or to end.
    touched: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last", **IN_LINE}
    touches = [settings[name].input for name in ("strength", "color", "mix", "mask")]
    gr.on(touches, handler.show, wishes, shown, **touched)
    copies(widgets.link, settings, "repaint")
    return lambda on: on(handler.show, wishes, shown, **again)


def blended(painting: Painting, wish: Wish) -> Image.Image:
    """The painting, with the second one over it, as strong and in the colours that are wished for."""
    whole = painting.painted
    if painting.second:
        whole = blend(whole, painting.second.painted, strength=wish.mix, mask=read_mask(wish.mask))
    return blend(painting.original.picture, whole, strength=wish.strength, color=wish.color)


def styles_of(painting: Painting) -> list[Style]:
    """The style, and the second one if there is any."""
    return [painting.style, painting.second.style] if painting.second else [painting.style]


def describe(painting: Painting, translate: Callable[[str], str], bounded: bool) -> str:
    """The lines under the picture, as HTML; ``translate`` translates their English words.

    They say so if its size is ``bounded``: by this server, not by what was asked for.
    """
    (width, height), styles = painting.painted.size, styles_of(painting)
    seconds = painting.seconds + (painting.second.seconds if painting.second else 0)
    named = (filter(None, (f"<b>{escape(style.title)}</b>", escape(style.artist))) for style in styles)
    who = " + ".join(", ".join(names) for names in named)
    licences = " + ".join(dict.fromkeys(escape(style.license) for style in styles if style.license))
    pixels = f"{width} × {height} px{translate(', the largest this server paints') if bounded else ''}"
    how = f"{pixels} · {translate('painted in')} {seconds:.2f} s"
    if licences:
        how += f" · {translate('the style’s licence:')} {licences}"
    return f"<p>{who}</p><p>{how}</p>"
