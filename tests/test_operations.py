"""What an operator sees and does: the log, health, counters, a stop in good order, files that go."""

import json
import os
import re
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
import pytest
from conftest import ROOT, _serve, launched
from gradio.routes import file_upload_statuses
from gradio_client import Client, handle_file
from made_page import launched_page, served_page
from made_registry import MAX_SIDE
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families
from quick import QUICK, run_script
from waiting import wait_until

import nst_core
from nst_core.registry import Registry
from ui import build_page, limits
from ui.errors import PageError
from ui.server import Page, lasting, sweep

API = "/gradio_api"


@pytest.fixture(scope="module")
def environment(registry_file: Path) -> dict[str, str]:
    settings = {"NST_REGISTRY": str(registry_file), "NST_MAX_SIDE": str(MAX_SIDE), "HF_HUB_OFFLINE": "1"}
    return os.environ | settings


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("photo") / "grandmother.png"
    # The library warns of a profile that is none, and names the file.
    Image.effect_mandelbrot((MAX_SIDE, 400), (-2, -1, 1, 1), 50).convert("RGB").save(file, icc_profile=b"none")
    return file


@pytest.fixture(scope="module")
def page(registry_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """In this process; tests that close it, or take its folder away, have one of their own."""
    with launched_page(registry_file, tmp_path_factory.mktemp("page")) as page:
        yield page


@pytest.fixture
def http(page: Page) -> Iterator[httpx.Client]:
    """Asks that page."""
    with httpx.Client(base_url=str(page.local_url), timeout=60) as http:
        yield http


def ask(http: httpx.Client, name: str, data: list[Any]) -> str:
    """The stream to listen to."""
    event = http.post(f"{API}/call/{name}", json={"data": data}).raise_for_status().json()["event_id"]
    return f"{API}/call/{name}/{event}"


def upload(http: httpx.Client, file: Path) -> dict[str, str]:
    return {"path": http.post(f"{API}/upload", files={"files": (file.name, file.read_bytes())}).json()[0]}


def log_of(folder: Path) -> list[dict[str, Any]]:
    """Its lines; only what Gradio says on stdout while it starts is not JSON."""
    lines = (folder / "log.txt").read_text().splitlines()
    return [json.loads(line) for line in lines if line and not line.startswith(("*", "🔨"))]


WARNINGS = """
import logging, sys
from ui.log import log_to_stderr
sys.stderr.reconfigure(encoding="ascii")
log_to_stderr()
hub = logging.getLogger("huggingface_hub.file_download")
hub.warning("Nothing at %s", "her address")
hub.warning("No eve/private")
try:
    raise KeyError("eve/private")
except KeyError:
    hub.exception("No eve/private")
logging.getLogger("nst_core.hub").warning("× too long " * 1000)
"""


def test_other_peoples_words_are_not_logged(tmp_path: Path) -> None:
    said = run_script(WARNINGS, os.environ, tmp_path).stderr
    assert "private" not in said and "address" not in said
    told, hidden, failed, ours = (json.loads(line) for line in said.splitlines())
    assert told["logger"] == "huggingface_hub.file_download"
    assert [line["message"] for line in (told, hidden, failed)] == ["Nothing at …", "…", "…"]
    assert hidden["where"] == ["<string>:8 <module>"]
    assert (failed["error"], failed["where"]) == ("KeyError", ["<string>:10 <module>"])
    assert ours["message"].startswith("× too long") and len(ours["message"]) == 500


def counted(http: httpx.Client) -> dict[str, float]:
    """The numbers of ``/metrics`` by name and first label."""
    samples = [
        sample for family in text_string_to_metric_families(http.get("/metrics").text) for sample in family.samples
    ]
    return {" ".join([sample.name, *list(sample.labels.values())[:1]]): sample.value for sample in samples}


def test_what_happens_is_logged_and_counted(environment: dict[str, str], photo: Path, tmp_path: Path) -> None:
    with launched(tmp_path, environment) as (url, process), httpx.Client(base_url=url, timeout=60) as http:
        assert http.get("/health").json() == {
            "status": "ok",
            "waiting": 0,
            "running": 0,
            "version": nst_core.__version__,
        }
        picture = upload(http, photo)
        http.get(ask(http, "stylize", [picture, "first-style", 1, "style", 64, 1, "", None, None]))
        http.get(ask(http, "stylize", [picture, "no-style-grandfather", 1, "style", 64, 1, "", None, None]))
        http.get(ask(http, "stylize", [picture, "broken-style", 1, "style", 64, 1, "", None, None]))
        http.get(ask(http, "optimize", [picture, picture, "quick", 64, 2, "noise", None, "compact", *[None] * 4]))
        assert http.post(f"{API}/call/nothing", json={"data": []}).status_code == 404
        for method, tool in (("tools/call", "grandfather"), ("grandfather", "stylize")):
            message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"name": tool, "arguments": {}}}
            http.post(f"{API}/mcp/", json=message, headers={"accept": "application/json, text/event-stream"})
        numbers = counted(http)
        assert http.get("/health").json()["running"] == 0
        before = switches(process)
        time.sleep(1)
        assert switches(process) - before < 300  # a thousand a second were a tenth of a core, with nobody there
        assert process.pid
        for number in [signal.SIGTERM, signal.SIGINT] * 200:  # told over and over, it stops as well
            os.kill(process.pid, number)
        process.join(15)
        assert process.exitcode == 0 and not list((tmp_path / "files").iterdir())
    events = {line["event"]: line for line in log_of(tmp_path) if line["event"] != "log"}  # a library's warning
    assert list(events) == ["started", "painted", "refused", "optimized", "stopping", "stopped"]
    assert events["painted"]["style"] == "first-style" and events["painted"]["pixels"] == 64 * 50
    assert 0 < events["painted"]["seconds"] < 30 and events["optimized"]["steps"] == 2
    refused = [line for line in log_of(tmp_path) if line["event"] == "refused"]
    assert [line.get("kind") or line["status"] for line in refused] == ["RegistryError", "WeightsError", 404]
    assert [line.get("style") for line in refused] == [None, "broken-style", None]
    warning = log_of(tmp_path)[0]["message"]  # before it started
    assert warning.startswith("The style broken-style cannot be opened: model.safetensors is not the file that was ")
    assert numbers["nst_events_total painted"] == numbers["nst_painting_seconds_count first-style"] == 1
    assert numbers["nst_events_total refused"] == 3 and numbers["nst_waiting"] == 0
    assert numbers["nst_waiting_seconds_count"] >= 1
    assert numbers["process_resident_memory_bytes"] > 1e8
    said = (tmp_path / "log.txt").read_text()
    messages = "\n".join(line.get("message", "") for line in log_of(tmp_path))
    assert "Tool '…' not listed" in messages
    assert "… has a colour profile that cannot be used" in messages
    assert not {"grandmother", "grandfather", "127.0.0.1:"} & set(said.replace("127.0.0.1:", "x", 1).split())
    for text in ("grandmother", "grandfather", picture["path"]):
        assert text not in said


