"""Opens pictures as clean RGB or RGBA, and saves them; only this module decodes pictures from outside."""

import logging
import math
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from io import BytesIO, TextIOBase, UnsupportedOperation
from mmap import mmap
from pathlib import Path
from struct import error as StructError
from typing import Any, BinaryIO
from zlib import Z_RLE

import numpy as np
import torch
from PIL import ExifTags, Image, ImageCms, TiffImagePlugin
from PIL.PngImagePlugin import PngImageFile, PngInfo
from PIL.TiffImagePlugin import TiffImageFile
from torch import Tensor

from nst_core.bombs import too_many_parts
from nst_core.errors import NSTError
from nst_core.files import check_place, replacing
from nst_core.heif import is_heif, open_heif
from nst_core.text import quoted

MAX_PIXELS = 2**27
"""The most pixels that a picture may have, unless ``open_picture`` is told otherwise."""
MAX_SIDE = 2**24
"""The most pixels of a side: each row, however short, takes memory of its own."""

Content = bytes | bytearray | memoryview
Source = str | Path | Content | BinaryIO | Image.Image | np.ndarray
"""What a picture can be opened from, see ``open_picture``."""

NOTE = "Repaint"
"""The keyword of the PNG text that holds a note."""
LONGEST_NOTE = 10_000
"""The most characters that are read of a note."""
LARGEST_EXIF = 2**20
"""The most bytes of EXIF data that are read; a JPEG has at most 64 kB."""
ANY_STEPS = b"mpet"
"""The type of a conversion in a colour profile that has any number of steps: each takes a millisecond, and all may be
the same bytes. No camera writes it."""

log = logging.getLogger(__name__)
Image.init()

# The only decoders that are used, by Pillow's names; JPEG's reads MPO too. AVIF comes before HEIF, which may
# begin like it.
_DECODERS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF")
PHOTO_SUFFIXES = {
    *(".jpg", ".jpeg", ".jfif", ".mpo", ".png", ".webp", ".avif", ".heic", ".heif", ".hif"),
    *(".tif", ".tiff", ".bmp", ".gif"),
}
"""Suffixes by which pictures in a folder are recognised."""
OTHER_SUFFIXES = {".jxl"}
"""Suffixes of photographs that cannot be read: in a folder, these are not ignored but refused with a message."""
_READABLE = "a PNG, JPEG, HEIC, WebP, AVIF, TIFF, BMP or GIF file"
_WHOLE_TIFFS = {"raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "zstd", "lzma"}
"""Pillow's names of the compressions of TIFF that give every pixel, or an error. For the others, of which JPEG and
faxes are used at all, pixels that a made-up file does not have are what lay in memory: other people's pictures."""
# What the decoders raise on files that were cut short or changed at random.
_BROKEN = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    StructError,
)

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes an EXIF orientation."""


@dataclass(frozen=True)
class _Encoder:
    format: str
    options: dict[str, Any] = field(default_factory=dict)
    alpha: bool = True
    longest: int | None = None
    """The longest side, in pixels, that Pillow writes and reads back."""


_PNG = _Encoder("PNG", {"compress_level": 1, "compress_type": Z_RLE})
_JPEG = _Encoder("JPEG", {"quality": 95, "subsampling": "4:4:4"}, alpha=False, longest=65500)
_WEBP = _Encoder("WEBP", {"lossless": True, "exact": True, "quality": 20, "method": 1}, longest=16383)
_AVIF = _Encoder("AVIF", {"quality": 90, "subsampling": "4:4:4", "speed": 8}, longest=32768)
_TIFF = _Encoder("TIFF", {"compression": "tiff_lzw", "tiffinfo": {TiffImagePlugin.PREDICTOR: 2}})
_BMP = _Encoder("BMP", alpha=False)
_ENCODERS = {
    ".png": _PNG,
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": _WEBP,
    ".avif": _AVIF,
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".bmp": _BMP,
}
SAVED_SUFFIXES = frozenset(_ENCODERS)
"""Suffixes from which ``save_picture`` tells the format."""


class PictureError(NSTError):
    """A picture that cannot be read, or cannot be written as asked."""


def is_photograph(file: Path) -> bool:
    """Whether a folder's file is meant to be a picture, by its name."""
    # macOS puts metadata of a photograph beside it, as ._photo.jpg.
    known = file.suffix.lower() in PHOTO_SUFFIXES | OTHER_SUFFIXES
    return known and not file.name.startswith(".") and os.path.isfile(file)


