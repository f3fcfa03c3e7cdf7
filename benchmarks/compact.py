"""What ``compact`` is worth beside the networks that it was distilled from.

On photographs that neither has seen: the correlation of its activations with theirs, layer by layer, that of the
distilled network among them for comparison; and how a picture optimised under ``compact`` scores under the teacher,
beside one optimised under the teacher itself. Prints tables.
"""

import argparse
import statistics
from pathlib import Path

import torch
from torch import Tensor

from nst_core import load_features, open_picture, optimize
from nst_core.features import VGG19, Hybrid
from nst_core.images import is_photograph, to_tensor
from nst_core.memory import keep_freed_memory

SHARED = Path(__file__).resolve().parents[2] / "shared"
LAYERS = ("relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1", "relu4_1", "relu5_1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=Path, default=SHARED / "features", help="the teacher's folder")
    parser.add_argument("--photos", type=Path, default=SHARED / "photos" / "eval")
    parser.add_argument("--paintings", type=Path, default=SHARED / "paintings")
    parser.add_argument("--size", type=int, default=256, help="of the pictures to optimise, pixels")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--count", type=int, default=4, help="how many pictures to optimise")
    args = parser.parse_args()
    if not (args.features.is_dir() and args.photos.is_dir() and args.paintings.is_dir()):
        print("skipped: the teacher, the photographs or the paintings are not here")
        return
    keep_freed_memory()
    teacher, compact = load_features(args.features), load_features("compact")
    assert isinstance(teacher, Hybrid)
    distilled = teacher.networks[1]
    assert isinstance(distilled, VGG19)

    photos = list(filter(is_photograph, sorted(args.photos.iterdir())))
    correlations: dict[str, list[tuple[float, float]]] = {layer: [] for layer in LAYERS}
    with torch.no_grad():
        for path in photos:
            picture = to_tensor(open_picture(path)) / 255
            seen, by_compact = teacher(picture, LAYERS), compact(picture, LAYERS)
            by_distilled = distilled(picture, [layer for layer in LAYERS if layer in distilled.layers])
            for layer in LAYERS:
                other = by_distilled.get(layer)
                correlations[layer].append(
                    (
                        correlation(by_compact[layer], seen[layer]),
                        correlation(other, seen[layer]) if other is not None else float("nan"),
                    )
                )
    print(f"correlation with the teacher's activations, mean over {len(photos)} photographs")
    print(f"{'layer':<10}{'compact':>10}{'the distilled one':>20}")
    for layer, pairs in correlations.items():
        ours, theirs = (statistics.fmean(column) for column in zip(*pairs, strict=True))
        print(f"{layer:<10}{ours:>10.3f}{theirs:>20.3f}")

    print(f"\nthe teacher's loss of pictures of {args.size} px after {args.steps} steps")
    print(f"{'photograph':<14}{'painting':<28}{'by compact':>12}{'by the teacher':>16}{'ratio':>8}")
    ratios = []
    paintings = list(filter(is_photograph, sorted(args.paintings.iterdir())))
    for number, path in enumerate(photos[:: max(1, len(photos) // args.count)][: args.count]):
        content, painting = open_picture(path), open_picture(paintings[2 * number % len(paintings)])
        own = list(optimize(content, painting, features=teacher, size=args.size, steps=args.steps, saturation=0))[-1]
        other = list(optimize(content, painting, features=compact, size=args.size, steps=args.steps, saturation=0))[-1]
        judged = next(
            optimize(content, painting, features=teacher, size=args.size, scales=1, steps=1, optimizer="sgd",
                     learning_rate=1e-6, precision="exact", start=other.picture)
        )  # fmt: skip
        ratios.append(judged.total / own.total)
        names = f"{path.stem:<14}{paintings[2 * number % len(paintings)].stem:<28}"
        print(f"{names}{judged.total:>12.4f}{own.total:>16.4f}{ratios[-1]:>8.3f}", flush=True)
    print(f"median ratio {statistics.median(ratios):.3f}")


def correlation(left: Tensor, right: Tensor) -> float:
    """Pearson's, over all channels and positions."""
    return float(torch.corrcoef(torch.stack([left.flatten(), right.flatten()]))[0, 1])


if __name__ == "__main__":
    main()
