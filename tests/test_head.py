"""What a messenger finds when it looks at a link: the real server's HTML, over real HTTP."""

import gzip
import urllib.error
import urllib.request
from html.parser import HTMLParser
from io import BytesIO

import pytest
from made_registry import TITLES
from PIL import Image

from ui.head import CARD, here_of


class Head(HTMLParser):
    """The tags that a messenger reads, each name with all that is said of it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.said: dict[str, list[str]] = {}
        self.tags: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        said = dict(attributes)
        if tag == "meta" and (name := said.get("property") or said.get("name")):
            self.said.setdefault(name, []).append(said["content"] or "")


def looked_at(url: str, **headers: str) -> Head:
    request = urllib.request.Request(url, headers={name.replace("_", "-"): value for name, value in headers.items()})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return Head(answer.read().decode())


def test_a_link_has_one_title_one_picture_and_one_card(app_url: str) -> None:
    head = looked_at(app_url)
    assert head.said["og:title"] == ["Repaint"] and head.tags.count("title") == 1
    assert head.said["twitter:card"] == ["summary_large_image"]
    assert head.said["og:url"] == [f"{app_url}/"]
    assert all(len(said) == 1 and said[0] for said in head.said.values())
    assert not [name for name, said in head.said.items() if "gradio" in said[0].lower()]
    [address] = head.said["og:image"]
    with urllib.request.urlopen(address, timeout=30) as answer:
        assert answer.headers["content-type"] == head.said["og:image:type"][0]
        picture = answer.read()
    assert len(picture) < 150_000 and picture == CARD.read_bytes()
    with Image.open(BytesIO(picture)) as card:
        assert card.size == tuple(int(head.said[f"og:image:{side}"][0]) for side in ("width", "height"))


def test_a_link_to_a_style_says_which(app_url: str) -> None:
    for id, (title, artist) in TITLES.items():  # one of which is hostile
        head = looked_at(f"{app_url}/?style={id}&strength=0.8")
        assert head.said["og:title"] == [f"Repaint: {title}, {artist}"]
        assert head.said["og:url"] == [f"{app_url}/?style={id}"]
    assert looked_at(f"{app_url}/?style=%22%3E%3Cscript%3E").said["og:title"] == ["Repaint"]


def test_the_address_is_the_one_that_the_proxy_was_asked_at(app_url: str) -> None:
    head = looked_at(app_url, X_Forwarded_Host="paint.example:8443", X_Forwarded_Proto="https")
    assert head.said["og:image"] == ["https://paint.example:8443/card.jpg"]


def test_the_html_is_compressed_for_whoever_can_read_that(app_url: str) -> None:
    def asked(encoding: str, method: str) -> tuple[dict[str, str], bytes]:
        request = urllib.request.Request(app_url, headers={"Accept-Encoding": encoding}, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return dict(answer.headers.items()), answer.read()

    said, packed = asked("gzip, deflate, br", "GET")
    assert said["content-encoding"] == "gzip" and said["vary"] == "Accept-Encoding"
    said, nothing = asked("gzip, deflate, br", "HEAD")
    assert said["content-encoding"] == "gzip" and int(said["content-length"]) == len(packed) and not nothing
    said, plain = asked("identity", "GET")
    assert "content-encoding" not in said and gzip.decompress(packed) == plain
    assert len(packed) < 100_000 < len(plain)


@pytest.mark.parametrize("host", ['a"><script>alert(1)</script>', "a'b", "a b", "me:secret@a.example", 'a.example"'])
def test_a_host_that_is_none_is_not_repeated(app_url: str, host: str) -> None:
    head = looked_at(app_url, X_Forwarded_Host=host)
    assert head.said["og:title"] == ["Repaint"]
    assert not {"og:url", "og:image"} & set(head.said)
    assert head.tags.count("script") == looked_at(app_url).tags.count("script")


def test_a_host_that_cannot_be_is_refused(app_url: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="400"):
        looked_at(app_url, X_Forwarded_Host="ex\u00c3\u00a4.example")


@pytest.mark.parametrize("root", ["javascript:alert(1)", "https://a.example/?b", "//a.example", "https://a.example\n"])
def test_only_addresses_are_addresses(root: str) -> None:
    assert here_of({"root": root}) == ""
    assert here_of({"root": "https://[::1]:80/a/b"}) == "https://[::1]:80/a/b"
    assert here_of({"root": "https://u-s.hf.space/--replicas/lroc9"}) == "https://u-s.hf.space"
