"""The community's listing: what the Hub says, kept for a while, and as it last was where the Hub is away or slow."""

import threading

import pytest

from nst_core.hub import Found, HubError
from nst_core.registry import Blocked, Registry
from ui import community
from ui.community import CommunityStyles, Sort, in_words
from ui.words import SPANISH

WAVE = Found("ada/wave", "a" * 40, "The Wave", "Ada", "mit", 3)
NIGHT = Found("eve/night", "b" * 40, "The Night", "", "", 0)


class Hub:
    """Answers when it is let."""

    def __init__(self) -> None:
        self.answer: list[Found] | HubError = [WAVE, NIGHT]
        self.asked: list[str] = []
        self.open = threading.Event()
        self.open.set()

    def find(self, sort: Sort) -> list[Found]:
        self.asked.append(sort)
        self.open.wait(30)
        if isinstance(self.answer, HubError):
            raise self.answer
        return self.answer


@pytest.fixture
def hub() -> Hub:
    return Hub()


def test_it_is_asked_once_in_a_while(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    board = CommunityStyles(Registry(()), hub.find)
    assert board.styles("likes") == board.styles("likes") == ([WAVE, NIGHT], "")
    board.styles("last_modified")
    assert hub.asked == ["likes", "last_modified"]
    assert board.find(f"ada/wave@{'a' * 40}") is WAVE and board.find("ada/wave") is None
    monkeypatch.setattr(community, "FRESH_SECONDS", 0)
    hub.answer = HubError("The Hub is away.")
    assert board.styles("likes") == ([WAVE, NIGHT], "The Hub is away. This is the list as it was last time.")
    hub.answer = [NIGHT]
    assert board.styles("likes") == ([NIGHT], "")


def test_it_is_not_waited_for_without_end(hub: Hub) -> None:
    board = CommunityStyles(Registry(()), hub.find)
    hub.open.clear()
    slow = "The Hugging Face Hub is slow to answer: open the list again in a moment."
    assert board.styles("likes", patience=0.05) == board.styles("likes", patience=0.05) == ([], slow)
    hub.open.set()
    assert board.styles("likes") == ([WAVE, NIGHT], "")
    assert hub.asked == ["likes"], "one question at a time"


def test_what_is_blocked_is_not_listed(hub: Hub) -> None:
    registry = Registry((), [Blocked(repo="Ada/Wave", reason="Stolen")])
    assert CommunityStyles(registry, hub.find).styles("likes") == ([NIGHT], "")


def test_a_line_says_who_and_what() -> None:
    assert in_words(WAVE) == "The Wave by Ada · ada/wave · ♥ 3 · mit"
    assert in_words(NIGHT) == "The Night · eve/night · no licence"
    assert in_words(WAVE, SPANISH.__getitem__) == "The Wave de Ada · ada/wave · ♥ 3 · mit"