def open_picture(source: Source, *, max_pixels: int = MAX_PIXELS, at_least: int | None = None) -> Image.Image:
    """A picture as the rest of the library wants it: mode RGB or RGBA, upright, sRGB, with an empty ``info``.

    The source is the path of a file or a pipe, a file's content, a binary file (read from its start, left open), a
    Pillow image (never changed) or an array of uint8, grey (H, W), RGB (H, W, 3) or RGBA (H, W, 4). An animation gives
    its first frame. 16-bit samples are scaled to 8, as are, in a file or a Pillow image, 32-bit integers in 0–65535
    and floating-point numbers in 0–1. With ``at_least``, for callers that shrink the picture anyway, a JPEG file may
    come at a half, a quarter or an eighth of its size, in a fraction of the time, but with no side under ``at_least``
    pixels.

    Raises:
        PictureError: there is no such file; it is not a PNG, JPEG, HEIC, WebP, AVIF, TIFF, BMP or GIF; it is damaged;
            it has more than ``max_pixels``, or parts by the hundred thousand (both are checked before anything is
            decoded); it has numbers beyond the ranges above or, as a TIFF, uncompressed planes of 16 bits or a preview
            in front; it was closed; it is an array of another kind, or a tensor; or it is a Pillow image of integers
            that has no file format and none above 255, which are likely meant for 8 bits.
    """
    if isinstance(source, np.ndarray | Tensor):
        source = _of_array(source)
    if isinstance(source, Image.Image):
        return _clean(source, _subject(getattr(source, "filename", "")), max_pixels)
    subject = _subject(source)
    with _stream(source, subject) as stream:
        return _clean(_identify(stream, subject, max_pixels), subject, max_pixels, at_least)


def save_picture(picture: Source, path: str | Path, *, note: str = "") -> None:
    """Write a picture, cleaned as ``open_picture`` does, in the format that the path's suffix names.

    PNG, WebP, TIFF and BMP keep every pixel; JPEG and AVIF are of high quality. The file is written whole or not at
    all. A PNG keeps the ``note`` for ``read_note``, and nothing else beside its pixels.

    Raises:
        PictureError: as ``check_suffix``, or the file cannot be written.
    """
    if not isinstance(path, str | os.PathLike):
        raise PictureError(f"A picture is written to a path such as 'painted.png', not to {type(path).__name__}.")
    path, clean = Path(path), open_picture(picture)
    check_suffix(path, clean)
    encoder = _ENCODERS[path.suffix.lower()]
    texts = PngInfo()
    if note and encoder is _PNG:
        texts.add_itxt(NOTE, note)
    with whole_file(path) as file:
        # Not into the file itself: where the disk is full, TIFF's encoder would print lines of its own.
        encoded = BytesIO()
        clean.save(encoded, encoder.format, pnginfo=texts, **encoder.options)
        file.write(encoded.getbuffer())


