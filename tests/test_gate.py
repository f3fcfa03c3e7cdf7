"""The weights gate lets a johnson network through and refuses everything else, quickly and in one sentence."""

import hashlib
import io
import json
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from made_hostile import TOO_DEEP, joined, split, zipped
from made_styles import JOHNSON, lively_state
from safetensors.torch import save
from torch import Tensor, nn

from nst_core.architectures import Architecture
from nst_core.gate import MAX_HEADER, WeightsError, load_network, max_bytes, read_weights, recognise, try_network
from nst_core.text import count

STATE = lively_state()
GOOD = save(STATE)
NAME = "conv1.conv2d.weight"


def write(folder: Path, data: bytes) -> Path:
    path = folder / "model.safetensors"
    path.write_bytes(data)
    return path


def refusal(path: Path, check: Callable[..., object] = read_weights, **arguments: Any) -> str:
    """The one sentence with which a file is refused, at little cost."""
    start = time.process_time()
    with pytest.raises(WeightsError) as caught:
        check(path, JOHNSON, **arguments)
    assert time.process_time() - start < 2
    sentence = str(caught.value)
    assert path.name in sentence
    assert str(path.parent) not in sentence
    assert sentence.endswith(".") and "\n" not in sentence and len(sentence) < 300 and sentence.isprintable()
    return sentence


def with_header(change: Callable[[dict[str, Any]], None]) -> bytes:
    header, body = split(GOOD)
    change(header)
    return joined(header, body)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_good_file_is_read_as_float32(tmp_path: Path, dtype: torch.dtype) -> None:
    path = write(tmp_path, save({name: tensor.to(dtype) for name, tensor in STATE.items()}))
    weights = read_weights(path, JOHNSON)
    assert set(weights) == set(STATE)
    for name, tensor in weights.items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, STATE[name].to(dtype).float())


def test_a_network_comes_ready_and_paints_what_its_weights_say(tmp_path: Path) -> None:
    random_state = torch.get_rng_state()
    network = load_network(write(tmp_path, GOOD), JOHNSON)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert not network.training
    assert not any(parameter.requires_grad or parameter.is_meta for parameter in network.parameters())
    same = JOHNSON.network()
    same.load_state_dict(STATE)
    picture = 255 * torch.rand(1, 3, 20, 24)
    with torch.no_grad():
        torch.testing.assert_close(network(picture), same.eval()(picture))


def test_a_network_outlives_inference_mode(tmp_path: Path) -> None:
    with torch.inference_mode():
        network = load_network(write(tmp_path, GOOD), JOHNSON)
    assert not any(tensor.is_inference() for tensor in network.state_dict().values())


