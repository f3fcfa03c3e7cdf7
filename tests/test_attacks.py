"""Whatever is sent to the real server, it answers with one sentence, gives nothing away, and lives."""

import base64
import html
import json
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from conftest import launched
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from loopback_hub import LoopbackHub
from made_hostile import good_files, zipped
from made_page import launched_page, served_page
from made_registry import MAX_SIDE
from PIL import Image

from ui import limits
from ui.limits import FAILED, MAX_FILE, MAX_JSON
from ui.masks import write_mask

API = "/gradio_api"
JSON = {"Content-Type": "application/json"}
SCRIPT = "<img src=x onerror=alert(1)>"
SECRET = "a secret of the server's"


class Server(NamedTuple):
    url: str
    process: ForkServerProcess
    http: httpx.Client
    folder: Path
    """Where its log is, and a file and a picture that are nobody's business."""

    @property
    def files(self) -> Path:
        [folder] = (self.folder / "files").iterdir()
        return folder

    def events(self, name: str) -> int:
        """How many lines of the log are of that event."""
        return sum(f'"event": "{name}"' in line for line in (self.folder / "log.txt").read_text().splitlines())

    def memory(self) -> float:
        """Megabytes."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1000

    def upload(self, file: Path) -> str:
        return self.http.post(f"{API}/upload", files={"files": (file.name, file.read_bytes())}).json()[0]

    def call(self, name: str, data: Any) -> tuple[str, Any]:
        """``complete``, ``error`` or ``refused``, and what with it."""
        body = json.dumps({"data": data})  # httpx would refuse what is not a number
        asked = self.http.post(f"{API}/call/{name}", content=body, headers=JSON)
        if asked.status_code != 200:
            return "refused", asked
        said = self.http.get(f"{API}/call/{name}/{asked.json()['event_id']}").text
        event, words = re.findall(r"event: (\w+)\ndata: (.*)\n", said)[-1]
        return event, json.loads(words)


@pytest.fixture(scope="module")
def server(registry_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("attacked")
    (folder / "secret.txt").write_text(SECRET)
    Image.new("RGB", (64, 64), "red").save(folder / "secret.png")
    settings = {"NST_REGISTRY": str(registry_file), "NST_MAX_SIDE": str(MAX_SIDE), "HF_HUB_OFFLINE": "1"}
    with launched(folder, os.environ | settings) as (url, process):
        with httpx.Client(base_url=url, timeout=60) as http:
            yield Server(url, process, http, folder)
            assert process.is_alive()
            assert http.get("/health").json()["status"] == "ok"
        log = (folder / "log.txt").read_text()
        assert "Traceback" not in log and SECRET not in log


@pytest.fixture(scope="module")
def photo(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One that has been uploaded, as the page names it."""
    file = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.effect_mandelbrot((MAX_SIDE, 300), (-2, -1, 1, 1), 50).convert("RGB").save(file)
    return {"path": server.upload(file), "meta": {"_type": "gradio.FileData"}}


def together(work: Callable[[Any], None], items: Iterable[Any]) -> None:
    """Do it for all of them, a few at a time."""
    with ThreadPoolExecutor(6) as people:
        for done in [people.submit(work, item) for item in items]:
            done.result()


def check(sentence: str) -> None:
    """Whatever is said to people: one sentence, for them, with nothing of the machine's in it."""
    assert (
        re.match(r"[A-Z']", sentence) and sentence.endswith((".", "?")) and "\n" not in sentence and len(sentence) < 300
    )
    assert not re.search(r"/tmp|Traceback|Errno|nst-page|\.py\b|<img", sentence), sentence


def check_refused(response: httpx.Response, *statuses: int) -> None:
    assert response.status_code in (statuses or range(400, 500)), response.text
    check(response.json()["detail"])