def bare_webp(picture: Source) -> bytes:
    """A picture as a WebP file of its pixels and nothing else, such as where it was taken.

    The content of such a file is returned as it is.

    Raises:
        PictureError: as ``open_picture``.
    """
    if isinstance(picture, bytes) and picture[8:16] in (b"WEBPVP8 ", b"WEBPVP8L"):
        size = int.from_bytes(picture[16:20], "little")
        if len(picture) == 20 + size + size % 2:  # its only part
            return picture
    encoded = BytesIO()
    open_picture(picture).save(encoded, _WEBP.format, **_WEBP.options)
    return encoded.getvalue()


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a picture's file for writing; it appears at ``path`` only when complete.

    Raises:
        PictureError: it cannot be written.
    """
    try:
        with replacing(path) as new, new.open("xb") as file:
            yield file
    except OSError as error:
        reason = error.strerror or error
        raise PictureError(f"The picture {quoted(path.name)} could not be written: {reason}.") from error


def read_file(path: Path) -> bytes:
    """The bytes of a picture's file.

    Raises:
        PictureError: it cannot be read.
    """
    subject = _subject(path)
    with _stream(path, subject) as file, _reading(subject):
        return file.read()


def read_note(source: str | Path | Content | BinaryIO) -> str:
    """The note that ``save_picture`` put into a PNG; empty for other pictures. Anybody may have written it.

    Raises:
        PictureError: as ``open_picture``, as far as a header tells.
    """
    subject = _subject(source)
    with _stream(source, subject) as stream:
        note = _identify(stream, subject, MAX_PIXELS).info.get(NOTE, "")
    return note[:LONGEST_NOTE] if isinstance(note, str) else ""


def check_suffix(path: str | Path, picture: Source | None = None, longer_side: int | None = None) -> None:
    """Refuse, before any work is done, a path that ``save_picture`` cannot write to.

    With a picture, its transparency and its size, or the ``longer_side`` that it will have, are checked against the
    format, too; those of a result are its photograph's. A file is decoded only where the format has such a limit.

    Raises:
        PictureError: the suffix, the folder or the picture does not allow it, or the picture cannot be read.
    """
    path = Path(path)
    encoder = _ENCODERS.get(path.suffix.lower())
    if encoder is None:
        raise PictureError(f"A picture cannot be written as {quoted(path.name)}: its suffix should be {_either(True)}.")
    check_place(path, "A picture", PictureError)
    if not os.path.islink(path) and not os.access(path.parent, os.W_OK):  # a link's target is replaced, not the link
        raise PictureError(f"A picture cannot be written as {quoted(path.name)}: its folder takes no new files.")
    if picture is None or (encoder.alpha and not encoder.longest):
        return
    if not isinstance(picture, Image.Image):
        picture = open_picture(picture)
    if picture.has_transparency_data and not encoder.alpha:
        raise PictureError(
            f"{encoder.format} files have no transparency, but the picture has: instead of {path.suffix}, the suffix "
            f"of {quoted(path.name)} should be {_either(False)}."
        )
    side = longer_side or max(picture.size)
    if encoder.longest and side > encoder.longest:
        raise PictureError(
            f"{encoder.format} files have at most {encoder.longest} pixels per side, but the picture has {side}: "
            "make it smaller, or choose a name that ends in .png."
        )


def mask_greys(mask: Image.Image) -> Image.Image:
    """A mask, RGB or RGBA, as greys (mode L): what is transparent counts as black."""
    if mask.mode == "RGBA":
        mask = Image.composite(mask, Image.new("RGBA", mask.size), mask.getchannel("A"))
    return mask.convert("L")


def blackened(picture: Image.Image) -> Image.Image:
    """The picture, RGB or RGBA, with black where it is fully transparent: the colours there are arbitrary."""
    if picture.mode != "RGBA":
        return picture
    seen = picture.getchannel("A").point(lambda alpha: 255 * (alpha > 0))
    return Image.composite(picture, Image.new("RGBA", picture.size), seen)


def fit(picture: Image.Image, longer_side: int) -> Image.Image:
    """The picture, RGB or RGBA, with its longer side of so many pixels and its aspect kept (no side under 1)."""
    return picture.resize(fitted_size(picture.size, longer_side), Image.Resampling.LANCZOS)


def fitted_size(size: tuple[int, int], longer_side: int) -> tuple[int, int]:
    """Width and height, in pixels, of a picture of that size after ``fit``."""
    scale = longer_side / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def to_tensor(picture: Image.Image) -> Tensor:
    """(1, 3, H, W), float32 RGB in 0–255; transparency is left out."""
    pixels = torch.from_numpy(np.array(picture.convert("RGB")))
    return pixels.permute(2, 0, 1)[None].to(torch.float32, memory_format=torch.contiguous_format)


def to_picture(tensor: Tensor) -> Image.Image:
    """The RGB picture of a tensor (3, H, W) or (1, 3, H, W), whose values are rounded and clamped to 0–255."""
    pixels = tensor.detach().reshape(tensor.shape[-3:]).round().clamp(0, 255).to(torch.uint8)
    return Image.fromarray(pixels.permute(1, 2, 0).contiguous().cpu().numpy())


def _subject(source: object) -> str:
    """How a message names the picture: without its folder, which may be a server's temporary one."""
    name = source if isinstance(source, str | os.PathLike) else getattr(source, "name", "")
    named = isinstance(name, str | os.PathLike) and (Path(name).name or str(name))
    return f"The picture {quoted(named)}" if named else "The picture"


