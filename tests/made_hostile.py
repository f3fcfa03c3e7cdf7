"""Uploads that are no style, or say hostile things: each with a part of the sentence that it should be told."""

import io
import json
import pickle
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import save

from nst_core.architectures import ARCHITECTURES
from nst_core.style import CARD, CONFIG, MAX_BYTES, PREVIEW, WEIGHTS, Card

LITE = ARCHITECTURES["johnson-lite"]
FIRST, LAST = "conv1.conv2d.weight", list(LITE.shapes)[-2]
TOO_DEEP = "nested too deeply" if sys.version_info < (3, 14) else "Expecting value: line 1 column 60001"
"""What a header of brackets that nothing closes is refused for: newer Pythons read all 60,000 characters of it."""


@dataclass(frozen=True)
class Upload:
    """A file that somebody uploads."""

    name: str
    data: bytes
    part: str
    """What is refused: a part of the report, or ``upload`` where there is none; empty where all passes."""
    reason: str
    """A part of that refusal's sentence; where all passes, of the report's words."""
    length: int = 0
    """Bytes, where the file is longer than its data."""


def split(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and tensors of a safetensors file."""
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def joined(header: dict[str, Any] | str | bytes, body: bytes) -> bytes:
    """The reverse of ``split``, with any header."""
    text = json.dumps(header) if isinstance(header, dict) else header
    encoded = text.encode() if isinstance(text, str) else text
    return len(encoded).to_bytes(8, "little") + encoded + body


class Bomb:
    """Makes a file where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("exploded"),)


@dataclass(frozen=True)
class Packed:
    """An entry of a zip, and what the zip says of it, true or not."""

    name: bytes
    data: bytes = b""
    method: int = 8
    flags: int = 0
    mode: int = 0o100644
    crc: int | None = None
    size: int | None = None
    stored: bytes | None = None
    """The bytes that stand in the zip, if not what Deflate makes of the data."""
    stored_size: int | None = None
    at: int | None = None
    """Where the list says that it begins."""
    extra: bytes = field(default=b"", repr=False)


def packed(*entries: Packed, listed: int | None = None) -> bytes:
    """A zip of these entries, to the letter."""
    body, directory = b"", b""
    for entry in entries:
        deflate = zlib.compressobj(wbits=-15)
        stored = entry.stored or (deflate.compress(entry.data) + deflate.flush() if entry.method == 8 else entry.data)
        crc = zlib.crc32(entry.data) if entry.crc is None else entry.crc
        size = len(entry.data) if entry.size is None else entry.size
        stored_size = len(stored) if entry.stored_size is None else entry.stored_size
        said = struct.pack("<HHHHIII", entry.flags, entry.method, 0, 33, crc, stored_size, size)
        said += struct.pack("<HH", len(entry.name), len(entry.extra))
        at = len(body) if entry.at is None else entry.at
        directory += b"PK\1\2" + struct.pack("<HH", 0x314, 20) + said
        directory += struct.pack("<HHHII", 0, 0, 0, entry.mode << 16, at) + entry.name + entry.extra
        body += b"PK\3\4" + struct.pack("<H", 20) + said + entry.name + entry.extra + stored
    listed = len(entries) if listed is None else listed
    return body + directory + b"PK\5\6" + struct.pack("<4xHHIIH", listed, listed, len(directory), len(body), 0)


def picture(format: str, size: tuple[int, int] = (64, 48), mode: str = "RGB") -> bytes:
    """A file of a plain picture."""
    out = io.BytesIO()
    Image.new(mode, size).save(out, format)
    return out.getvalue()


def lite_state() -> dict[str, torch.Tensor]:
    """Random weights of the smallest architecture, which paint something."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = LITE.network().state_dict()
    state[LAST] *= 15
    state[LAST.replace("weight", "bias")] += 128
    return {name: tensor.half() for name, tensor in state.items()}


def good_files() -> dict[str, bytes]:
    """A style's four files."""
    return {
        CONFIG: b'{"architecture": "johnson-lite", "architecture_version": 1}',
        WEIGHTS: save(lite_state()),
        CARD: Card(title="A Title", artist="An Artist", license="mit", text="# A Title").render().encode(),
        PREVIEW: picture("WEBP"),
    }


def zipped(files: dict[str, bytes], *more: Packed, folder: str = "") -> bytes:
    """A zip of files that are as they should be, and of more entries."""
    return packed(*(Packed(f"{folder}{name}".encode(), data) for name, data in files.items()), *more)