def raw(url: str, *parts: bytes, patience: float = 10) -> bytes:
    """What comes for bytes that no client would send."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=patience) as connection:
        for part in parts:
            connection.sendall(part)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
            if b"\r\n\r\n" in answer and re.search(rb"content-length: (\d+)", answer, re.IGNORECASE):
                head, _, body = answer.partition(b"\r\n\r\n")
                if len(body) >= int(re.search(rb"content-length: (\d+)", head, re.IGNORECASE)[1]):  # type: ignore[index]
                    break
        return answer


def post(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"POST {API}{path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


@pytest.mark.parametrize("path", ["/call/stylize", "/queue/join", "/upload", "/mcp/", "/component_server"])
def test_a_length_that_is_too_large_is_refused_before_the_body(server: Server, path: str) -> None:
    kind = "Content-Type: " + ("multipart/form-data; boundary=b" if path == "/upload" else "application/json")
    answer = raw(server.url, post(path, kind, f"Content-Length: {MAX_FILE * 2}"))
    assert answer.startswith(b"HTTP/1.1 413")
    check(json.loads(answer.partition(b"\r\n\r\n")[2])["detail"])


def megabytes(count: int, begin: bytes = b"") -> Iterator[bytes]:
    yield begin
    for _ in range(count):
        yield b"x" * 2**20


def test_a_body_without_a_length_is_counted(server: Server) -> None:
    before = set(server.files.rglob("*"))
    form = {"Content-Type": "multipart/form-data; boundary=b"}
    begin = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    check_refused(server.http.post(f"{API}/upload", headers=form, content=megabytes(70, begin)), 413)
    check_refused(server.http.post(f"{API}/call/stylize", content=megabytes(2, b'{"data": ["')), 413)
    assert set(server.files.rglob("*")) <= before
    # Gradio has a limit of its own, and other words for it: it does not come before ours.
    at_most = iter([begin, b"x" * (MAX_FILE + 1000), b"\r\n--b--\r\n"])
    server.http.post(f"{API}/upload", headers=form, content=at_most).raise_for_status()


def test_a_picture_in_the_body_is_refused(server: Server) -> None:
    data = "data:image/png;base64," + "A" * MAX_JSON
    state, answer = server.call("stylize", [{"path": data}, "first-style", 1, "style", None, 1, "", None, None])
    assert state == "refused"
    check_refused(answer, 413)
    state, answer = server.call("stylize", [{"path": data[:100]}, "first-style", 1, "style", None, 1, "", None, None])
    assert state == "error"
    check(answer["error"])


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"[" * 90_000, b"[" * 500 + b"]" * 500, b'{"data": 3}', b"[]"])
def test_a_body_that_is_not_what_it_should_be_is_refused(server: Server, body: bytes) -> None:
    for path in ("/call/stylize", "/queue/join", "/run/styles"):
        check_refused(server.http.post(f"{API}{path}", content=body, headers={"Content-Type": "application/json"}))


def test_an_agents_message_of_very_many_parts_is_refused(server: Server) -> None:
    call = {"name": "stylize", "arguments": {"photo": [[]] * 10_001, "style": "first-style"}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    answer = server.http.post(f"{API}/mcp/", json=message, headers={"Accept": "application/json, text/event-stream"})
    check_refused(answer, 400)
    assert "at most 10,000 lists and objects" in answer.text


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("/call/v2/stylize", {"precision": "exact"}, "There is no parameter 'precision'; stylize takes 9: photo, "),
        ("/call/v2/stylize", {"style": "first-style"}, "The parameter 'photo' is missing; stylize takes 9: photo, "),
        ("/call/v2/optimize", {"x\u202e" * 900: 1, SCRIPT: 2}, " and 1 more; optimize takes 18: content, style, "),
        ("/call/v2/styles", {"tag": "test"}, "There is no parameter 'tag'; styles takes none."),
        ("/call/stylize", {"photo": None}, "a list 'data' of the parameters; stylize takes 9: photo, style"),
        ("/run/optimize", {"data": 3}, "a list 'data' of the parameters; optimize takes 18: content, style"),
        ("/call/styles", {}, "The request body should have a list 'data' of the parameters; styles takes none."),
    ],
)
def test_what_is_wrong_with_the_parameters_is_told(server: Server, path: str, body: dict[str, Any], says: str) -> None:
    refused = server.http.post(f"{API}{path}", json=body)
    check_refused(refused, 400)
    assert says in refused.json()["detail"]


@pytest.mark.parametrize(
    ("name", "values", "says"),
    [
        ("stylize", [None] * 11, "There are too many values (11); stylize takes 9: photo, style, "),
        ("optimize", [None] * 19, "There are too many values (19); optimize takes 18: content, style, "),
        ("styles", ["test"], "There are too many values (1); styles takes none."),
    ],
)
def test_values_that_mean_nothing_are_refused(server: Server, name: str, values: list[Any], says: str) -> None:
    state, answer = server.call(name, values)
    assert state == "error" and answer["error"].startswith(says)
    check(answer["error"])
    with pytest.raises(AppError, match=f"^{re.escape(says)}"):
        Client(server.url, verbose=False).predict(*values, api_name=f"/{name}")
    at_once = server.http.post(f"{API}/run/styles", json={"data": [1]}).json()
    assert at_once["error"] == "There are too many values (1); styles takes none."


def slowly() -> Iterator[bytes]:
    for _ in range(8):
        time.sleep(0.1)
        yield b" "


def test_a_body_that_does_not_come_is_given_up(
    registry_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_PAUSE", 0.4)
    with served_page(registry_file, tmp_path) as url:
        waits = [
            raw(url, post("/call/stylize", "Content-Type: application/json", "Content-Length: 90"), b'{"data'),
            raw(
                url,
                post("/upload", "Content-Type: multipart/form-data; boundary=b", "Content-Length: 900"),
                b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\nhalf of it',
            ),
        ]
        assert [answer.split()[1] for answer in waits] == [b"408"] * 2
        assert not [file for file in (tmp_path / "files").rglob("tmp*") if file.is_file()]
        monkeypatch.setattr(limits, "BODY_SECONDS", 0.5)
        assert httpx.post(f"{url}{API}/call/stylize", content=slowly()).status_code == 408
        assert httpx.get(f"{url}/health").status_code == 200


def test_nothing_is_remembered_of_who_has_left(registry_file: Path, tmp_path: Path) -> None:
    Image.new("RGB", (64, 48), "red").save(tmp_path / "photo.png")
    with (
        launched_page(registry_file, tmp_path) as page,
        httpx.Client(base_url=str(page.local_url), timeout=60) as http,
    ):

        def ask() -> str:
            asked = http.post(f"{API}/call/stylize", json={"data": [{"path": photo}, "first-style"]})
            return f"{API}/call/stylize/{asked.json()['event_id']}"

        [photo] = http.post(f"{API}/upload", files={"files": (tmp_path / "photo.png").read_bytes()}).json()
        for _ in range(3):
            assert "complete" in http.get(ask()).text
            with http.stream("GET", ask()):
                pass
        queue, until = page._queue, time.monotonic() + 10
        kept = (page.state_holder.session_data, queue.pending_event_ids_session, queue.pending_messages_per_session)
        while any(kept) and time.monotonic() < until:
            time.sleep(0.05)
        assert [len(one) for one in kept] == [0, 0, 0]
        Client(page.local_url, verbose=False).predict(
            handle_file(tmp_path / "photo.png"), "first-style", api_name="/stylize"
        )
        assert not queue.pending_event_ids_session  # their session stays, and its number is bounded


def test_an_upload_that_breaks_off_leaves_nothing(server: Server) -> None:
    before = set(server.files.rglob("*"))
    host, port = server.url.removeprefix("http://").split(":")
    for _ in range(20):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(
                post("/upload", "Content-Type: multipart/form-data; boundary=b", "Content-Length: 999999")
            )
            connection.sendall(
                b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n' + b"x" * 99999
            )
    until = time.monotonic() + 10
    while not set(server.files.rglob("*")) <= before and time.monotonic() < until:
        time.sleep(0.05)
    assert set(server.files.rglob("*")) <= before


def patiently(server: Server, name: str, data: Any) -> tuple[str, Any]:
    """Ask again where too many wait."""
    state, answer = server.call(name, data)
    if state != "refused" or answer.status_code != 503:
        return state, answer
    check_refused(answer, 503)
    time.sleep(0.1)
    return patiently(server, name, data)


class Listener:
    """Somebody else's server, which would notice if it were asked."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.asked = 0
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/photo.png"
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            self.socket.accept()[0].close()
            self.asked += 1