def _either(alpha: bool) -> str:
    *most, last = (suffix for suffix, encoder in _ENCODERS.items() if alpha or encoder.alpha)
    return f"{', '.join(most)} or {last}"


def _stream(source: str | Path | Content | BinaryIO, subject: str) -> AbstractContextManager[BinaryIO]:
    if isinstance(source, Content):
        return BytesIO(bytes(source))
    if isinstance(source, str | os.PathLike):
        if not os.path.exists(source):
            if str(source).startswith(("http:", "https:", "data:")):
                raise PictureError("A picture is not fetched from an address: give the path of a picture file.")
            raise PictureError(f"{subject} does not exist: give the path of a picture file.")
        with _reading(subject):
            if os.path.isfile(source):
                return open(source, "rb")
            if Path(source).is_fifo():
                return BytesIO(Path(source).read_bytes())
        raise PictureError(f"{subject} is not a file: give the path of a picture file.")
    if not hasattr(source, "read"):
        kinds = "a path, a file's content, a binary file, a Pillow image, or an array of uint8"
        raise PictureError(f"A picture cannot be read from {type(source).__name__}: give {kinds}.")
    if isinstance(source, TextIOBase):
        raise PictureError(f"{subject} was opened as text: open it as a binary file, with open(path, 'rb').")
    if getattr(source, "closed", False):
        raise PictureError(f"{subject} was closed: give an open file.")
    if isinstance(source, mmap):  # a file only in part: before Python 3.13, it does not say that it is seekable
        return BytesIO(bytes(source))
    if not (hasattr(source, "seekable") and source.seekable()):  # a reader of one's own may lack the method
        with _reading(subject):
            return BytesIO(source.read())
    source.seek(0)
    return nullcontext(source)


@contextmanager
def _reading(subject: str) -> Iterator[None]:
    try:
        yield
    except UnsupportedOperation as error:
        raise PictureError(f"{subject} was opened for writing: open it for reading, with open(path, 'rb').") from error
    except OSError as error:
        raise PictureError(f"{subject} cannot be read: {error.strerror or error}.") from error


def _of_array(array: np.ndarray | Tensor) -> Image.Image:
    """The picture whose pixels an array holds; anything ambiguous is for the caller to convert."""
    shape = tuple(array.shape)
    pictured = len(shape) == 2 or (len(shape) == 3 and shape[2] in (3, 4))
    if isinstance(array, np.ndarray) and array.dtype == np.uint8 and pictured:
        return Image.fromarray(array)
    kind = f"{type(array).__name__} of {str(array.dtype).removeprefix('torch.')}, {shape}"
    raise PictureError(
        f"A picture is a NumPy array of uint8 in 0–255, (H, W), (H, W, 3) or (H, W, 4), not {kind}: convert its type, "
        "move its channels to the end, and take it out of its batch."
    )


def _identify(stream: BinaryIO, subject: str, max_pixels: int) -> Image.Image:
    """The picture with only its header read. ``Image.open`` would apply Pillow's own pixel limit before ours."""
    with _reading(subject):
        prefix = stream.read(16)
    if not prefix:
        raise PictureError(f"{subject} is an empty file: use {_READABLE}.")
    damaged: tuple[str, Exception] | None = None
    for name in _DECODERS:
        decoder, accepts = (None, is_heif) if name == "HEIF" else Image.OPEN[name]
        if accepts and accepts(prefix):
            if too_many_parts(stream, name):
                parts = "is built of more parts than a picture needs"
                raise PictureError(f"{subject} {parts}: save it again as PNG or JPEG.")
            stream.seek(0)
            try:
                return decoder(stream, "") if decoder else open_heif(stream.read(), max_pixels)
            except Image.DecompressionBombError as error:
                raise PictureError(
                    f"{subject} has too many pixels: at most {max_pixels:,} in total are allowed."
                ) from error
            except _BROKEN as error:
                damaged = name, error
    if damaged:
        raise PictureError(
            f"{subject} looks like {damaged[0]} but is damaged, incomplete or of an unsupported kind: try a complete "
            "file, or save it again as PNG or JPEG."
        ) from damaged[1]
    raise PictureError(f"{subject} is not of a kind that can be read: use {_READABLE}.")