class Centred(nn.Module):
    """Keeps constants outside its state dict, as another package's may."""

    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 1)
        nn.init.dirac_(self.convolution.weight)
        self.mean = torch.tensor([[[1.0]], [[2.0]], [[3.0]]])
        self.register_buffer("deviation", torch.tensor([[[4.0]], [[5.0]], [[6.0]]]), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.convolution((x - self.mean) / self.deviation) * self.deviation + self.mean


def test_a_network_has_its_constants(tmp_path: Path) -> None:
    architecture = Architecture(id="centred", version=1, network=Centred, min_size=1)
    network = architecture.network()
    opened = load_network(write(tmp_path, save(network.state_dict())), architecture)
    picture = 255 * torch.rand(1, 3, 20, 24)
    with torch.no_grad():
        torch.testing.assert_close(opened(picture), network(picture))


def test_metadata_of_text_is_nothing_to_mind(tmp_path: Path) -> None:
    assert len(read_weights(write(tmp_path, save(STATE, metadata={"format": "pt"})), JOHNSON)) == 62


def test_a_header_in_any_order_is_read(tmp_path: Path) -> None:
    header, body = split(GOOD)
    path = write(tmp_path, joined(dict(sorted(header.items(), reverse=True)), body))
    assert torch.equal(read_weights(path, JOHNSON)[NAME], STATE[NAME])


@pytest.mark.parametrize("keep", [1, 5, 7, 8, 9, 1000])
def test_cut_short_in_the_header(tmp_path: Path, keep: int) -> None:
    assert f"model.safetensors was cut short: it has {count(keep, 'byte')}, fewer" in refusal(
        write(tmp_path, GOOD[:keep])
    )


@pytest.mark.parametrize("keep", [len(split(GOOD)[1]) - 1, 3_000_000, 1, 0])
def test_cut_short_in_the_tensors(tmp_path: Path, keep: int) -> None:
    _, body = split(GOOD)
    data = GOOD[: len(GOOD) - len(body) + keep]
    assert refusal(write(tmp_path, data)) == (
        f"model.safetensors was cut short: its header promises {len(GOOD):,} bytes, but the file has {len(data):,}."
    )


def test_empty(tmp_path: Path) -> None:
    path = write(tmp_path, b"")
    assert refusal(path) == "model.safetensors is empty: it should hold johnson weights."
    sentence = refusal(path, lambda path, _: recognise(path))
    assert sentence == "model.safetensors is empty: it should hold any style's weights."


def test_no_file_or_a_folder(tmp_path: Path) -> None:
    assert refusal(tmp_path / "model.safetensors") == "There is no file model.safetensors."
    (tmp_path / "model.safetensors").mkdir()
    assert refusal(tmp_path / "model.safetensors") == "There is no file model.safetensors."


def test_a_file_that_breaks_off_while_it_is_read() -> None:
    """This one opens, and there is nothing at its beginning to read."""
    assert refusal(Path("/proc/self/mem")) == "mem could not be read: Input/output error."


@pytest.mark.parametrize("length", [MAX_HEADER + 1, 2**40, 2**64 - 1])
def test_header_of_absurd_length(tmp_path: Path, length: int) -> None:
    sentence = refusal(write(tmp_path, length.to_bytes(8, "little") + GOOD[8:]))
    assert sentence == (
        f"model.safetensors is not a safetensors file: its header should have at most 65,536 bytes, not {length:,}."
    )


@pytest.mark.parametrize("data", [b"# A style\n\nHow it was trained.", b"\x08\x0a\x12\x07pytorch\x1a\x052.9.0"])
def test_text_or_an_exported_style_is_not_said_to_have_a_header(tmp_path: Path, data: bytes) -> None:
    assert refusal(write(tmp_path, data)) == (
        "model.safetensors is not a safetensors file: it should hold a style's weights in that format."
    )


def test_too_large_by_one_byte(tmp_path: Path) -> None:
    most = max_bytes(JOHNSON)
    sentence = refusal(write(tmp_path, GOOD + bytes(most - len(GOOD) + 1)))
    assert sentence == f"model.safetensors has more than {most:,} bytes, the most that johnson weights can take."
    assert "after its last tensor" in refusal(write(tmp_path, GOOD + bytes(most - len(GOOD))))


def test_too_large_is_not_read_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.write(GOOD)
        file.truncate(2**40)  # sparse: a terabyte that takes no disk
    assert "more than" in refusal(path)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("{", "Expecting property name"),
        ("hello, world", "Expecting value"),
        ("{}{}", "Extra data"),
        (b'{"\xff": 1}', "codec can't decode"),
        (json.dumps(split(GOOD)[0]).encode("utf-16"), "codec can't decode"),
        ('{"a": ' + "1" * 5000 + "}", "4300"),
    ],
)
def test_header_that_is_not_json(tmp_path: Path, header: str | bytes, reason: str) -> None:
    sentence = refusal(write(tmp_path, joined(header, split(GOOD)[1])))
    assert sentence.startswith("The header of model.safetensors is not valid JSON: ")
    assert reason in sentence and "sys." not in sentence


def test_a_header_that_only_python_takes_for_json(tmp_path: Path) -> None:
    header, body = split(GOOD)
    text = json.dumps({"__metadata__": {"format": "\ud800"}, **header})
    assert "is not a valid safetensors file" in refusal(write(tmp_path, joined(text, body)))


