"""The tab *Repaint*: a photograph and a style in, the repainted picture out at once."""

import json
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from typing import Any, Literal

import gradio as gr

from nst_core.errors import NSTError
from nst_core.images import PictureError, save_picture
from nst_core.style import Style
from nst_core.stylization import blend
from ui.community import community_styles
from ui.gallery import EXAMPLES, RepaintWidgets, examples, registry_choices
from ui.line import Ended
from ui.links import copies, remembers
from ui.masks import SIDE, read_mask
from ui.sliders import slider, within
from ui.studio import AS_IT_IS, PEOPLE, Painting, Studio, Wish, address_of, received
from ui.words import say, spoken, words_of

COMPARE, HISTORY, MASK = (Path(__file__).with_name(name) for name in ("compare.js", "history.js", "mask.js"))

# Styles and picture fit together, unless a telephone lies on its side, or the page is zoomed.
SHOW_STYLES = """() => {
    const low = innerHeight <= 500, shown = document.querySelector(low ? "#stage" : "#styles");
    if (low || innerWidth <= 768) shown.scrollIntoView();
}"""

# A link, or a picture made here, may choose a style that is out of sight: in a row on a telephone, else in a list.
SHOW_CARD = """() => setTimeout(() => {
    const card = document.querySelector("#styles label:has(:checked)"), list = card?.parentElement;
    const [seen, frame] = [card, list].map((element) => element?.getBoundingClientRect());
    if (card && (seen.left < frame.left || seen.right > frame.right)) list.scrollLeft += seen.left - frame.left - 3;
    if (card && (seen.top < frame.top || seen.bottom > frame.bottom)) list.scrollTop += seen.top - frame.top - 3;
}, 100)"""

# There is no button where the browser has no dialog for that, or a page around this one forbids it.
MAY_SHARE = """(pictures) => {
    const files = [new File([""], "picture.jpg", { type: "image/jpeg" })];
    return { __type__: "update", visible: Boolean(pictures?.[1] && navigator.canShare?.({ files })) };
}"""
SHARE = f"""async ([, picture]) => {{
    const blob = await (await fetch(picture.url)).blob();
    const file = new File([blob], decodeURIComponent(picture.url.split("/").pop()), {{ type: blob.type }});
    try {{
        await navigator.share({{ files: [file] }});
    }} catch (error) {{
        if (error.name !== "AbortError") return {json.dumps(str(say("Could not share")))};  // that is a change of mind
    }}
    return {json.dumps(str(say("Share")))};
}}"""

# A style over itself is that style.
SHOW_MIX = "(style, second) => ({ __type__: 'update', visible: Boolean(second) && second !== style })"
SHOW_MASK = """(style, second, pictures) => document.dispatchEvent(new CustomEvent("painted", {
    detail: { second: second !== style && second, pictures: (pictures ?? []).map((picture) => picture?.url) },
}))"""


HINT = (
    "<p><b>Your picture appears here</b><span class='idle'>Choose a photograph, or try one of the examples.</span>"
    "<span class='busy'>It is being painted.</span></p>"
)


