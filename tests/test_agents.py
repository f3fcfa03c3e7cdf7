"""What docs/api.md tells programs and agents to do works, word for word, on a real server."""

import asyncio
import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from conftest import ROOT, serving
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, ImageContent, TextContent, Tool
from PIL import Image
from waiting import wait_until

PART = (ROOT / "docs" / "api.md").read_text()
URL = "http://127.0.0.1:7860"
T = TypeVar("T")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with the bundled styles."""
    with serving(tmp_path_factory.mktemp("app"), os.environ | {"HF_HUB_OFFLINE": "1"}) as url:
        yield url


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.effect_mandelbrot((96, 64), (-2, -1, 1, 1), 50).convert("RGB").save(tmp_path / "photo.jpg")
    return tmp_path / "photo.jpg"


def example(language: str, url: str) -> str:
    [code] = re.findall(rf"```{language}\n(.*?)```", PART, re.DOTALL)
    assert URL in code
    return code.replace(URL, url)


def test_curl(url: str, photo: Path) -> None:
    subprocess.run(["bash", "-euo", "pipefail", "-c", example("sh", url)], cwd=photo.parent, check=True, timeout=60)
    with Image.open(photo.with_name("painted.png")) as painted:
        assert painted.format == "PNG" and painted.size == (1024, 683)


def test_python(url: str, photo: Path) -> None:
    code = example("python", url) + "print(painted)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=photo.parent, check=True, timeout=60, capture_output=True, text=True
    )
    assert "'great-wave'" in done.stdout
    with Image.open(done.stdout.splitlines()[-1]) as painted:
        assert painted.format == "PNG" and painted.size == (1024, 683)


def configuration(url: str) -> dict[str, Any]:
    return json.loads(example("json", url))["mcpServers"]


async def with_tools(url: str, *calls: tuple[str, dict[str, Any]]) -> tuple[list[Tool], list[CallToolResult]]:
    """The tools that an agent sees, and what some calls give."""
    async with (
        streamable_http_client(configuration(url)["repaint"]["url"]) as (read, write, _),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        return (await session.list_tools()).tools, [await session.call_tool(*call) for call in calls]


async def upload(url: str, file: Path) -> str:
    """What the agent's other server gives for a file; `uvx` would fetch what is installed here already."""
    said = configuration(url)["upload"]
    assert said["command"] == "uvx" and said["args"][:2] == ["--from", "gradio[mcp]"]
    words = [str(file.parent) if word == "/home/me/pictures" else word for word in said["args"][3:]]
    command = Path(sys.executable).with_name(said["args"][2])
    parameters = StdioServerParameters(command=str(command), args=words, env=dict(os.environ))
    async with stdio_client(parameters) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        result = await session.call_tool("upload_file_to_gradio", {"file": str(file)})
        assert isinstance(result.content[0], TextContent)
        return result.content[0].text


def run(calls: Coroutine[Any, Any, T]) -> T:
    """In a thread, as a browser's tests leave a loop behind in this one."""
    return ThreadPoolExecutor(1).submit(asyncio.run, calls).result()


def painted(result: CallToolResult, folder: Path) -> Image.Image:
    assert not result.isError, result.content
    picture = result.content[0]
    assert isinstance(picture, ImageContent) and picture.mimeType == "image/png"
    (folder / "result.png").write_bytes(base64.b64decode(picture.data))
    return Image.open(folder / "result.png")


def test_an_agent_sees_three_tools_and_what_they_take(url: str) -> None:
    tools, [styles] = run(with_tools(url, ("styles", {})))
    assert {tool.name for tool in tools} == {"stylize", "optimize", "styles"}
    for tool in tools:
        assert tool.description and len(tool.description) > 60
        for name, schema in tool.inputSchema["properties"].items():
            assert len(schema["description"]) > 10 and schema["description"].endswith("."), (tool.name, name)
    assert isinstance(styles.content[0], TextContent) and "'great-wave'" in styles.content[0].text