def _clean(picture: Image.Image, subject: str, max_pixels: int, at_least: int | None = None) -> Image.Image:
    _check_header(picture, subject, max_pixels)
    _decode(picture, subject, at_least)
    key = picture.info.get("transparency")
    if key is not None and not isinstance(key, {"P": bytes | int, "RGB": tuple}.get(picture.mode, int)):
        # Pillow leaves the old key there when it converts a picture to another mode.
        picture = picture.copy()
        del picture.info["transparency"]
    colour, alpha = _split(picture, subject)
    result = _to_srgb(colour, picture.info.get("icc_profile"), subject)
    if alpha is not None:
        result.putalpha(alpha)
    # After decoding: a PNG may hold its EXIF data after the pixels, and Pillow has turned a TIFF by then.
    try:
        if len(picture.info.get("exif") or b"") > LARGEST_EXIF:
            raise ValueError("it is too large")
        orientation = picture.getexif().get(ExifTags.Base.Orientation)
    except _BROKEN as error:
        log.warning("%s has EXIF data that cannot be read (%s); it is taken to be upright.", subject, error)
        orientation = None
    if orientation in _UPRIGHT:
        result = result.transpose(_UPRIGHT[orientation])
    result.info = {}
    return result


def _check_header(picture: Image.Image, subject: str, max_pixels: int) -> None:
    """Refuse, before anything is decoded, too many pixels, none, and what Pillow would not decode as it was meant."""
    if not math.prod(picture.size):
        raise PictureError(f"{subject} has no pixels: it should have at least 1 × 1.")
    sizes: list[tuple[int, ...]] = [picture.size]
    if isinstance(picture, TiffImageFile):
        compression = picture.tag_v2.get(TiffImagePlugin.COMPRESSION, 1)
        if TiffImagePlugin.COMPRESSION_INFO.get(compression) not in _WHOLE_TIFFS:
            right = "save it again as PNG, JPEG or TIFF with LZW"
            raise PictureError(f"{subject} is a TIFF that is compressed as JPEG, as a fax or in a rare way: {right}.")
        # Planes of 16 bits are decoded as noise by Pillow, unless they are compressed.
        apart = picture.tag_v2.get(TiffImagePlugin.PLANAR_CONFIGURATION) == 2
        deep = max(picture.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (1,))) > 8
        if apart and deep and compression == 1:
            right = "save it again as PNG or interleaved TIFF"
            raise PictureError(f"{subject} stores its colours separately with 16 bits each: {right}.")
        kind = picture.tag_v2.get(ExifTags.Base.NewSubfileType)
        if isinstance(kind, int) and kind & 1:  # all that Pillow opens of such a file
            right = "export it as JPEG, PNG or TIFF"
            raise PictureError(f"{subject} begins with a preview, as raw files do: {right}.")
        # A tile is decoded whole, however little of it the picture shows.
        tile = (picture.tag_v2.get(tag) for tag in (TiffImagePlugin.TILEWIDTH, TiffImagePlugin.TILELENGTH))
        sizes.append(tuple(side for side in tile if isinstance(side, int)))
    for size in sizes:
        if math.prod(size) > max_pixels or max(size, default=0) > MAX_SIDE:
            most = f"{max_pixels:,} in total" if math.prod(size) > max_pixels else f"{MAX_SIDE:,} per side"
            sides = " × ".join(str(side) for side in size)
            raise PictureError(f"{subject} has {sides} pixels: at most {most} are allowed.")