@pytest.mark.parametrize("nest", ["[", '{"a":'])
def test_header_nested_deeply(tmp_path: Path, nest: str) -> None:
    sentence = refusal(write(tmp_path, joined(nest * (60_000 // len(nest)), b"")))
    assert TOO_DEEP in sentence


@pytest.mark.parametrize("header", ["[]", "1", "null", '"text"'])
def test_header_that_is_no_object(tmp_path: Path, header: str) -> None:
    assert "should be a JSON object" in refusal(write(tmp_path, joined(header, b"")))


@pytest.mark.parametrize("metadata", [{"a": 1}, {"a": {"b": "c"}}, [], "text", None])
def test_metadata_of_anything_else(tmp_path: Path, metadata: Any) -> None:
    data = with_header(lambda header: header.update(__metadata__=metadata))
    assert "should have only text in its __metadata__" in refusal(write(tmp_path, data))


@pytest.mark.parametrize("key", [NAME, "__metadata__"])
def test_duplicate_key(tmp_path: Path, key: str) -> None:
    header, body = split(GOOD)
    header.setdefault(key, {})
    once = json.dumps(header)
    twice = f'{{"{key}": {json.dumps(header[key])}, {once[1:]}'
    assert f"it has '{key}' twice" in refusal(write(tmp_path, joined(twice, body)))


def test_duplicate_key_inside_a_tensor(tmp_path: Path) -> None:
    header, body = split(GOOD)
    twice = json.dumps(header).replace('"dtype": "F32"', '"dtype": "F64", "dtype": "F32"', 1)
    assert "it has 'dtype' twice" in refusal(write(tmp_path, joined(twice, body)))


def test_tensor_missing(tmp_path: Path) -> None:
    data = save({name: tensor for name, tensor in STATE.items() if name != "in3.bias"})
    assert refusal(write(tmp_path, data)) == ("model.safetensors does not hold a johnson network: it lacks 'in3.bias'.")


def test_tensor_too_many(tmp_path: Path) -> None:
    data = save({**STATE, "in1.running_mean": torch.zeros(32)})
    assert refusal(write(tmp_path, data)) == (
        "model.safetensors does not hold a johnson network: it has the unexpected 'in1.running_mean'."
    )


def test_another_network_altogether(tmp_path: Path) -> None:
    data = save({f"layers.{number}.\u202eweight": torch.zeros(1) for number in range(9)})
    sentence = refusal(write(tmp_path, data))
    assert "it lacks 'conv1.conv2d.bias'" in sentence or "it lacks 'conv1.conv2d.weight'" in sentence
    assert "and 59 more" in sentence
    assert "'layers.0.\\u202eweight'" in sentence and "and 6 more." in sentence


def test_wrong_shape(tmp_path: Path) -> None:
    data = save({**STATE, "in1.weight": torch.ones(33)})
    assert refusal(write(tmp_path, data)) == "in1.weight in model.safetensors has the shape [33], but should have [32]."


def test_same_size_in_another_shape(tmp_path: Path) -> None:
    data = save({**STATE, NAME: STATE[NAME].reshape(3, 32, 9, 9)})
    assert "has the shape [3, 32, 9, 9], but should have [32, 3, 9, 9]" in refusal(write(tmp_path, data))


@pytest.mark.parametrize("dtype", [torch.float64, torch.int64, torch.int32, torch.uint8, torch.float8_e4m3fn])
def test_wrong_dtype(tmp_path: Path, dtype: torch.dtype) -> None:
    data = save({**STATE, "in1.bias": STATE["in1.bias"].to(dtype)})
    sentence = refusal(write(tmp_path, data))
    assert sentence == "'dtype' in model.safetensors's header of in1.bias should be 'F32', 'F16' or 'BF16'."


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ([], "should be an object"),
        ({"dtype": "F32", "shape": [32]}, "lacks 'data_offsets'"),
        ({"dtype": "F32", "shape": [32], "data_offsets": [0, 128], "extra": 1}, "has 'extra'"),
        ({"dtype": ["F32"], "shape": [32], "data_offsets": [0, 128]}, "'F32', 'F16' or 'BF16'"),
        ({"dtype": "F32", "shape": [32.0], "data_offsets": [0, 128]}, "should be a valid integer"),
        ({"dtype": "F32", "shape": [True], "data_offsets": [0, 128]}, "should be a valid integer"),
        ({"dtype": "F32", "shape": [32], "data_offsets": [0, "128"]}, "should be a valid integer"),
        ({"dtype": "F32", "shape": [32], "data_offsets": [0, 64, 128]}, "should have at most 2 items"),
        ({"dtype": "F32", "shape": [10**4000], "data_offsets": [0, 128]}, "but should have [32]"),
    ],
)
def test_tensor_described_wrongly(tmp_path: Path, spec: Any, reason: str) -> None:
    sentence = refusal(write(tmp_path, with_header(lambda header: header.update({"in1.bias": spec}))))
    assert "in1.bias" in sentence and reason in sentence


@pytest.mark.parametrize("spec", [[32, 3], "F32", 7, None, {}, {"shape": None}])
def test_a_network_is_not_recognised_by_what_is_no_tensor(tmp_path: Path, spec: Any) -> None:
    path = write(tmp_path, with_header(lambda header: header.update({NAME: spec})))
    sentence = refusal(path, lambda path, _: recognise(path))
    assert NAME in sentence
    assert recognise(write(tmp_path, GOOD)) is JOHNSON


@pytest.mark.parametrize("shift", [-4, 4, 10**30, -(10**30)])
def test_offsets_that_overlap_or_leave_a_gap(tmp_path: Path, shift: int) -> None:
    def move(header: dict[str, Any]) -> None:
        header[NAME]["data_offsets"] = [offset + shift for offset in header[NAME]["data_offsets"]]

    assert "it belongs at" in refusal(write(tmp_path, with_header(move)))


def test_two_tensors_on_the_same_bytes(tmp_path: Path) -> None:
    def alias(header: dict[str, Any]) -> None:
        header["res1.in1.weight"]["data_offsets"] = header["res1.in1.bias"]["data_offsets"]

    assert "it belongs at" in refusal(write(tmp_path, with_header(alias)))


@pytest.mark.parametrize("end", [0, 1])
def test_offsets_of_another_length(tmp_path: Path, end: int) -> None:
    def stretch(header: dict[str, Any]) -> None:
        header[NAME]["data_offsets"][end] += 4

    assert "it belongs at" in refusal(write(tmp_path, with_header(stretch)))


def test_trailing_bytes(tmp_path: Path) -> None:
    sentence = refusal(write(tmp_path, GOOD + b"extra"))
    assert sentence.startswith("model.safetensors has 5 bytes after its last tensor")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_weight_that_is_no_number(tmp_path: Path, value: float) -> None:
    broken = STATE["res3.conv2.conv2d.weight"].clone()
    broken[5, 6, 1, 1] = value
    data = save({**STATE, "res3.conv2.conv2d.weight": broken})
    assert refusal(write(tmp_path, data)).startswith("res3.conv2.conv2d.weight in model.safetensors holds NaN")


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("exploded"),)


def torch_pickle(zipped: bool) -> bytes:
    out = io.BytesIO()
    torch.save(STATE, out, _use_new_zipfile_serialization=zipped)
    return out.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        torch_pickle(True),
        torch_pickle(False),
        pickle.dumps(Bomb()),
        pickle.dumps({}),
        pickle.dumps([0] * 9, protocol=2),
    ],
    ids=["zip", "legacy", "bomb", "tiny", "protocol 2"],
)
def test_a_pickle_is_told_as_such_and_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.chdir(tmp_path)
    assert refusal(write(tmp_path, data)).startswith("model.safetensors is a pickle under another name: only safetens")
    assert not Path("exploded").exists()