def test_the_api_view_says_what_each_does(url: str) -> None:
    endpoints = httpx.get(f"{url}/gradio_api/info").json()["named_endpoints"]
    assert set(endpoints) == {"/stylize", "/optimize", "/styles"}
    assert endpoints["/stylize"]["description"].startswith("Repaint a photograph")
    assert all(endpoint["description"].endswith(".") for endpoint in endpoints.values())
    [tools, _] = run(with_tools(url))
    paths = httpx.get(f"{url}/gradio_api/openapi.json").json()["paths"]
    for tool in tools:
        meant = {name: schema["description"] for name, schema in tool.inputSchema["properties"].items()}
        parameters = endpoints[f"/{tool.name}"]["parameters"]
        assert {it["parameter_name"]: it["python_type"]["description"] for it in parameters} == meant
        body = paths[f"/gradio_api/call/v2/{tool.name}"]["post"]["requestBody"]["content"]["application/json"]["schema"]
        files = {name for name, schema in body["properties"].items() if schema.get("format") == "filepath"}
        assert all(body["properties"][name]["description"] == meant[name] for name in meant.keys() - files)


def test_what_is_made_smaller_is_told(url: str) -> None:
    told = httpx.get(f"{url}/gradio_api/info").json()["named_endpoints"]
    sizes = {
        path: it["python_type"]["description"]
        for path, endpoint in told.items()
        for it in endpoint["parameters"]
        if it["parameter_name"] == "size"
    }
    assert "A photograph of more than 2048 pixels per side is made smaller." in told["/stylize"]["description"]
    assert "from 16 to 2048" in sizes["/stylize"]
    assert "from 8 to 1024" in sizes["/optimize"] and "512 by default" in sizes["/optimize"]


def test_an_agent_hands_over_a_file(url: str, photo: Path) -> None:
    address = run(upload(url, photo))
    assert address.startswith(f"{url}/gradio_api/file=")
    wish = {"style": "great-wave", "size": 128, "strength": 0.5}
    _, [result] = run(with_tools(url, ("stylize", {"photo": address, **wish})))
    assert painted(result, photo.parent).size == (128, 85)


def test_an_agent_hands_over_a_data_url(url: str, photo: Path) -> None:
    data = f"data:image/jpeg;base64,{base64.b64encode(photo.read_bytes()).decode()}"
    wish = {"method": "quick", "size": 64, "steps": 2}
    masked = {"photo": data, "style": "udnie", "second": "great-wave", "mask": data}
    _, results = run(
        with_tools(
            url,
            ("stylize", {"photo": data, "style": "udnie", "second": None, "size": None}),
            ("optimize", {"content": data, "style": data, **wish}),
            ("stylize", masked),
        )
    )
    assert painted(results[2], photo.parent).size == (96, 64)
    assert painted(results[0], photo.parent).size == (96, 64)
    assert painted(results[1], photo.parent).size == (64, 43)


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:1/a.png", "https://example.com/a.png", "{url}/gradio_api/file=/etc/passwd", "/etc/passwd"],
)
def test_an_agent_is_refused_what_is_elsewhere(url: str, address: str) -> None:
    call = ("stylize", {"photo": address.format(url=url), "style": "great-wave"})
    _, [result] = run(with_tools(url, call))
    assert result.isError and isinstance(result.content[0], TextContent)
    assert "root:" not in result.content[0].text and "Traceback" not in result.content[0].text


def test_what_an_agent_no_longer_waits_for_ends(url: str, photo: Path) -> None:
    """Be it under way or still in the queue; it would take ten minutes."""
    picture = f"data:image/jpeg;base64,{base64.b64encode(photo.read_bytes()).decode()}"
    asked = {"content": picture, "style": picture, "size": 256, "steps": 2000, "seconds": 600, "method": "noise"}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "optimize", "arguments": asked}}
    accept = {"accept": "application/json, text/event-stream"}

    def at_work() -> int:
        said = httpx.get(f"{url}/health").json()
        return int(said["running"]) + int(said["waiting"])

    def hang_up() -> None:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{url}/gradio_api/mcp/", json=call, headers=accept, timeout=httpx.Timeout(60, read=4))

    with ThreadPoolExecutor(2) as agents:
        hanging = [agents.submit(hang_up) for _ in range(2)]
        wait_until(lambda: at_work() == 2)
        for one in hanging:
            one.result()
    wait_until(lambda: at_work() == 0)
