"""Reduces flicker in painted films: earlier paintings are moved along with the film and mixed into later ones."""

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from nst_core.video_reader import FilmError

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEEP = 0.8
"""How much of the picture shown before is kept where the film does not change."""
ALIKE = 10.0
"""Difference between frames, in levels of 255, at which only half of ``KEEP`` is kept."""
REPAINTED = 20.0
"""The same between paintings, blurred: what a style paints around a moving object must not be dragged along."""
STILL = 0.3
"""How much better, in levels of 255, a place must match where the flow says it was, to count as moved."""
CUT = 0.25
"""If no more than this part of a frame resembles the one before, it begins a new scene."""
SEEN = 480
"""Longer side, in pixels, at which frames are compared."""
LEAST = 32
"""The least shorter side, in pixels, of frames for which optical flow is computed."""


class Steady:
    """Called with each frame of a film and its painting, in order, returns the picture to show.

    That is a mixture of the painting and the picture shown before, moved by the optical flow between the two frames
    (Kroeger et al. 2016, *Fast Optical Flow using Dense Inverse Search*). Where the film shows something new, or the
    painting has changed its colour, and after a cut, it is the painting alone.
    """

    def __init__(self) -> None:
        """
        Raises:
            FilmError: OpenCV is not installed.
        """
        try:
            import cv2
        except ImportError as error:
            raise FilmError('Steady films need OpenCV: pip install "nst-core[video]" installs it.') from error
        self._cv2 = cv2
        self._flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._before: tuple[np.ndarray, np.ndarray] | None = None
        """The last frame, reduced, and the picture shown for it."""

    def __call__(self, photo: np.ndarray, painted: np.ndarray) -> np.ndarray:
        """The frame, its painting and the result are RGB, uint8 (H, W, 3), of one size in all calls."""
        cv2 = self._cv2
        height, width, _ = photo.shape
        scale = min(1.0, SEEN / max(height, width))
        small = max(1, round(scale * width)), max(1, round(scale * height))
        now, shown = self._reduced(photo, small), painted
        if self._before is not None and min(small) >= LEAST:
            before, shown_before = self._before
            flow, kept = self._compared(now, before)
            if kept.mean() > CUT:
                flow = cv2.resize(flow * np.array([width / small[0], height / small[1]], np.float32), (width, height))
                there = self._moved(shown_before, flow, cv2.INTER_CUBIC)
                change = self._reduced(painted, small).astype(np.float32) - self._reduced(there, small)
                kept *= KEEP * _fading(self._mean(np.abs(cv2.blur(change, (15, 15)))), REPAINTED)
                kept = cv2.resize(kept, (width, height))
                shown = cv2.blendLinear(there, painted, kept, 1 - kept)
        self._before = now, shown
        return shown

    def _compared(self, now: np.ndarray, before: np.ndarray) -> "tuple[NDArray[np.float32], NDArray[np.float32]]":
        """The flow from each pixel to where it was before, in x and y, and how much the two look alike, 0–1."""
        cv2 = self._cv2
        grey, grey_before = (cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) for pixels in (now, before))
        flow = self._flow.calc(grey, grey_before, None)
        unlike = self._unlike(now, self._moved(before, flow, cv2.INTER_LINEAR))
        unlike_unmoved = self._unlike(now, before)
        still = unlike_unmoved <= unlike + STILL
        flow[still] = 0
        height, width = grey.shape
        there = cv2.add(flow, _grid(height, width))
        inside = cv2.inRange(there, (0, 0), (width - 1, height - 1)) > 0
        return flow, inside * _fading(np.where(still, unlike_unmoved, unlike), ALIKE)

    def _unlike(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return self._cv2.blur(self._mean(self._cv2.absdiff(one, other).astype(np.float32)), (5, 5))

    def _mean(self, channels: np.ndarray) -> np.ndarray:
        # NumPy's takes ten times as long.
        return self._cv2.transform(channels, np.full((1, 3), 1 / 3, np.float32))

    def _moved(self, pixels: np.ndarray, flow: np.ndarray, how: int) -> np.ndarray:
        there = self._cv2.add(flow, _grid(*pixels.shape[:2]))
        return self._cv2.remap(pixels, there, None, how, borderMode=self._cv2.BORDER_REPLICATE)

    def _reduced(self, pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        return self._cv2.resize(pixels, size, interpolation=self._cv2.INTER_AREA)


def _fading(difference: np.ndarray, half: float) -> "NDArray[np.float32]":
    return np.exp2(-np.square(difference / np.float32(half)))


@lru_cache(2)
def _grid(height: int, width: int) -> "NDArray[np.float32]":
    """x and y of every pixel; not to be written to."""
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    return np.stack(np.broadcast_arrays(x, y[:, None]), -1)
