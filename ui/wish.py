"""What a person asks for besides the photograph."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nst_core.errors import check_number
from nst_core.stylization import check_blend
from nst_core.text import explain
from ui.errors import PageError
from ui.links import recipe
from ui.masks import read_mask

AS_IT_IS = 0
"""The choice of size that stands for the photograph's own (a radio button cannot have the value None)."""


class Wish(BaseModel):
    """What is asked for besides the photograph, by the names of ``nst_core.stylize``, whose bounds hold."""

    model_config = ConfigDict(frozen=True)

    style: str
    """An id of the registry, ``user/repo`` or ``user/repo@revision`` on the Hub, or what ``Studio.take`` returned."""
    strength: float = 1.0
    color: Literal["style", "photo"] = "style"
    size: Annotated[int, Field(le=2**31)] | None = None
    stroke: float = 1.0
    second: str = ""
    """Of the same kind as ``style``, or empty."""
    mix: float = 0.5
    mask: str = ""
    """Where the second style is to be seen, see ``ui.masks``; everywhere if it is empty."""

    @classmethod
    def of(cls, where: str = "the request", /, **settings: Any) -> "Wish":
        """The wish that came over the wire, in ``where``.

        Raises:
            NSTError: something in it is of another type, or beyond its bounds.
        """
        try:
            wish = cls(**settings)
        except ValidationError as error:
            raise PageError(explain(error, where)) from error
        check_blend(wish.strength, wish.color)
        check_number(PageError, "mix", wish.mix, 0, 1)
        read_mask(wish.mask)
        return wish

    def recipe(self) -> str:
        """What a picture that was made so says about itself."""
        return recipe("repaint", self.model_dump() | {"size": self.size or AS_IT_IS})

    @property
    def styles(self) -> list[str]:
        """The style, and the second one if there is any."""
        return [self.style, self.second] if self.second else [self.style]