@pytest.mark.parametrize("meta", [True, False], ids=["of Gradio's form", "of no form"])
def test_a_picture_is_one_that_was_uploaded(server: Server, photo: dict[str, Any], meta: bool) -> None:
    listener = Listener()
    here = f"{server.url}{API}/file="
    elsewhere: list[Any] = [
        *(listener.url, listener.url.replace("http", "HTTP"), "https://127.0.0.1:1/a.png", "//127.0.0.1/a.png"),
        *("file:///etc/passwd", "/etc/passwd", "../../../../etc/passwd", "secret.png", "", ".", "/", "~/.bashrc"),
        *(
            f"{server.folder}/secret.png",
            f"{server.files}/../../secret.png",
            f"{server.files}/previews/../../../secret.png",
        ),
        *(f"{here}{server.folder}/secret.png", f"{here}/etc/passwd", f"{here}..%2f..%2fetc%2fpasswd", f"{here}%00"),
        *("\0", "a" * 9000, photo["path"] + "/..", photo["path"] + "\0", 7, None, [], {}, {"path": photo["path"]}),
    ]

    def give(path: Any) -> None:
        picture = {"path": path, "url": listener.url} | ({"meta": photo["meta"]} if meta else {})
        for name, data in [
            ("stylize", [picture, "first-style", 1, "style", None, 1, "", None, None]),
            *(
                [("stylize", [photo, "first-style", 1, "style", 32, 1, "second-style", 0.5, picture])]
                if picture
                else []
            ),
            ("optimize", [photo, picture, "quick", 64, 1, None, None, "compact", *[None] * 4]),
        ]:
            state, answer = patiently(server, name, data)
            assert state == "error", (name, path, state, answer)
            check(answer["error"])

    together(give, elsewhere)
    for path in (photo["path"], here + photo["path"]):
        assert (
            server.call("optimize", [{"path": path}, photo, "quick", 64, 1, None, None, "compact", *[None] * 4])[0]
            == "complete"
        )
        assert (
            server.call("stylize", [{"path": path}, "first-style", 1, "style", 32, 1, "", None, None])[0] == "complete"
        )
    assert not listener.asked


