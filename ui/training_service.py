"""Trains styles on the page, one painting at a time, within this server's bounds, and keeps the results."""

import shlex
import shutil
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any
from zipfile import ZipFile

import torch
from PIL import Image
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from torch import nn

from nst_core.errors import NSTError, one_line
from nst_core.features import load_features
from nst_core.images import fit, open_picture, save_picture
from nst_core.recipe import Recipe
from nst_core.registry import Entry
from nst_core.style import CARD, CONFIG, PREVIEW, WEIGHTS, Style, read_config
from nst_core.text import explain, plain, slug
from nst_core.training import Photographs, TrainingStep, new_network, painted, train
from nst_core.training_folder import TrainingFolder
from ui.errors import PageError
from ui.files import KEEP_FILES_SECONDS, keeping
from ui.gallery import EXAMPLES, SEEN
from ui.log import log_event
from ui.studio import Studio
from ui.watched import VIEW_INTERVAL, Service, Watched, duration, modestly
from ui.wish import Wish
from ui.words import counted, phrase

RECIPE = Recipe(
    steps=2000,
    reconstruction_steps=0,  # it begins with a network that can already paint
    batch_size=2,
    noise=16.0,
    style_size=640,
    content_weight=0.8,
    content_focus=1.0,
    total_variation=2.5,
)
"""README's recipe; ``steps`` is the most that a training has here."""
STEPS = 1200
"""README's number of steps."""
CONTENT_WEIGHT_BOUNDS = (0.1, 5.0)
STYLE_SIZE_BOUNDS = (128, 1024)
SAMPLE = EXAMPLES[1]
"""The photograph that a style is shown on while it is trained, and in its preview."""
PHOTO_SIZE = 1024
"""Longer side, in pixels, at which a person's photograph is repainted."""
TRIAL_STEPS, TRIAL_SECONDS = 5, 1.5
"""The fewest steps, and seconds, by which the pace is judged."""
STEPS_SHARE = 0.9
"""The part of the time left after that which is for steps; the rest is for samples, and for slower moments."""
LOSS_COLUMNS = ("step", "total", "content", "style", "total_variation")


class TrainingRequest(BaseModel):
    """What is asked for besides the painting."""

    model_config = ConfigDict(frozen=True)

    title: Annotated[str, Field(max_length=120), AfterValidator(plain)] = ""
    start: str
    """An id of the registry: the style to begin with."""
    content_weight: float = Field(
        RECIPE.content_weight, ge=CONTENT_WEIGHT_BOUNDS[0], le=CONTENT_WEIGHT_BOUNDS[1], allow_inf_nan=False
    )
    style_size: int = Field(RECIPE.style_size, ge=STYLE_SIZE_BOUNDS[0], le=STYLE_SIZE_BOUNDS[1])
    minutes: float = Field(1, ge=1, allow_inf_nan=False)

    def command(self) -> str:
        """The same on a command line, for a POSIX shell."""
        recipe = replace(RECIPE, steps=STEPS, content_weight=self.content_weight, style_size=self.style_size)
        words = ["--photos", "photos/", "-o", f"styles/{slug(self.title) if self.title else 'my-style'}"]
        words += ["--warm-start", shlex.quote(self.start), "--features", "compact", *recipe.options(warm=True)]
        if self.title:
            words += ["--title", shlex.quote(self.title)]
        pairs = [f"{option} {value}" for option, value in zip(words[::2], words[1::2], strict=True)]
        return " \\\n    ".join(["python -m nst_core train painting.jpg", *pairs])


class TrainingRun(Watched):
    """One training, and the style that comes of it; its files go when it does."""

    def __init__(self, name: str, minutes: float, recipe: Recipe, folder: Path) -> None:
        super().__init__(recipe.steps, folder)
        self.name = name
        """The name of the style's folder."""
        self.recipe = recipe
        self.until = time.monotonic() + 60 * minutes
        self.style = ""
        """What the studio calls the style, once there is one."""
        self.zip = self.folder / f"{name}.zip"
        self.before: TrainingRun | None = None
        """The session's training before this one that gave a style, too."""

    def over(self) -> bool:
        """Whether it is to end after the current step."""
        return self.stopped or time.monotonic() > self.until

    def add(self, step: TrainingStep) -> None:
        for name in LOSS_COLUMNS:
            self.losses.setdefault(name, []).append(getattr(step, name))
        self.progress = step.step / self.steps
        left = min(self.until - time.monotonic(), step.seconds / self.progress - step.seconds)
        self.status = [phrase("Step {} of {}", step.step, self.steps), phrase("{}", duration(step.seconds))]
        if step.step > 1:
            self.status.append(phrase("about {} left", duration(max(0, left))))

    def pack(self, style: Path) -> None:
        """Make the file to download."""
        with ZipFile(self.zip, "w") as archive:
            for file in (CARD, CONFIG, WEIGHTS, PREVIEW):
                archive.write(style / file, f"{self.name}/{file}")


