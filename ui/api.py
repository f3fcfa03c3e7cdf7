"""The HTTP API: named endpoints with the library's parameter names, for ``gradio_client``, plain HTTP, and agents.

Their docstrings are what agents and *Use via API* are told, one line a parameter, with this server's bounds.
"""

from typing import Any, Literal

import gradio as gr
from gradio.events import api

from nst_core.errors import NSTError
from nst_core.images import open_picture, save_picture
from nst_core.stylization import check_second
from ui.advanced import open_fitted
from ui.events import PEOPLE
from ui.files import received
from ui.limits import caller
from ui.line import Ended
from ui.masks import write_mask
from ui.optimization_service import MAX_STEPS, OptimizationRequest, OptimizationService, read_layers
from ui.studio import Studio
from ui.wish import Wish
from ui.words import spoken

ENDPOINTS = "stylize", "optimize", "styles"


def add_api(studio: Studio, optimizations: OptimizationService) -> None:
    """Add the endpoints to the ``gr.Blocks`` around it."""

    def asking(request: gr.Request) -> str | None:
        """Who asks, unless they have gone while this was waiting in Gradio's queue."""
        who = caller(request)
        if studio.gone.get(who):
            raise Ended
        return who

    def stylize(
        request: gr.Request,
        photo: gr.FileData,
        style: str,
        strength: float = 1.0,
        color: Literal["style", "photo"] = "style",
        size: int | None = None,
        stroke: float = 1.0,
        second: str | None = None,
        mix: float | None = None,
        # Of a union, agents are not told that it is a file, and Python 3.10 makes one of it if the default is None.
        mask: gr.FileData = {},  # type: ignore[assignment]  # noqa: B006
    ) -> gr.FileData:
        """Repaint a photograph in the manner of a painting, in about a second.

        A photograph of more than {most} pixels per side is made smaller.

        Args:
            photo: A PNG, JPEG, HEIC, WebP, AVIF, TIFF, BMP or GIF that was uploaded; an agent's may be a data: URL.
            style: The painting whose style to use: an id that the endpoint or tool styles lists, such as great-wave.
            strength: How much of the painting: from 0, which leaves the photograph as it is, to 1.
            color: Whose colours the result has: the painting's ("style") or the photograph's ("photo").
            size: The result's longer side in pixels, from 16 to {most}; the photograph's own, up to that, by default.
            stroke: How broad strokes are, 0.25 to 4, 1 as learned. Below 1, the largest size is stroke times {most}.
            second: A second style, laid over the first; none by default.
            mix: How much of the second style is seen, from 0 to 1; 0.5 by default.
            mask: A picture, white where the second style is seen and black elsewhere; everywhere by default.

        Returns:
            A PNG file.
        """
        try:
            path = received(photo)  # type: ignore[arg-type]  # it comes as a dict
            where = None
            if mask:
                file = received(mask, "mask")  # type: ignore[arg-type]
                where = open_picture(file, max_pixels=studio.max_side**2)
            if not second:
                check_second(None, mix, where)
            settings = {
                "strength": strength,
                "color": color,
                "size": size,
                "stroke": stroke,
                "second": second,
                "mix": mix,
                "mask": write_mask(where) if where else None,
            }
            # Programs send null for what they leave out.
            wish = Wish.of(style=style, **{name: value for name, value in settings.items() if value is not None})
            session = asking(request)
            turn = studio.stylize(session, path, wish, where)
            for phrases in turn.watch():
                gr.Progress()(turn.done, desc=spoken(phrases))  # as a parameter, it would be one of the endpoint's
            picture = turn.result()
            file = studio.file(f"{path.stem}-{wish.style}.png")
            save_picture(picture, file, note=wish.recipe())
        except NSTError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return gr.FileData(path=str(file), orig_name=file.name)

    def optimize(  # type: ignore[misc]  # the endpoint's type is that of one yield
        request: gr.Request,
        content: gr.FileData,
        style: gr.FileData,
        method: str = "quick",
        size: int | None = None,
        steps: int | None = None,
        init: Literal["noise", "content", "style"] | None = None,
        optimizer: Literal["lbfgs", "adam", "sgd"] | None = None,
        features: str = "compact",
        seed: int | None = None,
        color: Literal["style", "photo", "matched"] | None = None,
        content_weight: float | None = None,
        style_weight: float | None = None,
        content_layers: str | None = None,
        style_layers: str | None = None,
        total_variation: float | None = None,
        style_size: float | None = None,
        learning_rate: float | None = None,
        seconds: float | None = None,
    ) -> tuple[gr.FileData, dict[str, float]]:
        """Paint a photograph in the style of any painting, by optimising its pixels: slow, a minute and more.

        Args:
            content: The photograph: a picture that was uploaded; an agent's may be a data: URL.
            style: The painting, likewise.
            method: Where settings that are null come from: quick (the soonest), noise, paper, neural-style or tutorial.
            size: The result's longer side in pixels, from 8 to {most}; {usual} by default.
            steps: The most steps, up to {steps}; a run stops earlier when its losses hardly fall any more.
            init: What it begins with: noise, the photograph ("content") or the painting ("style").
            optimizer: One of lbfgs, adam and sgd.
            features: The network that judges: compact, or vgg19 where the server offers it.
            seed: Of the noise; the same seed gives the same picture.
            color: The painting's colours ("style"), the photograph's ("photo"), or like the photograph's ("matched").
            content_weight: How much the photograph's shapes count.
            style_weight: How much the painting's style counts.
            content_layers: Where the feature network looks at the photograph, as in "conv2_2, conv4_1=0.5".
            style_layers: Where it looks at the painting, likewise.
            total_variation: How much smoothness counts: more gives a smoother picture.
            style_size: The painting's longer side in parts of the result's, from 0.1 to 8: larger gives larger strokes.
            learning_rate: About what the first step changes, where 1 is from black to white; from 1e-6 to 10.
            seconds: The longest that it may take, from 0.1 to 900, the default.

        Returns:
            The picture as it grows, in the end the best one as a PNG file.
            The losses of the last step, by name.
        """
        changes: dict[str, Any] = {
            "size": size,
            "steps": steps,
            "init": init,
            "optimizer": optimizer,
            "seed": seed,
            "color": color,
            "content_weight": content_weight,
            "style_weight": style_weight,
            "total_variation": total_variation,
            "style_size": style_size,
            "learning_rate": learning_rate,
            "seconds": seconds,
        }
        layers = {"content_layers": content_layers, "style_layers": style_layers}
        begun = None
        try:
            session = asking(request)
            changes |= {name: read_layers(words) for name, words in layers.items() if words is not None}
            chosen = optimizations.method(
                method, **{name: value for name, value in changes.items() if value is not None}
            )
            paths = received(content), received(style, "painting")  # type: ignore[arg-type]
            photo, painting = (open_fitted(path) for path in paths)
            wish = OptimizationRequest(f"{paths[0].stem}-{paths[1].stem}", photo, [painting], chosen, features)
            for run in optimizations.watch(session, wish):
                begun = run
                if run.trouble:
                    raise run.trouble
                if run.snapshots:
                    file = run.picture or run.snapshots[-1][1]
                    losses = {name: values[-1] for name, values in run.losses.items()}
                    yield gr.FileData(path=str(file), orig_name=file.name), losses
        except NSTError as error:
            raise gr.Error(str(error), print_exception=False) from error
        finally:
            if begun:
                optimizations.finish(session, begun)  # nobody goes on with it

    def styles() -> list[dict[str, Any]]:
        """The styles that stylize takes: id, title, artist, licence and tags of each."""
        return [entry.model_dump(include={"id", "title", "artist", "license", "tags"}) for entry in studio.registry]

    stylize.__doc__ = str(stylize.__doc__).format(most=studio.max_side)
    usual = optimizations.method("quick").size
    optimize.__doc__ = str(optimize.__doc__).format(most=optimizations.max_side, usual=usual, steps=MAX_STEPS)
    api(stylize, api_name="stylize", concurrency_id="network", concurrency_limit=PEOPLE)
    api(optimize, api_name="optimize", concurrency_id="optimization", concurrency_limit=1)
    api(styles, api_name="styles", queue=False)