def _decode(picture: Image.Image, subject: str, at_least: int | None) -> None:
    if isinstance(picture, TiffImageFile) and picture.tile:
        # Otherwise Pillow would apply its own limit to the size as well.
        picture.im = Image.new(picture.mode, picture._tile_size, None).im
    if isinstance(picture, PngImageFile) and picture.tile and "transparency" in picture.info:
        # In a copy: the dict itself may be a caller's.
        picture.info = {**picture.info, "transparency": _scale_key(picture.info["transparency"], picture.tile[0].args)}
    try:
        if at_least:
            picture.draft(None, (at_least, at_least))
        picture.load()
    except (*_BROKEN, AssertionError) as error:
        if isinstance(error, AssertionError) or "closed" in str(error):  # Pillow's word
            raise PictureError(f"{subject} was closed: give an open one.") from error
        raise PictureError(f"{subject} is damaged or incomplete: try a complete file.") from error


def _scale_key(key: Any, samples: Any) -> Any:
    """PNG's transparent colour, given in the file's depth, as the 8-bit samples that Pillow makes of the pixels."""
    match samples:
        case "L;2":
            return key * 85
        case "L;4":
            return key * 17
        case "RGB;16B":
            return tuple(sample >> 8 for sample in key)
    return key


def _split(picture: Image.Image, subject: str) -> tuple[Image.Image, Image.Image | None]:
    """Colour (mode L, RGB, CMYK or LAB; if L or RGB, never the picture itself) and alpha (mode L)."""
    if picture.mode.startswith("I") or picture.mode == "F":
        return _split_deep(picture, subject)
    if picture.mode in ("CMYK", "LAB"):
        return picture, None
    alpha = None
    grey = picture.mode in ("1", "L", "LA", "La")
    if picture.has_transparency_data:
        # Pillow converts La to nothing but LA, and warns of palettes that lose their transparency.
        picture = (picture.convert("LA") if picture.mode == "La" else picture).convert("RGBA")
        alpha = picture.getchannel("A")
        if alpha.getextrema() == (255, 255):
            alpha = None  # as in many screenshots
    return picture.convert("RGB").getchannel(0) if grey else picture.convert("RGB"), alpha


def _split_deep(picture: Image.Image, subject: str) -> tuple[Image.Image, Image.Image | None]:
    """``_split`` for greys of more than 8 bits a sample."""
    samples, white, inverted = np.asarray(picture), 1.0 if picture.mode == "F" else 65535.0, False
    if isinstance(picture, TiffImageFile):
        if picture.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE) == (12,):
            white = 4095.0
        inverted = picture.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION, 0) == 0
    if not (samples.min() >= 0 and samples.max() <= white):  # NaN is not within either
        raise PictureError(
            f"{subject} has samples outside 0–{white:g}, whose brightness is unclear: save it again with 8 or 16 "
            "bits a sample."
        )
    if picture.mode != "F" and picture.format is None and 1 < samples.max() <= 255:  # as from Pillow's convert("I")
        raise PictureError(
            f"{subject} has 16 bits or more a sample, where white is 65535, but no sample above {samples.max()}: use "
            "picture.convert('L') if its white is 255."
        )
    scaled = np.multiply(samples, 255 / white, dtype=np.float32)
    grey = Image.fromarray((255 - scaled if inverted else scaled).round().astype(np.uint8))
    key = picture.info.get("transparency")
    return grey, None if key is None else Image.fromarray(np.where(samples == key, 0, 255).astype(np.uint8))


def _to_srgb(colour: Image.Image, icc: bytes | None, subject: str) -> Image.Image:
    if icc:
        try:
            if ANY_STEPS in icc:
                raise ValueError("it may have any number of steps")
            profile, srgb = ImageCms.ImageCmsProfile(BytesIO(icc)), ImageCms.createProfile("sRGB")
            if colour.mode == "L" and icc[16:20] == b"RGB ":
                colour = colour.convert("RGB")
            return ImageCms.buildTransform(profile, srgb, colour.mode, "RGB").apply(colour)
        except (OSError, ValueError, ImageCms.PyCMSError) as error:
            log.warning("%s has a colour profile that cannot be used (%s); it is left out.", subject, error)
    return colour if colour.mode == "RGB" else colour.convert("RGB")
