"""Less flicker in painted films: what was painted before moves along with the film, and is painted over gently."""

import numpy as np

from nst_core.film import FilmError

KEEP = 0.7
"""How much of what was painted before is kept, where the film shows the same."""
ALIKE = 8.0
"""Levels of 255 by which a place may differ from where it was before, and still be half the same."""
CUT = 0.25
"""If no more than this part of a frame is the same as before, it is another scene."""
SEEN = 480
"""Longer side, in pixels, at which motion is looked for."""


class Steady:
    """Called with one frame after another, and with what was painted of it, gives what to show of it.

    Motion is the optical flow from frame to frame (Kroeger et al. 2016, *Fast Optical Flow using Dense Inverse
    Search*), and where a frame does not look as the one before it moved there, the new painting is shown as it is.
    """

    def __init__(self, keep: float = KEEP) -> None:
        """Raises FilmError: OpenCV is not installed."""
        try:
            import cv2
        except ImportError as error:
            raise FilmError("Steady films take OpenCV: pip install 'nst-core[video]' installs that.") from error
        self._flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._keep = keep
        self._before: tuple[np.ndarray, np.ndarray] | None = None
        """The frame before, as it is looked at, and what was shown of it."""

    def __call__(self, photo: np.ndarray, painted: np.ndarray) -> np.ndarray:
        """Both are RGB, uint8 (H, W, 3), and so is what is given."""
        import cv2

        height, width, _ = photo.shape
        scale = min(1, SEEN / max(height, width))
        size = max(1, round(scale * width)), max(1, round(scale * height))
        now = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
        shown = painted
        if self._before is not None and min(size) >= 16:
            before, shown_before = self._before
            flow = self._flow.calc(_grey(now), _grey(before), None)
            there = _moved(before, flow, cv2.INTER_LINEAR)
            difference = cv2.blur(np.abs(now.astype(np.float32) - there).mean(2), (5, 5))
            alike = np.exp(-np.log(2) * (difference / ALIKE) ** 2)
            alike *= _inside(flow)
            if alike.mean() > CUT:
                flow = cv2.resize(flow, (width, height)) * (np.float32([width, height]) / np.float32(size))
                kept = self._keep * cv2.resize(alike, (width, height))[..., None]
                there = _moved(shown_before, flow, cv2.INTER_CUBIC)
                shown = (painted + kept * (there.astype(np.float32) - painted)).round().clip(0, 255).astype(np.uint8)
        self._before = now, shown
        return shown


def _grey(pixels):
    import cv2

    return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)


def _moved(pixels, flow, how):
    import cv2

    height, width, _ = flow.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return cv2.remap(pixels, x + flow[..., 0], y + flow[..., 1], how, borderMode=cv2.BORDER_REPLICATE)


def _inside(flow):
    height, width, _ = flow.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x, y = x + flow[..., 0], y + flow[..., 1]
    return ((x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)).astype(np.float32)