def uploads() -> Iterator[Upload]:
    """All of them, one after the other, as together they are large."""
    files = good_files()
    yield from _files(files)
    yield from _headers(files[WEIGHTS])
    yield from _weights()
    yield from _zips(files)

    def style(**changed: bytes) -> bytes:
        return zipped({name: changed.get(name.partition(".")[0], data) for name, data in files.items()})

    for name, config, reason in _configs():
        yield Upload(f"{CONFIG}: {name}", style(config=config), CONFIG, reason)
    for name, card, reason in _cards():
        yield Upload(f"{CARD}: {name}", style(README=card), CARD, reason)
    for name, preview, reason in _previews():
        yield Upload(f"{PREVIEW}: {name}", style(preview=preview), PREVIEW, reason)
    for name, changed, words in _texts(files):
        yield Upload(f"text: {name}", style(**changed), "", words)


def _files(files: dict[str, bytes]) -> Iterator[Upload]:
    """Files of another kind altogether."""
    out = io.BytesIO()
    torch.save({"weight": torch.ones(3)}, out)
    lite = files[WEIGHTS]
    film = b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + bytes(400)
    for name, data, reason in [
        ("an empty file", b"", "The file is empty"),
        ("gzip", b"\x1f\x8b\x08" + bytes(40), "a gzip archive"),
        ("7z", b"7z\xbc\xaf\x27\x1c" + bytes(40), "a 7z archive"),
        ("RAR", b"Rar!\x1a\x07\x01\x00" + bytes(40), "a RAR archive"),
        ("HDF5", b"\x89HDF\r\n\x1a\n" + bytes(40), "an HDF5 file"),
        ("a PNG", picture("PNG"), "a picture"),
        ("an HTML page", b"\n<!DOCTYPE html><script>alert(1)</script>", "a web page"),
        ("a checkpoint of PyTorch", out.getvalue(), "a checkpoint of PyTorch, which is a pickle"),
        ("a film", film, "The file is a film: upload weights as .safetensors, or a style's folder as"),
        ("a sound file", b"RIFF\0\1\0\0WAVEfmt " + bytes(40), "The file is a sound"),
        ("Lua's Torch", b"\4\0\0\0\1\0\0\0\3\0\0\0V 1" + bytes(40), "a network of Lua’s Torch"),
        ("text", b"hello, this is no style, but I like it", "The file is of an unknown kind"),
    ]:
        yield Upload(name, data, "upload", reason)
    for name, data, reason in [
        ("a pickle", pickle.dumps(Bomb()), "is a pickle under another name"),
        (
            "a Git LFS pointer",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n",
            "only a Git LFS pointer",
        ),
    ]:
        yield Upload(name, data, "upload", reason)
    yield Upload("a terabyte", lite, "upload", "The file has 1,099,511,627,776 bytes", length=2**40)