def repaint_tab(studio: Studio, remembered: gr.BrowserState) -> RepaintWidgets:
    """Lay the tab out in the ``gr.Blocks`` around it and wire it up; ``remembered`` is its ``ui.links.memory``."""
    guests, found = gr.State([]), gr.State()
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
                    say("Download PNG"), interactive=False, size="md", elem_id="download", scale=0
                )
                link = gr.Button(say("Link to settings"), size="md", elem_classes="copy-link", scale=0)
            with gr.Row():
                strength = slider(0, 1, value=1, step=0.05, label=say("Strength"), min_width=280, elem_id="strength")
                color = gr.Radio(
                    [(say("Painting"), "style"), (say("Photograph"), "photo")],
                    value="style",
                    label=say("Colours of the"),
                    min_width=280,
                )
            with gr.Row():
                sizes = [n for n in (512, 1024, 1536, 2048) if n <= studio.max_side]
                size = gr.Radio(
                    [(say("Original"), AS_IT_IS), *((str(n), n) for n in sizes)],
                    value=max((n for n in sizes if n <= 1024), default=AS_IT_IS),
                    label=say("Size (longer side, px)"),
                    min_width=280,
                )
                stroke = gr.Radio(
                    [(say("Fine"), 0.5), (say("Medium"), 1.0), (say("Broad"), 2.0), (say("Bold"), 4.0)],
                    value=1.0,
                    label=say("Brush strokes"),
                    min_width=280,
                )

            with gr.Row():
                second = gr.Dropdown(
                    [(say("None"), ""), *registry_choices(studio.registry)],
                    value="",
                    label=say("A second style on top"),
                    min_width=280,
                    elem_id="second",
                )
                mix = slider(
                    0,
                    1,
                    value=0.5,
                    step=0.05,
                    label=say("How much of it"),
                    visible=False,
                    min_width=280,
                    elem_id="mix",
                )
            mask = gr.HTML(
                value="",
                html_template="",
                js_on_load=MASK.read_text("utf-8"),
                elem_id="mask",
                side=SIDE,
                apply_default_css=False,
            )
            history = gr.HTML(
                html_template="",
                js_on_load=HISTORY.read_text("utf-8"),
                elem_id="history",
                apply_default_css=False,
            )
            cards = gr.HTML(padding=False)

    sliders = strength, mix

    def show(
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
        session = request.session_hash
        strength, mix = within(sliders, [strength, mix])
        # What an overtaken request yields: if a generator yields nothing, Gradio empties all its outputs.
        overtaken = (gr.skip(),) * 4
        if photo is None:
            studio.dismiss(session)
            yield gr.DownloadButton(value=None, interactive=False), "", None, gr.skip()
            return
        worded, said = words_of(request), ""
        try:
            said_all = {"strength": strength, "color": color, "size": size or None, "stroke": stroke, "mix": mix}
            over = "" if second == style else second
            wish = Wish.of(style=style, second=over, mask=mask if over else "", **said_all)
            path = received(photo)
            if not all(studio.is_here(name) for name in wish.styles):
                said = worded("Downloading the style from the Hugging Face Hub …")
                yield gr.skip(), f"<p>{said}</p>", gr.skip(), gr.skip()
            turn = studio.painting(session, path, wish)
            for phrases in turn.watch():
                if not studio.wants(session, wish):
                    yield overtaken
                    return
                if phrases and (words := spoken(phrases, worded)) != said:
                    said = words
                    passing = ' class="passing"' if phrases[0][0].startswith("Painted ") else ""
                    yield gr.skip(), f"<p{passing}>{said}</p>", gr.skip(), gr.skip()
            painting = turn.result()
            whole = painting.painted
            if painting.second:
                whole = blend(whole, painting.second.painted, strength=wish.mix, mask=read_mask(wish.mask))
            picture = blend(painting.original.picture, whole, strength=wish.strength, color=wish.color)
        except Ended:
            yield overtaken
            return
        except NSTError as error:
            # Gradio shows a message as markup.
            message = escape(str(error), quote=False)
            # The message stays, but beside a photograph that cannot be read, the picture of another one does not.
            gone = isinstance(error, PictureError)
            if gone:
                studio.shown.forget(session)
            button = gr.DownloadButton(value=None, interactive=False) if gone else gr.skip()
            yield button, f'<p class="wrong">{message}</p>', None if gone else gr.skip(), gr.skip()
            raise gr.Error(message, print_exception=False) from error
        names = [style.id.partition("@")[0] for style in styles_of(painting)]
        file = studio.file(f"{'-'.join([path.stem, *names])}.png")
        # The picture shown need not be exact, and JPEG is written, sent and read in a fraction of the time.
        seen = file if picture.mode == "RGBA" else file.with_suffix(".jpg")
        save_picture(picture, seen, note=wish.recipe())
        if not studio.wants(session, wish):
            yield overtaken
            return
        studio.shown.put(session, None, wish)
        files = str(painting.original.file), str(seen)
        bounded = wish.size is None and max(picture.size) == studio.limit(wish)
        yield gr.DownloadButton(interactive=False), describe(painting, worded, bounded), files, gr.skip()
        if seen != file:
            save_picture(picture, file, note=wish.recipe())
        if studio.shown.get(session, None) is wish:  # though something else may be wanted since
            made = {
                # A picture that is touched up replaces its earlier version.
                "key": f"{path.parent.name}-{wish.style}-{wish.second}",
                "url": address_of(file),
                "name": file.name,
                "title": " + ".join(style.title for style in styles_of(painting)),
                "recipe": wish.recipe(),
            }
            yield gr.DownloadButton(value=file, interactive=True), gr.skip(), gr.skip(), made

    # On a telephone the picture would be below the fold.
    gr.on([photo.change, style.input], js=SHOW_STYLES)
    style.change(None, None, None, js=SHOW_CARD)

    both = [style.change, second.change]
    gr.on([*both, result.change], None, [style, second, result], js=SHOW_MASK, api_visibility="private")
    gr.on(both, None, [style, second], mix, js=SHOW_MIX)
    result.change(None, result, share, js=MAY_SHARE)
    share.click(None, result, share, js=SHARE)

    settings: dict[str, gr.components.Component] = {"style": style, "strength": strength, "color": color}
    settings |= {"size": size, "stroke": stroke, "second": second, "mix": mix, "mask": mask}
    # First: Gradio calls the listeners of one event in turn, and what is chosen is remembered before it is painted.
    gr.on(
        [*(setting.input for setting in settings.values()), found.change],  # type: ignore[attr-defined]
        None,
        [*settings.values()],
        remembered,
        js=remembers("repaint", settings),
        show_progress="hidden",
        api_visibility="private",
    )
    wishes = [photo, *settings.values()]
    shown = [download, info, result, history]  # in this order: no picture is shown with another's download
    # Payloads come as they are, for two reasons: gr.Image would open the photograph itself, outside the library's
    # gate, and the sliders would refuse a number in other words than the library.
    painted: dict[str, Any] = {
        "preprocess": False,
        # The same for all: what was asked for last should also be handled last.
        "concurrency_id": "network",
        "concurrency_limit": PEOPLE,
        "api_visibility": "private",
    }
    # A press is handled at once, whatever is under way: the studio ends that.
    anew: dict[str, Any] = {"show_progress_on": result, "trigger_mode": "multiple", **painted}
    # Not change: a photograph that is dropped on another one changes twice, to none and to itself.
    chosen = [photo.upload, style.input, size.input, stroke.input, second.input]
    gr.on(chosen, show, wishes, shown, **anew)
    # When an example is taken away, Gradio still sends its photograph.
    photo.clear(show, wishes, shown, js="(photo, ...wishes) => [null, ...wishes]", **anew)
    tried.success(show, wishes, shown, **anew)
    # These find the painting kept: there is nothing to wait for, or to end.
    touched: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last", **painted}
    gr.on([strength.input, color.input, mix.input, mask.input], show, wishes, shown, **touched)
    copies(link, settings, "repaint")
    choices = {
        name: [value for _, value in radio.choices]
        for name, radio in (("color", color), ("size", size), ("stroke", stroke))
    }
    widgets = RepaintWidgets(
        photo, style, guests, history, settings, choices, cards, found, lambda on: on(show, wishes, shown, **anew)
    )
    with community:
        community_styles(studio.registry, widgets)
    return widgets


def styles_of(painting: Painting) -> list[Style]:
    """The style, and the second one if there is any."""
    return [painting.style, painting.second.style] if painting.second else [painting.style]


def describe(painting: Painting, worded: Callable[[str], str], bounded: bool) -> str:
    """The lines under the picture, as HTML; ``worded`` translates their English words.

    They say so if its size is ``bounded``: by this server, not by what was asked for.
    """
    (width, height), styles = painting.painted.size, styles_of(painting)
    seconds = painting.seconds + (painting.second.seconds if painting.second else 0)
    named = (filter(None, (f"<b>{escape(style.title)}</b>", escape(style.artist))) for style in styles)
    who = " + ".join(", ".join(names) for names in named)
    licences = " + ".join(dict.fromkeys(escape(style.license) for style in styles if style.license))
    pixels = f"{width} × {height} px{worded(', the largest this server paints') if bounded else ''}"
    how = f"{pixels} · {worded('painted in')} {seconds:.2f} s"
    if licences:
        how += f" · {worded('the style’s licence:')} {licences}"
    return f"<p>{who}</p><p>{how}</p>"