@pytest.mark.parametrize(
    "path",
    [
        *(f"{API}/file=%s/secret.txt", f"{API}/file/%s/secret.txt", f"{API}/file=%s/files/../secret.txt"),
        *(f"{API}/file=%s%%2fsecret.txt", f"{API}/file=%s/files/%%2e%%2e/secret.txt"),
        *(f"{API}/file=%s/files/%%252e%%252e/secret.txt", f"{API}/file=/proc/self/environ"),
        *("/static/..%%2f..%%2f..%%2fapp.py", "/assets/../../../../../app.py", "/svelte/..%%2f..%%2f__init__.py"),
        *(
            f"{API}/file=app.py",
            f"{API}/file=registry.yaml",
            f"{API}/file=.git/config",
            f"{API}/file=file:///etc/passwd",
        ),
        *(f"{API}/custom_component/x/client/..%%2f..%%2fapp.py/x", "/%%2e%%2e/%%2e%%2e/etc/passwd", "//etc/passwd"),
    ],
)
def test_no_other_file_is_read(server: Server, path: str) -> None:
    target = path % str(server.folder) if "%s" in path else path.replace("%%", "%")
    answer = raw(server.url, f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    assert re.match(rb"HTTP/1.1 4\d\d", answer), answer[:200]
    assert SECRET.encode() not in answer and b"root:" not in answer and b"import os" not in answer


def test_what_the_page_does_not_need_is_closed(server: Server) -> None:
    listener = Listener()
    for path in (
        f"/file={listener.url}",
        "/file=HTTPS://127.0.0.1/",
        f"/file/{listener.url}",
        f"/proxy={listener.url}",
    ):
        check_refused(server.http.get(f"{API}{path}"), 403)
    check_refused(server.http.get(f"{API}/deep_link", params={"session_hash": "a"}), 403)
    check_refused(server.http.get("/monitoring"), 403)
    check_refused(server.http.get(f"{API}/dev/reload"), 403)
    check_refused(server.http.post(f"{API}/process_recording", files={"video": b"x"}), 403)
    check_refused(server.http.post(f"{API}/run/stylize", json={"data": []}))
    check_refused(server.http.post(f"{API}/call/nothing", json={"data": []}), 404)
    numbers: list[Any] = [9999, -1, "0", True, None, [], 1e9]
    for number in numbers:
        body = {"data": [], "fn_index": number, "session_hash": "a"}
        check_refused(server.http.post(f"{API}/queue/join", json=body), 404)
    assert not listener.asked


def test_headers_and_queries_stay_what_they_are(server: Server) -> None:
    evil = 'a"><script>alert(1)</script>'
    for headers in ({"Host": evil}, {"X-Forwarded-Host": evil}, {"Referer": evil}, {"X-Forwarded-Proto": evil}):
        answer = server.http.get("/", headers=headers, params={"style": evil, "__theme": evil, "deep_link": evil})
        assert "<script>alert" not in answer.text, headers
    for path in (f"{API}/file=a%0d%0aSet-Cookie:%20a=b", "/%0d%0aSet-Cookie:%20a=b", "/?a=%0d%0aSet-Cookie:%20a=b"):
        assert "set-cookie" not in server.http.get(f"{path}").headers
    assert b" 400 " in raw(server.url, b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n").splitlines()[0]
    both = post("/call/stylize", "Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\n"
    assert b"HTTP/1.1 4" in raw(server.url, both)


def test_no_other_site_publishes_in_the_name_of_who_signed_in(registry_file: Path, tmp_path: Path) -> None:
    """By a request that it has their browser send, for a style that it has put into a session of its own."""
    file = tmp_path / "style.zip"
    file.write_bytes(zipped(good_files()))
    with LoopbackHub() as hub:
        hub.account("ada")
        settings = {"NST_LOGIN": "1", "NST_REGISTRY": str(registry_file), "NST_MAX_SIDE": str(MAX_SIDE)}
        environment = hub.environment(tmp_path / "home", HF_TOKEN="hf_ada_write", **settings)
        with (
            launched(tmp_path, environment) as (url, process),
            httpx.Client(base_url=url, timeout=60) as http,
        ):
            server = Server(url, process, http, tmp_path)
            numbers = {one["api_name"]: one["id"] for one in http.get("/config").json()["dependencies"]}
            signed_in = http.get("/login/callback").headers["set-cookie"].partition(";")[0]
            publish = [None, True, "A Title", "Eve", "mit", "a-style"]

            def told(name: str, data: list[Any], **headers: str) -> str:
                body = {"data": data, "fn_index": numbers[name], "session_hash": "eve"}
                http.post(f"{API}/queue/join", json=body, headers=headers).raise_for_status()
                return http.get(f"{API}/queue/data", params={"session_hash": "eve"}).text

            told("examined", [{"path": server.upload(file), "meta": {"_type": "gradio.FileData"}}])
            for site in ("cross-site", "same-site"):
                said = told("sent", publish, **{"Cookie": signed_in, "Host": "page.example", "Sec-Fetch-Site": site})
                assert "first sign in with Hugging Face" in said and not hub.repos
            assert "Published as" in told("sent", publish, **{"Cookie": signed_in, "Sec-Fetch-Site": "same-origin"})
            assert [*hub.repos] == ["ada/a-style"]


class Endpoint(NamedTuple):
    number: int
    name: str
    inputs: int
    trusting: bool
    """It is Gradio's own, which takes the number of an example."""


def endpoints(server: Server) -> list[Endpoint]:
    """All there are, those of the page too."""
    return [
        Endpoint(
            event["id"],
            event["api_name"],
            len(event["inputs"]),
            event["api_name"].startswith("load_example"),
        )
        for event in server.http.get("/config").json()["dependencies"]
        if event["backend_fn"]
    ]


def join(server: Server, number: int, data: list[Any]) -> dict[str, Any]:
    """What the page would be told of an event, in the end."""
    session = os.urandom(6).hex()
    body = json.dumps({"data": data, "fn_index": number, "session_hash": session})
    asked = server.http.post(f"{API}/queue/join", content=body, headers=JSON)
    if asked.status_code != 200:
        check_refused(asked)
        return {}
    with server.http.stream("GET", f"{API}/queue/data", params={"session_hash": session}) as lines:
        for line in lines.iter_lines():
            if line.startswith("data: ") and '"process_completed"' in line:
                return json.loads(line.removeprefix("data: "))
    raise AssertionError("It came to no end.")


@pytest.mark.parametrize("value", [None, SCRIPT, float("nan"), [SCRIPT], {"path": SCRIPT}], ids=repr)
def test_forged_events_are_answered(server: Server, value: Any) -> None:
    def forge(endpoint: Endpoint) -> None:
        too_many = [value] * (endpoint.inputs + 1)  # whatever they are
        for data in ([value] * endpoint.inputs, *([too_many] if value is None else [])):
            said = join(server, endpoint.number, data)
            if said and not said["success"]:
                public = endpoint.name in ("stylize", "optimize")  # a program is told what it said, as it is
                check(said["output"]["error"].replace(SCRIPT, "") if public else said["output"]["error"])
                assert said["output"]["error"] != FAILED or endpoint.trusting, endpoint.name

    together(forge, endpoints(server))


def test_a_mask_that_is_drawn_is_a_small_png_or_nothing(server: Server, photo: dict[str, Any]) -> None:
    [show] = {endpoint.number for endpoint in endpoints(server) if endpoint.name == "show"}
    good = [photo, "first-style", 1, "style", 32, 1, "second-style", 0.5]
    mask = write_mask(Image.linear_gradient("L"))
    large = base64.urlsafe_b64encode(Path(photo["path"]).read_bytes()).decode()  # a PNG of 512 pixels per side
    assert join(server, show, [*good, mask])["success"]
    for wrong in (mask[:40], mask[:-30] + SCRIPT, mask * 99, "A" * 200_000, large, SCRIPT, 1, None, [mask], photo):
        message = join(server, show, [*good, wrong])["output"]["data"][1]
        assert message.startswith('<p class="wrong">'), wrong
        check(html.unescape(message.removeprefix('<p class="wrong">').removesuffix("</p>")))
    check_refused(server.http.post(f"{API}/queue/join", json={"data": [*good, "A" * MAX_JSON], "fn_index": show}), 413)


def test_numbers_out_of_range_and_unknown_choices_are_refused(server: Server, photo: dict[str, Any]) -> None:
    wishes: list[tuple[str, list[Any]]] = []
    good: list[Any] = [photo, "first-style", 1, "style", 32, 1, "", None, None]
    for place, values in {
        1: ["", SCRIPT, "../first-style", "/etc", "own:0", 3, None],
        2: [-0.01, 1.01, 1e308, float("nan"), float("inf"), SCRIPT],
        3: ["", SCRIPT, 1],
        4: [0, 15, MAX_SIDE + 1, 2**63, 10**400, 16.5, SCRIPT],
        5: [0, 0.2, 4.01, float("nan"), -1, SCRIPT],
        6: [SCRIPT, "/etc", 3],
        7: [-0.01, 1.01, float("nan"), SCRIPT],
        8: [photo, SCRIPT, 1, [photo], {"path": photo}],
    }.items():
        wishes += [("stylize", [*good[:place], value, *good[place + 1 :]]) for value in values]
    assert server.call("stylize", good)[0] == "complete"
    good = [photo, photo, "quick", 64, 1, None, None, "compact", *[None] * 10]
    assert server.call("optimize", good)[0] == "complete"
    for place, values in {
        2: ["", SCRIPT, 3, None],
        3: [0, -5, MAX_SIDE + 1, 2**63, float("nan"), SCRIPT],
        4: [0, -1, 2001, float("nan"), SCRIPT],
        5: [SCRIPT, 1],
        6: [SCRIPT, 1],
        7: [SCRIPT, "/etc/passwd", "vgg19", 1, None],
        8: [-1, 2**70, float("nan"), SCRIPT],
        9: [SCRIPT, 1],
        10: [-1, float("nan"), float("inf"), SCRIPT],
        11: [-1, float("nan"), float("inf"), SCRIPT],
        14: [-1, float("nan"), float("inf"), SCRIPT],
        15: [0, 8.1, float("nan"), SCRIPT, True],
        16: [0, 11, float("nan"), SCRIPT],
        17: [0, -1, 901, float("nan"), SCRIPT],
    }.items():
        wishes += [("optimize", [*good[:place], value, *good[place + 1 :]]) for value in values]

    def ask(wish: tuple[str, list[Any]]) -> None:
        state, answer = patiently(server, *wish)
        assert state == "error", wish
        check(answer["error"].replace(SCRIPT, ""))  # a program is told what it said, as it is

    together(ask, wishes)


def test_a_hostile_name_is_only_a_name(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "photo.png"
    Image.new("RGB", (32, 32)).save(file)
    for name in (
        f"{SCRIPT}.png",
        "../../../../tmp/evil.png",
        "..\\evil.png",
        "a\r\nSet-Cookie: a=b.png",
        "\0.png",
        "." * 300,
    ):
        answer = server.http.post(f"{API}/upload", files={"files": (name, file.read_bytes())})
        if answer.status_code == 200:
            path = Path(answer.json()[0])
            assert path.is_relative_to(server.files) and not {"<", "\n", ".."} & {*path.name, *path.parts}
            state, [painted] = server.call(
                "stylize", [{"path": str(path)}, "first-style", 1, "style", 32, 1, "", None, None]
            )
            assert state == "complete" and re.fullmatch(r"[\w.-]+\.png", painted["orig_name"])
        else:
            assert answer.status_code in range(400, 500) and "Traceback" not in answer.text


@pytest.mark.parametrize("name", ["a.html", "a.svg", "a.js", "a.png"])
def test_what_was_uploaded_is_no_page(server: Server, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>")
    headers = server.http.get(f"{API}/file={server.upload(tmp_path / name)}").headers
    assert headers["content-type"] == "image/png" or headers["content-disposition"].startswith("attachment")


def test_nobody_sees_what_is_another_s(server: Server, photo: dict[str, Any]) -> None:
    _, [painted] = server.call("stylize", [photo, "first-style", 1, "style", 32, 1, "", None, None])
    assert httpx.get(painted["url"]).headers["content-type"] == "image/png"
    for path in (server.files, Path(painted["path"]).parent):  # there is no list of files
        assert server.http.get(f"{API}/file={path}").status_code == 403
    for stream in ("queue/data?session_hash=a", "call/stylize/a"):
        assert "path" not in server.http.get(f"{API}/{stream}").text
    said = server.http.get("/config").text + server.http.get("/metrics").text
    assert photo["path"] not in said and painted["path"] not in said


def test_five_hundred_connections_at_once(server: Server) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    connections = [socket.create_connection((host, int(port)), timeout=30) for _ in range(500)]
    try:
        for connection in connections:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")
        assert server.http.get("/health").json()["status"] == "ok"
        for connection in connections:
            connection.sendall(b"\r\n")
        assert all(connection.recv(4096).startswith(b"HTTP/1.1 200") for connection in connections)
    finally:
        for connection in connections:
            connection.close()


def idle(server: Server) -> dict[str, Any]:
    """Wait until there is nothing to do."""
    until = time.monotonic() + 20
    while (health := server.http.get("/health").json())["waiting"] + health["running"]:
        assert time.monotonic() < until, health
        time.sleep(0.1)
    return health


def running(server: Server) -> None:
    """Wait until what was asked for has begun."""
    until = time.monotonic() + 20
    while not server.http.get("/health").json()["running"]:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_nobody_fills_the_line_of_what_takes_long(server: Server, photo: dict[str, Any]) -> None:
    """Neither as many nor as one, nor under another name."""
    wish = [photo, photo, "noise", 256, 2000, None, None, "compact", *[None] * 4]
    numbers = {endpoint.name: endpoint.number for endpoint in endpoints(server)}
    named_otherwise = {"data": wish, "fn_index": numbers["styles"]}
    asked: list[httpx.Response] = []

    def ask(times: int) -> list[int]:
        asked.extend(server.http.post(f"{API}/call/optimize", json=named_otherwise) for _ in range(times))
        return [answer.status_code for answer in asked[-times:]]

    try:
        assert ask(1) == [200]
        running(server)  # it leaves its place in the line then
        assert ask(4) == [200] * 4
        assert ask(4) == [503] * 4
        check_refused(asked[-1], 503)
        paint = [photo, "first-style", 1, "style", 32, 1, "", None, None]
        assert server.call("stylize", paint)[0] == "complete"  # who paints is not held up
    finally:
        for answer in asked:
            if answer.status_code == 200:
                with server.http.stream("GET", f"{API}/call/optimize/{answer.json()['event_id']}"):
                    pass
        idle(server)
    body = {"data": wish, "fn_index": numbers["optimize"], "session_hash": "one"}
    try:
        assert server.http.post(f"{API}/queue/join", json=body).status_code == 200
        running(server)
        mine = [server.http.post(f"{API}/queue/join", json=body) for _ in range(2)]
        assert [answer.status_code for answer in mine] == [200, 429]
        check_refused(mine[-1])
        # Gradio asks for all agents in one session.
        agents: dict[str, Any] = {"json": body | {"session_hash": "agents"}, "headers": {"x-gradio-user": "mcp"}}
        assert [server.http.post(f"{API}/queue/join", **agents).status_code for _ in range(3)] == [200] * 3
    finally:
        for session in ("one", "agents"):
            with server.http.stream("GET", f"{API}/queue/data", params={"session_hash": session}):
                pass
        idle(server)


def test_a_refused_contribution_does_not_stay(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "style.zip"
    file.write_bytes(zipped(good_files() | {"model.safetensors": b"\0" * 1_000_000}))
    [number] = [one["id"] for one in server.http.get("/config").json()["dependencies"] if one["api_name"] == "examined"]
    style = {"path": server.upload(file), "meta": {"_type": "gradio.FileData"}}
    before = {*server.files.iterdir()}
    body = {"data": [style], "fn_index": number, "session_hash": "clumsy"}
    assert server.http.post(f"{API}/queue/join", json=body).status_code == 200
    said = server.http.get(f"{API}/queue/data", params={"session_hash": "clumsy"}).text
    assert "It cannot be used as it is." in said
    assert {*server.files.iterdir()} <= before  # what others left may go meanwhile


def test_no_session_fills_the_queue_of_all(server: Server, photo: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "style.zip"
    file.write_bytes(zipped(good_files()))
    [number] = [one["id"] for one in server.http.get("/config").json()["dependencies"] if one["api_name"] == "examined"]
    style = {"path": server.upload(file), "meta": {"_type": "gradio.FileData"}}
    body = {"data": [style], "fn_index": number, "session_hash": "greedy"}
    asked = [server.http.post(f"{API}/queue/join", json=body) for _ in range(2 * limits.MAX_WAITING)]
    try:
        refused = [answer for answer in asked if answer.status_code != 200]
        assert len(refused) > limits.MAX_WAITING
        check_refused(refused[0], 429)
        assert server.call("stylize", [photo, "first-style", 1, "style", 32, 1, "", None, None])[0] == "complete"
    finally:
        with server.http.stream("GET", f"{API}/queue/data", params={"session_hash": "greedy"}):
            pass
        idle(server)


@pytest.mark.slow
def test_a_hundred_runs_that_nobody_waits_for(server: Server, photo: dict[str, Any]) -> None:
    """By callers without a session, who hang up; afterwards all is as it was."""

    def run(name: str, data: list[Any]) -> None:
        asked = server.http.post(f"{API}/call/{name}", json={"data": data})
        if asked.status_code == 200:
            event = asked.json()["event_id"]
            with server.http.stream("GET", f"{API}/call/{name}/{event}"):
                pass
        else:
            check_refused(asked, 503)

    paint = ("stylize", [photo, "first-style", 1, "style", MAX_SIDE, 1, "", None, None])
    optimize = ("optimize", [photo, photo, "noise", 256, 500, None, None, "compact", *[None] * 4])
    assert server.call(*paint)[0] == "complete"
    idle(server)
    before, painted, began = server.memory(), server.events("painted"), time.monotonic()
    with ThreadPoolExecutor(20) as people:
        for done in [people.submit(run, *(optimize if turn % 20 == 0 else paint)) for turn in range(100)]:
            done.result()
    idle(server)
    assert server.events("painted") - painted < 50 and server.events("left") > 20
    assert server.memory() - before < 150, time.monotonic() - began
    assert server.call(*paint)[0] == "complete"