def _headers(good: bytes) -> Iterator[Upload]:
    """Safetensors whose header lies; some lies show only when the tensors are read."""
    header, body = split(good)
    once = json.dumps(header)
    spec = header["in1.bias"]

    def changed(name: str, **said: Any) -> bytes:
        return joined({**header, name: {**header[name], **said}}, body)

    def lied(name: str, text: str) -> bytes:
        return joined(once.replace(json.dumps(header[name]), text), body)

    def moved(name: str, *shift: int) -> bytes:
        offsets = [offset + by for offset, by in zip(header[name]["data_offsets"], shift, strict=True)]
        return changed(name, data_offsets=offsets)

    missing = {name: tensor for name, tensor in lite_state().items() if name != "in3.bias"}
    for name, data, reason in [
        ("seven bytes", good[:7], "cut short: it has 7 bytes"),
        ("header of no bytes", bytes(8) + good[8:], "line 1 column 1"),
        ("header a byte too large", (2**16 + 1).to_bytes(8, "little") + good[8:], "not 65,537"),
        ("header of -1 bytes", b"\xff" * 8 + good[8:], "not 18,446,744,073,709,551,615"),
        ("header longer than the file", joined(once, b"")[:3000], "cut short: it has 3,000 bytes"),
        ("header in Latin-1", joined(b'{"\xe9": 1}', body), "can't decode byte 0xe9"),
        ("header in UTF-16", joined(once.encode("utf-16"), body), "can't decode byte 0xff"),
        ("header that is no JSON", joined(once[:-1], body), "is not valid JSON: Expecting ','"),
        ("two headers", joined(once + once, body), "Extra data"),
        ("header with a comment", joined("{// mine\n" + once[1:], body), "Expecting property name"),
        ("nested lists", joined("[" * 60_000, body), TOO_DEEP),
        ("a list", joined(f"[{once}]", body), "should be a JSON object"),
        ("a number of 5,000 digits", lied("in1.bias", "1" * 5000), "limit (4300"),
        (
            "metadata that is no text",
            joined({"__metadata__": {"a": 1}, **header}, body),
            "only text in its __metadata_",
        ),
        ("a key twice", joined(f'{{"in1.bias": {json.dumps(spec)}, {once[1:]}', body), "it has 'in1.bias' twice"),
        (
            "metadata twice",
            joined(f'{{"__metadata__": {{}}, "__metadata__": {{}}, {once[1:]}', body),
            "'__metadata__' tw",
        ),
        ("a type twice", lied("in1.bias", '{"dtype": "F64", "dtype": "F16"}'), "it has 'dtype' twice"),
        ("no tensor", joined({}, body), "does not hold a "),
        ("a tensor missing", save(missing), "it lacks 'in3.bias'."),
        (
            "tensors of invisible names",
            joined({"\U000e0041" * 99 + str(n): spec for n in range(20)}, body),
            "\\U000e0041",
        ),
        ("NaN for a size", lied("in1.weight", '{"dtype": "F16", "shape": [NaN], "data_offsets": [0, 1]}'), "'shape.0'"),
        ("a shape of zero", changed("in1.bias", shape=[0]), "has the shape [0]"),
        ("a negative shape", changed("in1.bias", shape=[-16]), "has the shape [-16]"),
        ("a shape of no end", changed("in1.bias", shape=[10**4000]), "has the shape [1000"),
        ("a shape of many sizes", changed("in1.bias", shape=[1] * 9999), "has the shape [1, 1, 1"),
        (
            "a transposed shape",
            changed(FIRST, shape=LITE.shapes[FIRST][::-1]),
            f"{FIRST} in model.safetensors has the shap",
        ),
    ]:
        yield Upload(f"header: {name}", data, "upload", reason)
    for name, data, reason in [
        (
            "a foreign tensor",
            save({**lite_state(), "in1.running_mean": torch.zeros(8)}),
            "the unexpected 'in1.running_mean'",
        ),
        ("an unknown type", changed("in1.bias", dtype="Q4_K"), "header of in1.bias should be 'F32', 'F16' or 'BF16'"),
        ("double precision", changed("in2.bias", dtype="F64"), "header of in2.bias should be 'F32', 'F16' or 'BF16'"),
        ("sizes that are no integers", changed("in3.bias", shape=[float(LITE.shapes["in3.bias"][0])]), "'shape.0'"),
        ("three offsets", changed("in1.weight", data_offsets=[0, 8, 16]), "at most 2 items"),
        ("offsets that are text", changed("in2.weight", data_offsets=["0", 16]), "'data_offsets.0'"),
        ("a key of its own", changed("in3.weight", module="os"), "has 'module', which means nothing"),
        ("no offsets", lied("in1.bias", json.dumps({k: spec[k] for k in ("dtype", "shape")})), "lacks 'data_offsets'"),
        ("an overlap", moved("in2.bias", -2, -2), "places in2.bias wrongly"),
        ("a gap", moved("in3.bias", 2, 2), "it belongs at"),
        ("offsets the wrong way round", changed(FIRST, data_offsets=header[FIRST]["data_offsets"][::-1]), FIRST),
        ("offsets beyond all bounds", moved("in2.weight", 2**63, 2**64), "places"),
        ("another length", moved("in4.bias", 0, 2), "places in4.bias wrongly"),
        ("the same bytes", changed("in4.weight", data_offsets=header["in4.bias"]["data_offsets"]), "places"),
        ("trailing bytes", good + b"#!/bin/sh", "has 9 bytes after its last tensor"),
        ("cut short", good[:-2], "cut short: its header promises"),
    ]:
        yield Upload(f"header: {name}", data, WEIGHTS, reason)


