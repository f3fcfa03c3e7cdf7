"""How many frames a second are painted of a film with sound, from file to file? Beside the loop that everyone writes.

    python benchmarks/film.py
    python benchmarks/film.py --style udnie --seconds 10 --rounds 1

A film that pans over a drawn picture is painted as ``python -m nst_core video`` does it, steadily and frame by frame.
The peer decodes with PyAV, paints each frame with pytorch/examples' own network, eagerly in float32, and encodes with
libx264 as it is by default; it has no sound to care for, and gets the first frames alone. The three take turns. What
ours wrote is read again: it has to have every frame, and the sound to the last byte.
"""

import argparse
import statistics
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from inference import Peer, photograph

from nst_core import Registry, Style, stylize_video
from nst_core.memory import keep_freed_memory

RATE, SAMPLES = 24, 48_000


def make_film(path: Path, frames: int, size: tuple[int, int]) -> None:
    """Write a film of 24 frames a second, with a keyframe every two seconds, and a tone that rises and falls."""
    width, height = size
    wide = np.array(photograph(width + 240, height))
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.options = {"g": str(2 * RATE)}
        sound = film.add_stream("aac", rate=SAMPLES)
        for number in range(frames):
            left = abs(number % 480 - 240)
            seen = np.ascontiguousarray(wide[:, left : left + width])
            film.mux(stream.encode(av.VideoFrame.from_ndarray(seen, format="rgb24")))
            begin = number * SAMPLES // RATE
            instant = np.arange(begin, begin + SAMPLES // RATE) / SAMPLES
            tone = 0.2 * np.sin(2000 * instant + 500 * np.sin(instant))
            heard = av.AudioFrame.from_ndarray(np.stack([tone, tone]).astype(np.float32), format="fltp")
            heard.rate, heard.pts, heard.time_base = SAMPLES, begin, Fraction(1, SAMPLES)
            film.mux(sound.encode(heard))
        film.mux(sound.encode(None))
        film.mux(stream.encode(None))


def contents(path: Path) -> tuple[int, float, bytes]:
    """Frames, seconds, and the sound's packets."""
    with av.open(str(path)) as film:
        frames = sum(1 for _ in film.decode(video=0))
    with av.open(str(path)) as film:
        sound = b"".join(bytes(packet) for packet in film.demux(audio=0))
        return frames, (film.duration or 0) / av.time_base, sound


def ours(film: Path, style: Style, out: Path, *, steady: bool) -> float:
    """Seconds a frame; checks what was written."""
    began = time.perf_counter()
    *_, last = stylize_video(film, style, out, steady=steady)
    seconds = time.perf_counter() - began
    frames, length, sound = contents(film)
    painted, painted_length, painted_sound = contents(out)
    assert (painted, painted_sound) == (frames, sound), f"{painted} frames of {frames}, or not the same sound"
    assert abs(length - painted_length) < 1 / RATE, f"{painted_length} s of {length} s"
    return seconds / last.frame


def peer(film: Path, network: Peer, out: Path, frames: int) -> float:
    """Seconds a frame."""
    began = time.perf_counter()
    with av.open(str(film)) as source, av.open(str(out), "w") as painted, torch.no_grad():
        stream, size = painted.add_stream("libx264", rate=RATE), source.streams.video[0]
        stream.width, stream.height, stream.pix_fmt = size.width, size.height, "yuv420p"
        for number, frame in enumerate(source.decode(video=0)):
            if number == frames:
                break
            pixels = torch.from_numpy(frame.to_ndarray(format="rgb24"))
            picture = network(pixels.permute(2, 0, 1)[None].float())[0].clamp(0, 255).permute(1, 2, 0)
            shown = picture[: frame.height, : frame.width].to(torch.uint8).contiguous().numpy()
            painted.mux(stream.encode(av.VideoFrame.from_ndarray(shown, format="rgb24")))
        painted.mux(stream.encode(None))
    return (time.perf_counter() - began) / frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--style", action="append", help="may be repeated; by default great-wave and its lite")
    parser.add_argument("--size", type=int, nargs=2, default=(1280, 720), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--seconds", type=int, default=10, help="of the film")
    parser.add_argument("--peer-frames", type=int, default=10, help="that the peer paints")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        film, out = Path(folder, "film.mp4"), Path(folder, "out.mp4")
        make_film(film, arguments.seconds * RATE, tuple(arguments.size))
        for name in arguments.style or ["great-wave", "great-wave-lite"]:
            style = Registry.load().open(name)
            network = Peer(Registry.load().open(name).network.state_dict())
            rounds = []
            for _ in range(arguments.rounds):
                rounds.append(
                    (
                        peer(film, network, out, arguments.peer_frames),
                        ours(film, style, out, steady=False),
                        ours(film, style, out, steady=True),
                    )
                )
                print(f"{name}: " + ", ".join(f"{1 / seconds:.2f}" for seconds in rounds[-1]), flush=True)
            plain, frame_by_frame, steadily = map(statistics.median, zip(*rounds, strict=True))
            print(
                f"{name}, {' × '.join(map(str, arguments.size))} px, {arguments.seconds} s with sound, frames/s: "
                f"the peer {1 / plain:.2f}, frame by frame {1 / frame_by_frame:.2f} ({plain / frame_by_frame:.1f} ×), "
                f"steadily {1 / steadily:.2f} ({plain / steadily:.1f} ×)"
            )


if __name__ == "__main__":
    main()