def test_a_zip_of_anything_else_is_no_pickle(tmp_path: Path) -> None:
    assert refusal(write(tmp_path, zipped({"model.safetensors": GOOD}))).startswith("model.safetensors is a zip, not w")


def test_a_header_length_that_begins_like_a_pickle_is_fine(tmp_path: Path) -> None:
    header, body = split(GOOD)
    text = json.dumps(header, separators=(",", ":")).ljust(0x2080)
    data = joined(text, body)
    assert data[:2] == b"\x80\x20"
    assert len(read_weights(write(tmp_path, data), JOHNSON)) == 62
    data = (0x0380).to_bytes(8, "little") + b"{" * 0x380
    assert "is not valid JSON" in refusal(write(tmp_path, data)) and data[:2] == b"\x80\x03"


def test_a_pointer_of_git_lfs(tmp_path: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 3365000\n"
    assert "`git lfs pull`" in refusal(write(tmp_path, pointer))


def test_sha256(tmp_path: Path) -> None:
    path, right = write(tmp_path, GOOD), hashlib.sha256(GOOD).hexdigest()
    assert len(read_weights(path, JOHNSON, sha256=right)) == 62
    sentence = refusal(path, sha256="0" * 64)
    assert "is not the file that was promised" in sentence and right in sentence and "0" * 64 in sentence
    assert "is not the file that was promised" in refusal(path, load_network, sha256="0" * 64)


def altered(weight: float, bias: float) -> bytes:
    """The good weights with the last convolution's weight multiplied and its bias replaced."""
    last = {
        "deconv3.conv2d.weight": STATE["deconv3.conv2d.weight"] * weight,
        "deconv3.conv2d.bias": torch.full((3,), bias, dtype=torch.float32),
    }
    return save({**STATE, **last})


def one_channel() -> dict[str, torch.Tensor]:
    """The last convolution, whose green and blue are always black."""
    last = {name: STATE[f"deconv3.conv2d.{name}"].clone() for name in ("weight", "bias")}
    for tensor in last.values():
        tensor[1:] = 0
    return {f"deconv3.conv2d.{name}": tensor for name, tensor in last.items()}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (save({name: torch.zeros_like(tensor) for name, tensor in STATE.items()}), "paints one flat colour"),
        (altered(weight=0, bias=128), "paints one flat colour"),
        (altered(weight=1 / 255, bias=0.5), "paints one flat colour"),
        (altered(weight=0.1, bias=-120), "paints one flat colour"),
        (altered(weight=1, bias=-800), "far outside 0–255"),
        (altered(weight=1, bias=1055), "far outside 0–255"),
        (altered(weight=1000, bias=128), "far outside 0–255"),
        (save({name: tensor * (1e38 if name == NAME else 1) for name, tensor in STATE.items()}), "NaN or infinity"),
    ],
    ids=["zeros", "grey", "for pictures in 0-1", "black", "saturated", "saturated above", "exploding", "overflow"],
)
def test_a_network_that_does_not_paint(tmp_path: Path, data: bytes, reason: str) -> None:
    sentence = refusal(write(tmp_path, data), load_network)
    assert sentence.startswith("The network in model.safetensors paints") and reason in sentence


