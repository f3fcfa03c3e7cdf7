"""Decodes HEIC, as many phones photograph, in a process of its own: a damaged file can crash the decoder.

``main`` is what that process does.
"""

import math
import subprocess
import sys
from io import BytesIO

from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
SECONDS = 60
"""The longest that decoding a picture may take."""
START = f"import sys; sys.path[:] = sys.argv[2:]; from {__name__} import main; main()"
"""The process's program, which imports from where this one does. With ``-m`` it would first look in the folder that
somebody happens to be in, where a stranger's pictures may have a stranger's modules beside them."""
TOO_LARGE = 3
"""The process's exit status if the picture has too many pixels."""


def is_heif(prefix: bytes) -> bool:
    """Whether a file that begins so is HEIC; some AVIF begins so, too."""
    return prefix[4:8] == b"ftyp" and prefix[8:12] in BRANDS


def open_heif(file: bytes, max_pixels: int) -> Image.Image:
    """The picture in a file's content: upright, with its colour profile, and without other metadata.

    Raises:
        Image.DecompressionBombError: it has more than ``max_pixels``.
        OSError: it is damaged, or of a kind that cannot be read.
    """
    command = [sys.executable, "-c", START, str(max_pixels), *sys.path]
    try:
        process = subprocess.run(command, input=file, capture_output=True, timeout=SECONDS)
    except subprocess.TimeoutExpired as error:
        raise OSError(f"it takes more than {SECONDS} s") from error
    if process.returncode == TOO_LARGE:
        raise Image.DecompressionBombError
    if process.returncode:
        raise OSError(process.stderr.decode(errors="replace") or "the decoder crashed")
    return TiffImageFile(BytesIO(process.stdout), "")


def main() -> None:
    """Turn HEIC on stdin into TIFF on stdout; the first argument is the most pixels that it may have."""
    from pi_heif import HeifImageFile, options

    options.THUMBNAILS = options.DEPTH_IMAGES = options.AUX_IMAGES = False
    picture = HeifImageFile(BytesIO(sys.stdin.buffer.read()), "")
    if math.prod(picture.size) > int(sys.argv[1]):
        sys.exit(TOO_LARGE)
    tiff = BytesIO()
    picture.save(tiff, "TIFF", exif=b"", icc_profile=picture.info.get("icc_profile"))
    sys.stdout.buffer.write(tiff.getbuffer())