class TrainingService(Service[TrainingRun]):
    """Trains for one person at a time; gives way whenever the studio paints: between steps, and by its priority.

    The run of a session that counts as its last is the last that gave a style.
    """

    def __init__(
        self, studio: Studio, features: str | Path, photos: Path | None = None, recipe: Recipe = RECIPE
    ) -> None:
        """``photos`` is the folder to learn on; without one nothing is trained here.

        Raises:
            TrainingError: that folder does not exist or holds no photograph.
        """
        if photos:
            Photographs(photos, recipe)
        super().__init__(KEEP_FILES_SECONDS, 8)
        self.studio = studio
        self.features = features
        self.photos = photos
        self.recipe = recipe
        self.minutes, self.most_minutes = (5, 10) if torch.cuda.is_available() else (20, 45)
        self.starts = [entry for entry in studio.registry if _is_start(entry)]
        self._thread = ThreadPoolExecutor(1, "training", initializer=modestly)

    def request(self, **settings: Any) -> TrainingRequest:
        """What was asked for, within this server's bounds.

        Raises:
            PageError: something in it is of another type or beyond the bounds.
        """
        try:
            request = TrainingRequest(**settings)
        except ValidationError as error:
            raise PageError(explain(error, "the request")) from error
        if request.start not in [entry.id for entry in self.starts]:
            known = ", ".join(entry.id for entry in self.starts)
            raise PageError(f"A training cannot start with {one_line(request.start)} here: choose one of {known}.")
        if request.minutes > self.most_minutes:
            raise PageError(f"A training may take at most {self.most_minutes} minutes here, not {request.minutes:g}.")
        return request

    def watch(self, session: str | None, painting: Path, request: TrainingRequest) -> Iterator[TrainingRun]:
        """Train; yields the same run again and again, a few times a second, as it learns.

        Raises:
            NSTError: whatever the library refuses before the first step; later, the run has it as its ``trouble``.
        """
        if self.photos is None:
            raise PageError("This server does not train styles: it has no photographs to learn from.")
        start = self.studio.registry.open(request.start)
        recipe = replace(
            self.recipe,
            architecture=start.architecture.id,
            content_weight=request.content_weight,
            style_size=request.style_size,
        )
        title = request.title or plain(painting.stem)
        run = TrainingRun(slug(title), request.minutes, recipe, self.studio.folder)
        self.running.put(session, run)
        if earlier := self.ended(session):
            earlier.touch()
        yield run
        try:
            for _ in self._train(run, self.photos, painting, start, title):
                yield run
            if run.zip.exists():
                # Opened as a stranger's would be; its folder is then the studio's to delete.
                style = Style.open(run.folder / "style" / run.name)
                with keeping("the style"):
                    shutil.copyfile(style.folder / PREVIEW, style.folder / SEEN)
                run.style = self.studio.take(session, style)
                if earlier:
                    earlier.touch()
                    earlier.before, run.before = None, earlier
                self._ended.put(session, run)
        except NSTError as error:
            if not run.losses:
                raise
            run.fail(error)
            run.status = [phrase("Ended at step {}, without a style", round(run.losses["step"][-1]))]
        finally:
            run.running = False
        run.progress = 1.0
        yield run

    def come_back(self, session: str | None, id: str) -> TrainingRun | None:
        run = super().come_back(session, id)
        if run:
            self.studio.hand_over(session, run.style)
        return run

    def paint(self, session: str | None, photo: Path) -> tuple[Path, Path]:
        """A person's photograph and what their own style makes of it, as files.

        Raises:
            NSTError: there is no such style, or the photograph is refused.
        """
        run = self.ended(session)
        if run is None:
            raise PageError("Your own style is no longer here: press Train to make one.")
        wish = Wish.of(style=run.style, size=min(PHOTO_SIZE, self.studio.max_side))
        # Not as a painting of the tab Repaint, which it would replace.
        painted = self.studio.stylize(session, photo, wish).result()
        file = self.studio.file(f"{photo.stem}-{run.name}.png")
        save_picture(painted, file)
        return self.studio.save_original(fit(open_picture(photo), max(painted.size)), photo.stem).file, file

    def _train(self, run: TrainingRun, photos: Path, upload: Path, start: Style, title: str) -> Iterator[None]:
        painting = run.folder / "painting" / upload.name  # an upload may be gone before it is over
        with keeping("the painting"):
            painting.parent.mkdir()
            shutil.copyfile(upload, painting)
        # Its own copy: a training moves it to the device and changes its memory format.
        features = load_features(self.features)
        folder = TrainingFolder(run.folder / "style" / run.name, painting, open_picture(SAMPLE))
        recipe, network = run.recipe, new_network(run.recipe, start)
        cost = self._snap(run, network, folder.sample, 0)
        run.status = [phrase("Measuring the speed …")]
        yield
        yield from self._plan(run, self._thread.submit(train, recipe, painting, photos, network, features).result())
        if run.stopped:
            run.status = [phrase("Stopped before it began")]
            return
        recipe, network = replace(recipe, steps=run.steps), new_network(recipe, start)
        shown = snapped = time.monotonic()
        training = self._thread.submit(train, recipe, painting, photos, network, features).result()
        for step in self._steps(run, folder.record(training, resume=False)):
            run.add(step)
            now = time.monotonic()
            if now - snapped > max(3, 20 * cost):
                cost, snapped = self._snap(run, network, folder.sample, step.step), now
            if now - shown > VIEW_INTERVAL:
                shown = now
                yield
        run.status = [phrase("Saving the style …")]
        yield
        with keeping("the style"):
            self._thread.submit(
                folder.finish,
                network,
                start.architecture,
                recipe,
                features=Path(self.features).name,
                warm_start=start.id,
                title=title,
                artist="",
                painting="",
                license="",
                tags=(),
            ).result()
            run.pack(folder.folder)
        run.snap(step.step, open_picture(folder.folder / PREVIEW))
        log_event("trained", steps=step.step, seconds=step.seconds)
        finished = step.step == run.steps
        done = counted("1 step", "{} steps", step.step)
        if not finished:
            done = phrase("{} of {} steps", step.step, run.steps)
        run.status = [run.outcome(finished), done, phrase("{}", duration(step.seconds))]

    def _plan(self, run: TrainingRun, trial: Iterator[TrainingStep]) -> Iterator[None]:
        """Have the run take as many steps as fit into its time, by the pace of the first steps of a trial."""
        before, paces = 0.0, list[float]()
        for step in self._steps(run, trial):
            if step.step > 1:  # the first allocates memory that all later ones reuse
                paces.append(step.seconds - before)
            before = step.seconds
            yield
            if step.step >= TRIAL_STEPS and step.seconds >= TRIAL_SECONDS:
                break
        if paces:
            left = run.until - time.monotonic()
            # The median: one of them may have waited for somebody's painting.
            run.steps = max(1, min(run.recipe.steps, int(STEPS_SHARE * left / statistics.median(paces))))

    def _steps(self, run: TrainingRun, steps: Iterator[TrainingStep]) -> Iterator[TrainingStep]:
        """The steps, one by one, in the background, until it is over."""
        while step := self._thread.submit(next, steps, None).result():
            yield step
            if run.over():
                break
            self.studio.line.wait()

    def _snap(self, run: TrainingRun, network: nn.Module, sample: Image.Image, step: int) -> float:
        """Show what the network makes of the sample; returns the seconds that it took."""
        began = time.monotonic()
        run.snap(step, self._thread.submit(painted, network, sample).result())
        return time.monotonic() - began


def _is_start(entry: Entry) -> bool:
    """Whether a training can begin with it: a bundled style of the architecture that is trained here."""
    try:
        return entry.path is not None and read_config(entry.path).architecture == RECIPE.architecture
    except NSTError:  # whoever chooses it to paint with is told what is wrong
        return False