def switches(process: ForkServerProcess) -> int:
    """How often its threads have waited for something."""
    said = [file.read_text() for file in Path(f"/proc/{process.pid}/task").glob("*/status")]
    return sum(int(number) for text in said for number in re.findall(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.M))


@pytest.fixture
def server(
    environment: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[tuple[httpx.Client, Any, Path]]:
    grace = {"NST_GRACE": str(getattr(request, "param", 8))}
    with launched(tmp_path, environment | grace) as (url, process), httpx.Client(base_url=url, timeout=60) as http:
        yield http, process, tmp_path


def listen(http: httpx.Client, streams: list[str]) -> tuple[list[Thread], list[str]]:
    """Listen to each stream, in the background."""
    said = [""] * len(streams)

    def hear(place: int) -> None:
        said[place] = http.get(streams[place]).text

    threads = [Thread(target=hear, args=[place]) for place in range(len(streams))]
    for thread in threads:
        thread.start()
    return threads, said


def wait_until_running(http: httpx.Client) -> None:
    until = time.monotonic() + 30
    while not http.get("/health").json()["running"]:
        assert time.monotonic() < until, "nothing runs"
        time.sleep(0.02)


def crowd(http: httpx.Client, photo: Path, people: int) -> tuple[list[Any], list[Thread], list[str]]:
    """What each of them asks for, and what they hear, once the first one's turn has come."""
    wish = [upload(http, photo), "first-style", 1, "style", MAX_SIDE, 1, "", None, None]
    heard = listen(http, [ask(http, "stylize", wish) for _ in range(people)])
    wait_until_running(http)
    return wish, *heard


@pytest.mark.parametrize("server", [60], indirect=True)
def test_told_to_stop_it_finishes_what_people_wait_for(server: tuple[httpx.Client, Any, Path], photo: Path) -> None:
    http, process, folder = server
    wish, threads, said = crowd(http, photo, 6)
    os.kill(process.pid, signal.SIGTERM)
    while (health := http.get("/health")).status_code == 200:
        time.sleep(0.02)
    assert health.status_code == 503 and health.json()["status"] == "stopping"
    refused = http.post(f"{API}/call/stylize", json={"data": wish})
    assert refused.status_code == 503 and "restarting" in refused.json()["detail"]
    process.join(75)
    assert process.exitcode == 0
    for thread in threads:
        thread.join()
    assert all("event: complete" in words for words in said), said
    assert log_of(folder)[-1]["event"] == "stopped"
    assert not [file for file in (folder / "files").rglob("*") if file.is_file()]


@pytest.mark.parametrize("server", [0.2], indirect=True)
def test_what_takes_longer_is_returned(server: tuple[httpx.Client, Any, Path], photo: Path) -> None:
    http, process, _ = server
    _, threads, said = crowd(http, photo, 12)
    os.kill(process.pid, signal.SIGINT)
    process.join(15)
    assert process.exitcode == 0
    for thread in threads:
        thread.join()
    returned = [words for words in said if "This server is restarting: try again in a minute." in words]
    assert len(returned) > 3
    assert all("event: complete" in words for words in said if words not in returned), said


def test_who_waits_for_an_optimisation_hears_that_it_is_too_late(
    server: tuple[httpx.Client, Any, Path], photo: Path
) -> None:
    http, process, folder = server
    picture = upload(http, photo)
    wish = [picture, picture, "noise", 128, 2000, None, None, "compact", *[None] * 4]
    first = listen(http, [ask(http, "optimize", wish)])
    wait_until_running(http)
    second = listen(http, [ask(http, "optimize", wish)])
    wait_until(lambda: http.get("/health").json()["waiting"])
    time.sleep(1)
    os.kill(process.pid, signal.SIGTERM)
    process.join(15)
    assert process.exitcode == 0
    for threads, _ in (first, second):
        threads[0].join()
    assert "event: complete" in first[1][0] and ".png" in first[1][0].splitlines()[-2]
    assert "This server is restarting: try again in a minute." in second[1][0]
    assert [line["event"] for line in log_of(folder)].count("optimized") == 1


def test_what_is_made_once_stays(page: Page) -> None:
    folder = page.studio.folder
    (folder / "onnx" / "udnie.onnx").touch()
    (folder / "result.png").touch()
    sweep(folder, -1, lasting(page))
    left = {path.relative_to(folder).parts[0] for path in folder.rglob("*") if path.is_file()}
    assert "onnx" in left and "result.png" not in left


def test_a_folder_that_nothing_can_be_written_to_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "file"))
    with pytest.raises(PageError, match="set GRADIO_TEMP_DIR to another"):
        build_page(Registry(()), max_side=64)