def _weights() -> Iterator[Upload]:
    """Tensors that make no network that paints."""
    bias = LAST.replace("weight", "bias")

    def network(change: Callable[[dict[str, torch.Tensor]], object]) -> bytes:
        state = {name: tensor.float() for name, tensor in lite_state().items()}
        change(state)
        return save(state)

    for name, data, part, reason in [
        ("NaN", network(lambda state: state["in1.bias"][:1].fill_(float("nan"))), WEIGHTS, "in1.bias in model.safeten"),
        (
            "infinity",
            network(lambda state: state["in2.bias"][:1].fill_(-float("inf"))),
            WEIGHTS,
            "in2.bias in model.safe",
        ),
        ("zeros", network(lambda state: [tensor.zero_() for tensor in state.values()]), WEIGHTS, "one flat colour"),
        ("an explosion", network(lambda state: state[LAST].mul_(1e4)), WEIGHTS, "mostly far outside 0–255"),
        ("an overflow", network(lambda state: state[LAST].mul_(1e36)), WEIGHTS, "paints NaN or infinity"),
        ("glare", network(lambda state: state[bias].add_(250)), "a trial picture", "of its values lie outside 0–255"),
    ]:
        yield Upload(f"weights: {name}", data, part, reason)


def _zips(files: dict[str, bytes]) -> Iterator[Upload]:
    """Archives that would lead out of the folder, fill the disk, or are not what they say."""
    config, weights = Packed(CONFIG.encode(), files[CONFIG]), Packed(WEIGHTS.encode(), files[WEIGHTS])
    card = Packed(CARD.encode(), files[CARD])
    escapes = [
        b"../config.json",
        b"/etc/config.json",
        b"style/../../README.md",
        b"..\\config.json",
        b"C:config.json",
        b"\\\\host\\README.md",
        b"README.md\0.exe",
    ]
    for name in escapes:
        yield Upload(
            f"zip: {name!r}", packed(config, weights, Packed(name, b"x")), "upload", "may lead out of its folder"
        )
    full = zipped(files)
    zeros = zlib.compressobj(wbits=-15)
    bomb = b"".join(zeros.compress(bytes(2**20)) for _ in range(256)) + zeros.flush()
    for label, data, reason in [
        ("nothing", packed(), "lacks config.json and model.safetensors"),
        ("no weights", packed(config, card), "lacks model.safetensors"),
        ("a program", zipped(files, Packed(b"run.sh", b"#!/bin/sh")), "The zip holds 'run.sh'"),
        ("a name that turns around", zipped(files, Packed("\u202ecod.exe".encode(), flags=0x800)), "\\u202ecod.exe"),
        ("a zip in it", zipped(files, Packed(b"style.zip", full)), "The zip holds 'style.zip'"),
        ("a folder in a folder", zipped(files, folder="a/b/"), "The zip holds 'a/b/config.json'"),
        ("two folders", packed(config, replace(weights, name=b"style/model.safetensors")), "over several folders"),
        ("a name twice", packed(config, config, weights), "holds config.json twice"),
        (
            "a name twice, in two places",
            packed(weights, card, replace(card, name=b"a/README.md")),
            "holds README.md twice",
        ),
        ("a name twice, by case", zipped(files, Packed(b"Config.JSON", b"{}")), "The zip holds 'Config.JSON'"),
        (
            "a symbolic link",
            packed(config, Packed(WEIGHTS.encode(), b"/etc/passwd", mode=0o120777)),
            "safetensors' is a li",
        ),
        ("a device", packed(Packed(CONFIG.encode(), b"", mode=0o020666), weights), "'config.json' is a link or a dev"),
        ("a password", packed(config, replace(weights, flags=1)), "model.safetensors in the zip is locked"),
        ("strong encryption", packed(replace(config, flags=0x41), weights), "config.json in the zip is locked"),
        (
            "LZMA",
            packed(config, replace(weights, method=14)),
            "model.safetensors in the zip is packed in an unusual way",
        ),
        (
            "an unknown method",
            packed(replace(config, method=99), weights),
            "config.json in the zip is packed in an unus",
        ),
        ("10,000 entries", packed(*(Packed(b"training/%d.webp" % n) for n in range(10_000))), "list of files has"),
        (
            "10,000 entries that are said to be two",
            packed(*(Packed(b"%d" % n) for n in range(10_000)), listed=2),
            "list of",
        ),
        (
            "a bomb",
            packed(config, replace(weights, stored=bomb, size=2**28)),
            "model.safetensors in the zip has more than",
        ),
        (
            "a bomb that says it is small",
            packed(replace(config, stored=bomb, size=2**31), weights),
            "config.json in the zi",
        ),
        ("entries on the same bytes", packed(config, replace(weights, at=0)), "'model.safetensors' overlaps another"),
        ("an entry inside another", packed(config, weights, replace(card, at=300)), "'README.md' overlaps another"),
        ("an entry after the end", packed(config, weights, replace(card, at=2**31)), "ends 2,14"),
        ("an entry of 4 GB", packed(replace(config, stored_size=2**32 - 1), weights), "ends 4,29"),
        (
            "an entry of an exabyte",
            packed(config, replace(weights, stored_size=2**32 - 1, size=2**32 - 1, extra=_zip64())),
            "ends 1,152",
        ),
        ("a wrong CRC", packed(config, replace(weights, crc=1)), "model.safetensors in the zip is damaged"),
        ("damaged data", packed(replace(config, stored=b"\xff" * 40), weights), "config.json in the zip is damaged"),
        (
            "another name before the data",
            full.replace(CARD.encode(), b"README.mb", 1),
            "README.md in the zip is damaged",
        ),
        ("cut short", full[:-30], "The zip was cut short"),
        ("a list that is none", full.replace(b"PK\1\2", b"PK\1\1"), "list of files is damaged"),
    ]:
        yield Upload(f"zip: {label}", data, "upload", reason)
    large = Packed(PREVIEW.encode(), bytes(MAX_BYTES[PREVIEW] + 1))
    yield Upload(
        "zip: a preview too large", packed(config, weights, large), "upload", "preview.webp in the zip has more"
    )
    large = Packed(CARD.encode(), b" " * (MAX_BYTES[CARD] + 1))
    yield Upload(
        "zip: a card too large", packed(config, weights, large), "upload", "README.md in the zip has more than"
    )


