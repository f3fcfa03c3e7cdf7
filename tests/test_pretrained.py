"""torchvision's VGG19: the real Hub client against a Hub on the loopback interface, and files found on the machine."""

import hashlib
import json
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import torch
from loopback_hub import LoopbackHub, Repo
from safetensors.torch import save
from torch import Tensor

from nst_core.pretrained import FILE, REPO, REVISION, TORCHVISION_FILE, _read_pickle

ASK = """
import json, logging
from pathlib import Path
import torch
from huggingface_hub import constants, hf_hub_download
from nst_core.features import FeaturesError, load_features
from nst_core.pretrained import FILE, REPO, REVISION, torchvision_weights

shapes, answers, records = {shapes!r}, [], []
handler = logging.Handler()
handler.emit = lambda record: records.append(record.getMessage())
logging.getLogger("nst_core").addHandler(handler)
kept = Path(constants.HF_HOME, "assets", "nst-core", "timm--vgg19.tv_in1k-" + REVISION + ".safetensors")

def ask(**options):
    try:
        weights = torchvision_weights(shapes, **options)
        answers.append({{name: [list(tensor.shape), tensor.double().sum().item()] for name, tensor in weights.items()}})
    except FeaturesError as error:
        answers.append(str(error))

{steps}
print(json.dumps([answers, records]))
"""
SHAPES = {"features.0.weight": (8, 3, 3, 3), "features.0.bias": (8,), "features.2.weight": (400, 8, 3, 3)}
CONNECT = "connect once, or choose compact or a folder of feature networks."


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with LoopbackHub() as hub:
        yield hub


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "home" / "assets" / "nst-core" / f"timm--vgg19.tv_in1k-{REVISION}.safetensors"


@pytest.fixture
def ask(hub: LoopbackHub, tmp_path: Path) -> Any:
    """Take steps in another process; what ``ask`` in them came to, and what was logged."""

    def ask(steps: str, **environment: str) -> Any:
        script = ASK.format(shapes=SHAPES, steps=steps)
        return hub.run(script, tmp_path / "home", **{"TORCH_HOME": str(tmp_path / "torch"), **environment})

    return ask


def make_weights(seed: int = 0) -> dict[str, Tensor]:
    """Convolutions, and a classifier that is a hundred times as large."""
    generator = torch.Generator().manual_seed(seed)
    weights = {name: torch.rand(shape, generator=generator) for name, shape in SHAPES.items()}
    return weights | {"head.fc.bias": torch.zeros(1000), "pre_logits.fc1.weight": torch.zeros(3_000_000)}


def summary(weights: dict[str, Tensor]) -> dict[str, Any]:
    return {name: [list(weights[name].shape), weights[name].double().sum().item()] for name in SHAPES}


def repo_of(weights: dict[str, Tensor] | bytes, **about: Any) -> Repo:
    data = weights if isinstance(weights, bytes) else save(weights)
    return Repo(commits={REVISION: {FILE: data}}, **about)


def save_pickle(folder: Path, weights: dict[str, Tensor], *, zipped: bool = False) -> tuple[Path, str]:
    """A file as torch.hub keeps it, and how its SHA-256 begins. torchvision's is from 2017, when none was zipped."""
    path = folder / "hub" / "checkpoints" / TORCHVISION_FILE
    path.parent.mkdir(parents=True)
    torch.save(weights, path, _use_new_zipfile_serialization=zipped)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()[:8]


def test_vgg19_is_fetched_without_its_classifier_and_kept(hub: LoopbackHub, ask: Any, kept: Path) -> None:
    """The real shapes: 80 MB of convolutions."""
    places = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]
    widths = [3, 64, 64, 128, 128, *[256] * 4, *[512] * 8]
    weights = {"pre_logits.fc1.weight": torch.zeros(20_000_000)}
    for value, (place, into, out) in enumerate(zip(places, widths[:-1], widths[1:], strict=True), start=1):
        weights[f"features.{place}.weight"] = torch.full((out, into, 3, 3), value / 100)
        weights[f"features.{place}.bias"] = torch.full((out,), float(value))
    hub.repos[REPO] = repo_of(weights)
    steps = """
network = load_features("vgg19", pooling="average")
answers += [network.pooling, network.layers[-1], network.training, any(p.requires_grad for p in network.parameters())]
answers += [network.conv5_4.weight.mean().item(), network.conv1_1.bias[0].item()]
"""
    expected = ["average", "relu5_4", False, False, pytest.approx(0.16), 1.0]
    assert ask(steps) == [expected, []]
    assert hub.requests == [f"GET /{REPO}/resolve/{REVISION}/{FILE}"] * 2
    convolutions = 4 * 20_024_384
    assert convolutions < hub.sent < convolutions + 2**17
    assert [file.name for file in kept.parent.iterdir()] == [kept.name]

    [*answers, offline], records = ask(steps + "ask(repo='user/other')", HF_HUB_OFFLINE="1")
    assert answers == expected and records == [] and len(hub.requests) == 2
    assert offline == (
        "VGG19's weights could not be fetched from user/other on the Hugging Face Hub (HF_HUB_OFFLINE is set); "
        + CONNECT
    )