@pytest.mark.parametrize("link", [True, False])
def test_a_folder_that_another_user_has_made_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, link: bool
) -> None:
    """All that its links lead to would be deleted, and all photographs would be theirs to see."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").touch()
    folder = tmp_path / "nst-page-7860"
    folder.symlink_to(tmp_path / "home") if link else folder.mkdir()
    monkeypatch.setattr(os, "getuid", lambda: folder.lstat().st_uid + 1)
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(folder))
    with pytest.raises(PageError, match=r"it is another user's.*set GRADIO_TEMP_DIR to another"):
        build_page(Registry(()), max_side=64)
    assert [file.name for file in (tmp_path / "home").iterdir()] == ["letter.txt"]


def test_nobody_else_on_the_machine_sees_what_people_upload(page: Page) -> None:
    assert page.studio.folder.stat().st_mode & 0o077 == 0


def test_signing_in_is_no_endpoint_and_what_was_built_is_not_looked_through_for_garbage(
    environment: dict[str, str], tmp_path: Path
) -> None:
    space = {"SYSTEM": "spaces", "SPACE_ID": "ada/page", "SPACE_HOST": "ada-page.example", "OAUTH_SCOPES": "openid"}
    space |= {"OAUTH_CLIENT_ID": "1", "OAUTH_CLIENT_SECRET": "2", "OPENID_PROVIDER_URL": "http://127.0.0.1:9"}
    names = "[event.api_name for event in app.page.fns.values() if event.api_visibility == 'public']"
    collected = "gc.isenabled(), len(gc.get_objects())"
    said = run_script(
        f"import gc, json, sys; sys.path.insert(0, {str(ROOT)!r})\n"
        f"import app; print(json.dumps([{names}, {collected}]))",
        environment | space | {"GRADIO_TEMP_DIR": str(tmp_path / "files")},
        tmp_path,
    )
    assert said.returncode == 0, said.stderr
    endpoints, collects, looked_through = json.loads(said.stdout.splitlines()[-1])
    assert endpoints == ["stylize", "optimize", "styles"]
    assert collects and looked_through < 50_000  # of half a million that are there from the start


def test_what_somebody_waits_with_is_known(page: Page, http: httpx.Client, photo: Path) -> None:
    pictures = [upload(http, photo) for _ in range(2)]
    for picture in pictures:
        ask(http, "optimize", [picture, picture, "quick", 64, 500, "noise", None, "compact", *[None] * 4])
    wait_until(lambda: len(page._queue) == 1)
    assert page.awaited() == {Path(pictures[1]["path"])}

    def over() -> bool:
        page.optimizations.stop_all()
        return not page.waiting() + page.running()

    wait_until(over)


def test_a_page_is_told_what_is_left_while_its_server_stops(registry_file: Path, tmp_path: Path) -> None:
    with launched_page(registry_file, tmp_path) as page, httpx.Client(base_url=str(page.local_url), timeout=60) as http:
        number = next(number for number, event in page.fns.items() if event.name == "rest" and not event.queue)
        asked = {"data": [], "fn_index": number, "session_hash": "ann"}
        try:
            page.stopping = True
            page.studio.line.close()
            assert http.post("/gradio_api/run/predict", json=asked).status_code == 200
            assert http.post("/gradio_api/queue/join", json=asked).status_code == 503
        finally:
            page.stopping = False


def test_a_folder_that_has_gone_is_made_again_and_without_room_nothing_is_taken(
    registry_file: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served_page(registry_file, tmp_path) as there, httpx.Client(base_url=there, timeout=60) as http:
        files = tmp_path / "files"
        shutil.rmtree(files)
        assert Path(upload(http, photo)["path"]).is_file()
        shutil.rmtree(files)
        files.touch()
        assert http.get("/health").status_code == 503
        files.unlink()
        assert http.get("/health").status_code == 200
        monkeypatch.setattr(limits, "MIN_FREE_BYTES", 2**63)
        for path, body in (("upload", {"files": {"files": photo.read_bytes()}}), ("mcp/", {"json": {}})):
            refused = http.post(f"/gradio_api/{path}", **body)
            assert refused.status_code == 507 and "no space" in refused.json()["detail"]


def test_an_upload_ends_where_the_room_does(page: Page, http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred may have begun by then."""
    folder = page.studio.folder

    def body() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
        wait_until(lambda: any(file.is_file() for file in folder.glob("tmp*")))
        monkeypatch.setattr(limits, "MIN_FREE_BYTES", 2**63)
        yield b"x" * 2**16 + b"\r\n--b--\r\n"

    form = {"Content-Type": "multipart/form-data; boundary=b"}
    refused = http.post(f"{API}/upload", content=body(), headers=form)
    assert refused.status_code == 507 and "no space" in refused.json()["detail"]
    assert not [file for file in folder.glob("tmp*") if file.is_file()]