def _zip64() -> bytes:
    """An extra field that says an entry has an exabyte, packed and unpacked."""
    return struct.pack("<HHQQ", 1, 16, 2**60, 2**60)


def _configs() -> Iterator[tuple[str, bytes, str]]:
    """Configurations, and why each is refused."""
    head = b'{"architecture": "johnson-lite", "architecture_version": 1'
    yield "1e999", head + b', "training": {"weight": 1e999}}', "it has the number 1e999"
    yield "10**400", head + b', "metrics": {"loss": 1' + b"0" * 400 + b"}}", "it has the number 10000"
    yield "minus 10**9999", head + b', "metrics": {"loss": -1' + b"0" * 9999 + b"}}", "number out of range"
    yield "NaN", head + b', "training": {"weight": NaN}}', "it has NaN"
    yield "infinity", head + b', "training": {"weight": -Infinity}}', "it has -Infinity"
    yield "deep nesting", head + b', "training": {"a": ' + b"[" * 100_000, "recursion limit exceeded"
    yield "keys twice", head + b', "architecture": "johnson-lite"}', "it has 'architecture' twice"
    yield "keys twice, far within", head + b', "training": {"a": [{"b": 1, "b": 2}]}}', "it has 'b' twice"
    yield (
        "an unknown architecture",
        b'{"architecture": "os.system", "architecture_version": 1}',
        "'os.system', but there",
    )
    yield (
        "an architecture turned around",
        b'{"architecture": "\\u202e' + b"x" * 9999 + b'", "architecture_version": 1}',
        "xx",
    )
    yield "no architecture", b'{"architecture_version": 1}', "lacks 'architecture'"
    yield "version 999", b'{"architecture": "johnson-lite", "architecture_version": 999}', "asks for version 999"
    yield "version 0", b'{"architecture": "johnson-lite", "architecture_version": 0}', "greater than or equal to 1"
    yield "version 10**300", head[:-1] + b"1" + b"0" * 300 + b"}", "less than or equal to 9999"
    yield "version 1.5", head + b".5}", "should be a valid integer"
    yield "training that is a list", head + b', "training": [' + b"1," * 99 + b"1]}", "'training' in config.json should"
    yield "half a character", head + b', "training": {"a": "\\ud800"}}', "hex escape"
    yield "UTF-16", (head + b"}").decode().encode("utf-16"), "config.json cannot be used: it is not UTF-8"
    yield "a list", b"[" + head + b"}]", "config.json should be an object"
    yield "nothing", b"", "EOF while parsing a value"
    yield "a pickle", b"cos\nsystem\n(S'touch exploded'\ntR.", "expected value at line 1"