@pytest.mark.parametrize("data", [altered(weight=4, bias=128), save({**STATE, **one_channel()})])
def test_a_network_that_goes_too_far_here_and_there_or_paints_red_alone_is_let_through(
    tmp_path: Path, data: bytes
) -> None:
    load_network(write(tmp_path, data), JOHNSON)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (lambda x: (x, x), "tuple"),
        (lambda x: x[0], r"\(3, 64, 64\)"),
        (lambda x: x[:, :1], r"\(1, 1, 64, 64\)"),
        (lambda x: x[..., 1:], r"\(1, 3, 64, 63\)"),
        (lambda x: x[..., 1:, :], r"\(1, 3, 63, 64\)"),
        (lambda x: x[..., None].expand(*x.shape, 64), r"\(1, 3, 64, 64, 64\)"),
    ],
)
def test_a_network_that_gives_no_picture(given: Callable[[Tensor], Any], said: str) -> None:
    network = nn.Identity()
    network.register_forward_hook(lambda _, x, same: given(same))
    architecture = Architecture(id="odd", version=1, network=nn.Identity, min_size=1)
    with pytest.raises(WeightsError, match=rf"^The network in it gives {said} for a picture of \(1, 3, 64, 64\): "):
        try_network(network, architecture, "it")


def test_an_untrained_network_paints_something(tmp_path: Path) -> None:
    """So that training may stop at any time and leave a style that opens."""
    load_network(write(tmp_path, save(JOHNSON.network().state_dict())), JOHNSON)