class Slow(BaseHTTPRequestHandler):
    """A proxy in front of a busy machine: a client that asks for the page itself, by HEAD, gives up waiting."""

    def do_GET(self) -> None:
        answer = httpx.get(self.path, trust_env=False)
        self.send_response(answer.status_code)
        self.end_headers()
        self.wfile.write(answer.content)

    def do_HEAD(self) -> None:
        time.sleep(4)


def test_a_busy_machine_s_server_begins_as_well(environment: dict[str, str], tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as proxy:
        Thread(target=proxy.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{proxy.server_port}"
        with launched(tmp_path, environment | {"http_proxy": address, "no_proxy": ""}) as (url, process):
            wait_until(lambda: "started" in (tmp_path / "log.txt").read_text() or not process.is_alive())
            assert process.is_alive(), (tmp_path / "log.txt").read_text()
            assert httpx.get(f"{url}/health", trust_env=False).status_code == 200
        proxy.shutdown()


@pytest.fixture
def few(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sessions may have messages to hear."""
    monkeypatch.setattr(page._queue.pending_messages_per_session, "most", 2)


@pytest.mark.usefixtures("few")
def test_who_never_comes_to_hear_is_forgotten(page: Page, http: httpx.Client, photo: Path) -> None:
    picture = upload(http, photo)
    for style in (*["no-style"] * 4, "first-style"):
        last = ask(http, "stylize", [picture, style, 1, "style", 64, 1, "", None, None])
        wait_until(lambda: not page.waiting() + page.running())
    page.forget_unheard()
    assert len(page._queue.pending_event_ids_session) == 2
    assert "event: complete" in http.get(last).text


def test_how_far_an_upload_is_is_forgotten_once_it_has_ended(page: Page, http: httpx.Client) -> None:
    http.post(f"{API}/upload?upload_id=whole", files={"files": b"x"}).raise_for_status()
    form = {"Content-Type": "multipart/form-data; boundary=b"}
    assert http.post(f"{API}/upload?upload_id=broken", content=b"x", headers=form).status_code == 400
    with pytest.raises(httpx.ReadTimeout):  # Gradio waits three seconds for it to begin
        http.get(f"{API}/upload_progress", params={"upload_id": "never"}, timeout=0.1)
    long = http.get(f"{API}/upload_progress", params={"upload_id": 65 * "x"})
    assert long.status_code == 400 and "choose a shorter one" in long.json()["detail"]
    wait_until(lambda: {"whole", "broken", "never"} <= {*file_upload_statuses._signals})
    page.forget_uploads()
    assert not file_upload_statuses._statuses and not file_upload_statuses._signals


@pytest.mark.usefixtures("few")
def test_who_waits_is_not_forgotten_for_others(page: Page, http: httpx.Client, photo: Path) -> None:
    painted = Event()
    picture = upload(http, photo)
    page.studio.line.join("bob", lambda progress: painted.wait(60))
    wish = [picture, "first-style", 1, "style", 64, 1, "", None, None]
    asked = [ask(http, "stylize", wish) for _ in range(12)]
    wait_until(lambda: page.waiting() == 12)
    painted.set()
    assert all("event: complete" in http.get(stream).text for stream in asked)


def test_what_a_client_cancels_leaves_the_line(page: Page, photo: Path) -> None:
    painted = Event()
    client = Client(str(page.local_url), verbose=False)
    page.studio.line.join("bob", lambda progress: painted.wait(60))
    jobs = [client.submit(handle_file(photo), "first-style", api_name="/stylize") for _ in range(3)]
    wait_until(lambda: page.studio.line.waiting() == 3)
    jobs[0].cancel()
    wait_until(lambda: not page.studio.line.waiting())
    painted.set()


@pytest.mark.parametrize("name", ["gradio", "mcp", "prometheus_client"])
def test_where_something_is_missing_the_page_says_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SystemExit, match=rf"needs {name}: pip install -r requirements\.txt"):
        runpy.run_path(str(ROOT / "app.py"))


@pytest.mark.slow
def test_a_server_that_trains_says_at_once_what_that_takes(environment: dict[str, str], tmp_path: Path) -> None:
    code = """
import importlib.util, runpy

found = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name == "matplotlib" else found(name)
runpy.run_path("app.py")
"""
    trains = environment | {"NST_TRAIN": "1", "NST_PHOTOS": str(tmp_path), "GRADIO_TEMP_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=trains, capture_output=True, text=True)
    assert done.returncode == 1 and "pip install matplotlib" in done.stderr and "Traceback" not in done.stderr


def ended(environment: dict[str, str], log: Path) -> tuple[int | None, str]:
    app = QUICK.Process(target=_serve, args=(environment, log))
    app.start()
    app.join(90)
    return app.exitcode, log.read_text()


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"NST_LOGIN": "true", "HF_TOKEN": "", "NST_REGISTRY": "", "NST_VGG19": ""}, "log in with `hf auth login`"),
        ({"NST_TRAIN": "maybe"}, "NST_TRAIN should be 1, true or yes, or 0, false or no, not 'maybe'."),
        ({"NST_ORT": "."}, "ort.wasm.bundle.min.mjs is missing, or from another version."),
    ],
)
def test_what_cannot_be_offered_is_said_at_once(
    environment: dict[str, str], variables: dict[str, str], told: str, tmp_path: Path
) -> None:
    settings = environment | variables | {"GRADIO_TEMP_DIR": str(tmp_path), "HF_HOME": str(tmp_path / "home")}
    settings["GRADIO_SERVER_PORT"] = "1"
    status, said = ended(settings, tmp_path / "said.txt")
    assert status == 1 and told in said and "Traceback" not in said, said


@pytest.mark.slow
def test_a_second_server_does_not_share_the_folder_of_the_first(environment: dict[str, str], tmp_path: Path) -> None:
    with launched(tmp_path, environment) as (url, _):
        port, files = url.rpartition(":")[2], tmp_path / "files"
        before = sorted(path for path in files.rglob("*") if path.is_file())
        again = environment | {"GRADIO_SERVER_PORT": port, "GRADIO_TEMP_DIR": str(files), "NST_GRACE": "0"}
        status, told = ended(again, tmp_path / "second.txt")
        assert status == 1 and f"cannot be served at port {port}" in told
        waiting = json.loads(told.splitlines()[0])
        assert (waiting["event"], waiting["port"]) == ("waiting", int(port))
        assert httpx.get(f"{url}/health").status_code == 200
        assert before and sorted(path for path in files.rglob("*") if path.is_file()) == before


@pytest.mark.slow
def test_a_server_begins_when_the_one_before_it_has_ended(
    environment: dict[str, str], photo: Path, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as earlier:
        earlier.settimeout(60)
        port = earlier.getsockname()[1]
        again = environment | {"GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": str(tmp_path / "files")}
        again["PYTHONIOENCODING"] = "cp1252"  # as on Windows, where what is printed goes to a file
        process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=again)
        try:
            earlier.accept()[0].close()
            assert not (tmp_path / "files").exists()  # the earlier one would delete it in the end
            earlier.close()
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", transport=httpx.HTTPTransport(retries=8)) as http:
                assert Path(upload(http, photo)["path"]).is_file()
        finally:
            process.terminate()
            process.wait(20)


def test_files_go_by_their_age_whoever_left_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("old/result.png", "old/deep/er/x", "tmpupload", "kept/previews/a.webp", "example/lion.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "empty").mkdir()
    time.sleep(0.3)
    now = time.time()
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "photo.png").touch()
    with monkeypatch.context() as patch:  # however long it takes to get there
        patch.setattr(time, "time", lambda: now)
        sweep(tmp_path, 0.2, {tmp_path / "kept", tmp_path / "example" / "lion.jpg"})
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"new/photo.png", "kept/previews/a.webp", "example/lion.jpg"}
    sweep(tmp_path, -1)
    sweep(tmp_path, -1)
    assert not list(tmp_path.iterdir())


def test_folders_may_go_while_files_are_looked_for(tmp_path: Path) -> None:
    stop = Event()

    def come_and_go(name: str) -> None:
        while not stop.is_set():
            (tmp_path / name / "deep").mkdir(parents=True, exist_ok=True)
            shutil.rmtree(tmp_path / name)

    people = [Thread(target=come_and_go, args=[name]) for name in "abcd"]
    for person in people:
        person.start()
    try:
        for _ in range(200):
            sweep(tmp_path, 60)
    finally:
        stop.set()
        for person in people:
            person.join()