def _cards() -> Iterator[tuple[str, bytes, str]]:
    """Cards, and why each is refused."""
    named = "title: A Title\nartist: An Artist\n"
    aliases = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 99))
    for name, front, reason in [
        ("exploding aliases", aliases, "an alias (*) is not allowed in line 2"),
        ("an alias of itself", "title: &a [*a]\n", "an alias (*) is not allowed in line 1"),
        ("a key twice", f"license: mit\n{named}license: mit\n", "a key appears twice"),
        ("a title of 1 MB", f"title: {'x' * 1_000_000}\n", "should have at most 32,768 characters"),
        ("deep nesting", "[" * 20_000 + "\n", "nested too deeply"),
        ("a list", "- title\n", "lines that read `key: value`"),
        ("a title that is a list", "title: [a, b]\n", "'title' in README.md should be a valid string"),
        ("tags of tags", f"{named}tags: [[a]]\n", "'tags.0' in README.md"),
        ("a bell", "title: \x07\n", "special characters are not allowed"),
        ("no YAML", "title: 'a\n", "unexpected end of stream in line 2"),
        ("a key that is a list", "? [a]\n: b\n", "unhashable key"),
        ("two documents", "title: a\n--- b\n", "found another document in line 2"),
        ("no licence", named, "it lacks 'license'"),
        ("no title, of spaces alone", 'title: "\u2003"\nartist: An Artist\nlicense: mit\n', "it lacks 'title'"),
        (
            "a licence that the Hub does not know",
            f"{named}license: do what you like\n",
            "'do what you like' is not one of",
        ),
        ("a licence that is markup", f"{named}license: '<script>{'x' * 999}'\n", "the licence '<script>x"),
        ("nothing but a bad licence", f"license: {'é' * 999}\n", "it lacks 'title', 'artist'"),
    ]:
        yield name, f"---\n{front}---\n".encode(), reason
    yield "no front matter", b"# Title\n<script>alert(1)</script>", "it lacks 'title', 'artist', 'license'"
    yield "Latin-1", "---\ntitle: Große Welle\n---\n".encode("latin-1"), "README.md cannot be used: it is not UTF-8"


def _previews() -> Iterator[tuple[str, bytes, str]]:
    """Previews, and why each is refused."""
    png = picture("PNG")
    # The size stands at the beginning, and is what a decoder makes room for.
    chunk = b"IHDR" + struct.pack(">II", 50_000, 50_000) + png[24:29]
    yield "an SVG", b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', "is not of a kind that can be read"
    yield "a decompression bomb", png[:12] + chunk + struct.pack(">I", zlib.crc32(chunk)) + png[33:], "50000 × 50000"
    yield "a bomb of black", picture("PNG", (16_000, 8_000), "1"), "16000 × 8000"
    yield "a side too long", picture("WEBP", (2049, 8)), "2049 × 8 px, but at most 2048"
    yield "nothing", b"", "is an empty file"
    yield "cut short", picture("WEBP")[:40], "damaged"
    yield "PNG cut short", png[:-40], "is damaged or incomplete"


def _texts(files: dict[str, bytes]) -> Iterator[tuple[str, dict[str, bytes], str]]:
    """Files that may be used, the hostile text in them made plain; and words of the report."""

    def card(**said: str) -> dict[str, bytes]:
        front = {"title": "A Title", "artist": "An Artist", "license": "mit", **said}
        lines = "".join(f"{key}: {value}\n" for key, value in front.items())
        return {"README": f"---\n{lines}---\n<script>alert(1)</script>\n".encode()}

    header, body = split(files[WEIGHTS])
    yield "HTML", card(title="<img src=x onerror=alert(1)>"), "<img src=x onerror=alert(1)>, An Artist, mit."
    yield "right to left", card(title='"a\\u202Eb\\u2066c\\u200Fd"'), "abcd, An Artist, mit."
    yield "terminal escapes", card(artist='"\\e]0;x\\a\\e[31mred"'), "A Title, ]0;x[31mred, mit."
    yield "a title of 30,000 characters", card(title="x" * 30_000), f"{'x' * 119}…, An Artist"
    yield "lines", card(title='"a\\n✗ b\\u2028c"'), "a ✗ b c, An Artist"
    yield (
        "Python's tags",
        card(title="!!python/object/apply:os.system touch exploded"),
        "touch exploded, An Artist, mit.",
    )
    yield "metadata", {"model": joined({"__metadata__": {"a": "<script>\x1b[31m"}, **header}, body)}, "54 tensors"
    yield "a PNG named WebP", {"preview": picture("PNG")}, "64 × 48 px"