def test_a_damaged_file_is_fetched_again(hub: LoopbackHub, ask: Any, kept: Path) -> None:
    weights = make_weights()
    hub.repos[REPO] = repo_of(weights, redirects=True)
    steps = """
from safetensors.torch import load_file, save_file
ask()
ask()
kept.write_bytes(kept.read_bytes()[:-1])
ask()
ask()
tensors = load_file(kept)
tensors["features.0.bias"][3] = torch.nan
save_file(tensors, kept)
ask()
ask()
"""
    answers, [cut, nan] = ask(steps, HF_TOKEN=hub.account("user"))
    assert answers == [summary(weights)] * 6
    resolve, cdn = f"/{REPO}/resolve/{REVISION}/{FILE}", f"/cdn/{REPO}/{REVISION}/{FILE}"
    assert hub.requests == [f"GET {resolve}", f"GET {cdn}"] * 2 * 3, "three times fetched"
    assert hub.with_token == [resolve] * 2 * 3, "no token leaves the Hub"
    assert hub.sent / 3 < len(hub.repos[REPO].commits[REVISION][FILE]) / 50
    assert cut.startswith(f"Skipped: {kept} cannot be used: ")
    wrong = "features.0.bias holds NaN or infinity, but every weight should be a finite number"
    assert nan == f"Skipped: {kept} cannot be used: {wrong}."


def test_what_cannot_be_had_leaves_nothing(hub: LoopbackHub, ask: Any, kept: Path) -> None:
    weights = make_weights()
    convolutions = {name: weights[name] for name in SHAPES}
    data = save(weights)
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header["features.0.weight"]["data_offsets"] = [0, 864]
    overlapping = json.dumps(header).encode()
    hub.repos = {
        "a/fails": repo_of(weights, fails=HTTPStatus.SERVICE_UNAVAILABLE),
        "a/gated": repo_of(weights, gated=True),
        "a/silent": repo_of(weights, cuts=0),
        "a/broken": repo_of(weights, cuts=70_000),
        "a/whole": repo_of(weights, ignores_ranges=True),
        "a/short": repo_of(data[: start + 1000]),
        "a/shape": repo_of({**weights, "features.0.bias": torch.zeros(7)}),
        "a/half": repo_of({name: tensor.half() for name, tensor in weights.items()}),
        "a/lacks": repo_of({"features.0.bias": weights["features.0.bias"]}),
        "a/gap": repo_of({**convolutions, "features.1.weight": torch.zeros(5)}),
        "a/overlap": repo_of(len(overlapping).to_bytes(8, "little") + overlapping + data[start:]),
        "a/infinite": repo_of({**weights, "features.0.bias": torch.full((8,), torch.inf)}),
        "a/header": repo_of((2**40).to_bytes(8, "little") + data),
        "a/other": repo_of((16).to_bytes(8, "little") + b'{"a": 1}        ' + data),
        "a/empty": repo_of(b""),
    }
    reached = {
        "a/fails": "it answered 503",
        "a/gated": "it answered 403",
        "a/nobody": "it answered 401",
        "a/silent": "it could not be reached, or the connection was lost",
        "a/broken": "it could not be reached, or the connection was lost",
    }
    unfit = {
        "a/whole": "the server did not send the range that was asked for",
        "a/short": "it was cut short",
        "a/shape": "features.0.bias is 'F32' of (7,), but should be 'F32' of (8,)",
        "a/half": "features.0.weight is 'F16' of (8, 3, 3, 3), but should be 'F32' of (8, 3, 3, 3)",
        "a/lacks": "it lacks 'features.0.weight', 'features.2.weight'",
        "a/gap": "the convolutions should be 116,096 bytes in one piece",
        "a/overlap": "Error while deserializing: invalid offset",
        "a/infinite": "features.0.bias holds NaN or infinity, but every weight should be a finite number",
        "a/header": "its header should take at most 65,528 bytes",
        "a/other": "'a' in its header should be",
        "a/empty": "its header should take at most 65,528 bytes",
    }
    repos = [*reached, *unfit]
    answers, records = ask(f"for repo in {repos!r}: ask(repo=repo)")
    assert records == []
    for repo, answer in zip(repos, answers, strict=True):
        begin = f"VGG19's weights could not be fetched from {repo} on the Hugging Face Hub ("
        if repo in reached:
            assert answer == f"{begin}{reached[repo]}); {CONNECT}"
        else:
            assert answer.startswith(f"{begin}{FILE} is not as it should be: {unfit[repo]}")
            assert answer.endswith("); choose compact or a folder instead.")
    assert not kept.parent.exists()


def test_what_is_on_the_machine_is_used(hub: LoopbackHub, ask: Any, tmp_path: Path, kept: Path) -> None:
    theirs, ours = make_weights(1), make_weights()
    path, sha256 = save_pickle(tmp_path / "torch", theirs)
    hub.repos[REPO] = repo_of(ours)
    steps = f"""
import shutil
ask(sha256={sha256!r})
hf_hub_download(REPO, FILE, revision=REVISION)
ask(sha256="01234567")
shutil.rmtree(constants.HF_HUB_CACHE)
torch.hub.set_dir("nowhere")
kept.parent.parent.touch()
ask()
"""
    answers, [passed_over, not_kept] = ask(steps)
    assert answers == [summary(theirs), summary(ours), summary(ours)]
    assert (
        passed_over
        == f"Skipped: {path} cannot be used: its SHA-256 begins with {sha256}, but should begin with 01234567."
    )
    assert not_kept.startswith(f"VGG19's weights could not be saved in {kept.parent} (Not a directory): ")
    assert [request.split()[0] for request in hub.requests] == ["HEAD", "GET", "GET", "GET"]


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_is_nothing_but_weights(tmp_path: Path, zipped: bool) -> None:
    weights = make_weights()
    path, sha256 = save_pickle(tmp_path / "a", weights, zipped=zipped)
    read = _read_pickle(path, SHAPES, sha256)
    assert summary(read) == summary(weights) and list(read) == list(SHAPES)
    path, sha256 = save_pickle(tmp_path / "b", {**weights, "more": print}, zipped=zipped)  # type: ignore[dict-item]
    with pytest.raises(ValueError, match=r"^is not a checkpoint of tensors alone: "):
        _read_pickle(path, SHAPES, sha256)
