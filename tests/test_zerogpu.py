"""Optimisations on a GPU that Spaces share: the real ``spaces`` package against a loopback API of the GPUs' keeper."""

import json
import os
import subprocess
import sys
from collections.abc import Collection, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from made_features import make_features
from made_zerogpu import METHOD, STEPS, painting, picture
from torch import Tensor

from nst_core.features import FeaturesError, Hybrid, load_features
from nst_core.optimization import optimize
from ui import zerogpu

pytestmark = pytest.mark.slow

LOANS = 10
"""How many are asked for before those that are refused."""
REFUSED = 2
"""How many are refused before the line is cut."""


class Keeper(ThreadingHTTPServer):
    """Lends a GPU a few times, then says that the quota is spent, then nothing."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, list[str]]]] = []
        super().__init__(("127.0.0.1", 0), RepaintWidgets)

    def asked(self, path: str) -> list[dict[str, list[str]]]:
        return [query for called, query in self.calls if called == path]


class RepaintWidgets(BaseHTTPRequestHandler):
    server: Keeper

    def do_POST(self) -> None:
        address = urlsplit(self.path)
        self.server.calls.append((address.path, parse_qs(address.query)))
        loans = len(self.server.asked("/schedule"))
        if loans > LOANS + REFUSED:
            self.close_connection = True
            return
        status, answer = 200, b"{}"
        if address.path == "/schedule" and loans <= LOANS:
            loan = {"idle": False, "nvidiaIndex": 0, "nvidiaUUID": "GPU-0", "allowToken": f"token-{loans}"}
            answer = json.dumps(loan).encode()
        elif address.path == "/schedule":
            status, answer = 429, json.dumps({"left": 3, "wait": "PT1H"}).encode()
        self._answer(status, answer)

    def do_GET(self) -> None:
        self._answer(200, str(len(self.server.asked("/release"))).encode())

    def _answer(self, status: int, answer: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *words: Any) -> None:
        """Say nothing."""


class Tired(Hybrid):
    """Refuses after a few looks."""

    looks = 0

    def forward(self, pictures: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        self.looks += 1
        if self.looks > 9:
            raise FeaturesError("This network is tired.")
        return super().forward(pictures, layers)


@pytest.fixture(scope="module")
def keeper() -> Iterator[Keeper]:
    with Keeper() as keeper:
        Thread(target=keeper.serve_forever, daemon=True).start()
        yield keeper
        keeper.shutdown()


@pytest.fixture(scope="module")
def answer(keeper: Keeper, registry_file: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What came of the runs in ``made_zerogpu.py``."""
    folder = tmp_path_factory.mktemp("lent")
    there = f"http://127.0.0.1:{keeper.server_port}"
    # On its disk ``spaces`` keeps notes of processes.
    environment = os.environ | {"SPACES_ZERO_GPU": "1", "SPACES_ZERO_DEVICE_API_URL": there, "HOME": str(folder)}
    script = Path(__file__).with_name("made_zerogpu.py")
    done = subprocess.run(
        [sys.executable, script, registry_file, folder], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_run_has_the_losses_of_one_without_a_loan(answer: dict[str, Any], tmp_path: Path) -> None:
    expected = [step.total for step in optimize(picture(), painting(), METHOD, features=make_features(tmp_path))]
    assert answer["totals"] == pytest.approx(expected, rel=0.02)  # threads round in another order
    assert len(expected) == STEPS


def test_it_is_gone_on_with(answer: dict[str, Any]) -> None:
    assert answer["gone on"][:STEPS] == answer["totals"] and len(answer["gone on"]) == STEPS + 3
    assert answer["gone on"][-1] <= answer["totals"][-1]
    assert answer["picture"] == [48, 32]


def test_it_stops_when_it_is_told_to_with_what_it_has(answer: dict[str, Any]) -> None:
    stopped, line, steps = answer["stopped"]
    assert 1 <= stopped < 2000 and line.startswith("Stopped")
    assert steps == list(range(1, stopped + 3))  # the run was continued from the step that was seen last


def test_it_goes_on_while_others_paint_for_it_is_paid_for_by_the_second(answer: dict[str, Any]) -> None:
    assert answer["beside"] == STEPS


def test_a_loan_is_given_back_by_the_thread_that_may_wait_for_it(answer: dict[str, Any]) -> None:
    assert answer["left"] == [0, 1]


def test_going_on_is_lent_the_time_of_steps_at_full_size(answer: dict[str, Any], keeper: Keeper) -> None:
    seconds = [int(query["durationSeconds"][0]) for query in keeper.asked("/schedule")]
    assert zerogpu.MIN_LOAN < answer["loan"]["own"] < answer["loan"]["more"] < zerogpu.MAX_LOAN
    assert answer["loan"]["more"] in seconds and answer["loan"]["own"] not in seconds


def test_steps_before_a_refusal_arrive(tmp_path: Path) -> None:
    make_features(tmp_path)
    exact, distilled = load_features(tmp_path).networks  # type: ignore[misc]
    wish = {"content": picture(), "styles": [painting()], "features": Tired(exact, distilled)}
    sent, steps = zerogpu.optimize_there(60, method=replace(METHOD, seconds=60.0, scales=1), **wish), list[int]()
    with pytest.raises(FeaturesError, match="tired"):
        steps.extend(step.step for step in sent)
    assert steps == list(range(1, len(steps) + 1)) and len(steps) > 2


def test_a_refusal_arrives_as_its_sentence(answer: dict[str, Any]) -> None:
    assert "weights should be finite" in answer["refusal"]


def test_the_page_paints_beside_it_and_optimises_through_it(answer: dict[str, Any]) -> None:
    assert answer["api"] == [[48, 32], 3] and answer["painted"] == [60, 40]


def test_who_has_no_time_left_is_told_so(answer: dict[str, Any]) -> None:
    assert "The GPU that this Space shares with others" in answer["none left"]
    assert "limit" in answer["none left"] or "quota" in answer["none left"]


def test_a_run_that_is_refused_more_steps_stays_as_it_is(answer: dict[str, Any]) -> None:
    refusal, before, after = answer["not gone on"]
    assert "The GPU that this Space shares with others" in refusal
    assert before == after and before[0].startswith("Stopped")


def test_a_broken_connection_is_a_sentence(answer: dict[str, Any]) -> None:
    assert answer["cut off"].startswith("The GPU that this Space shares with others could not continue")


def test_every_loan_is_for_what_was_asked_and_is_given_back(answer: dict[str, Any], keeper: Keeper) -> None:
    assert len(keeper.asked("/startup-report")) == 1
    seconds = [int(query["durationSeconds"][0]) for query in keeper.asked("/schedule")]
    assert all(zerogpu.MIN_LOAN <= number <= zerogpu.MAX_LOAN for number in seconds)
    assert len(set(seconds)) > 1  # the long run asked for more
    lent_out = {query["allowToken"][0] for query in keeper.asked("/allow")}
    assert lent_out == {query["allowToken"][0] for query in keeper.asked("/release")}
    assert len(lent_out) == LOANS
