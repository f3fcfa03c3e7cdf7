"""Whatever is uploaded is refused in one sentence of its own, or made plain: soon, in little memory, and never run."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from nst_core.style import MAX_BYTES

SECONDS = 2
MEGABYTES = 200

# What the page does with an upload, in a process whose memory and whose doings are its own.
CHILD = """
import dataclasses, json, os, sys, time
from pathlib import Path
from made_hostile import good_files, uploads, zipped
from nst_core.contribution import unpack
from nst_core.errors import NSTError
from nst_core.report import examine

doings, folder = None, Path()
RUNNING = {"os.exec", "os.fork", "os.posix_spawn", "os.system", "pickle.find_class", "subprocess.Popen",
           "os.chmod", "os.link", "os.mkdir", "os.remove", "os.rename", "os.symlink", "socket.connect"}

def watch(event, arguments):
    if doings is None:
        return
    if event in RUNNING and not (event == "os.mkdir" and Path(arguments[0]) == folder):
        doings.append(f"{event} {arguments[:1]}")
    elif event == "exec" and arguments[0].co_filename.startswith("<"):  # all others are modules that are imported
        doings.append(event)
    elif event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR) and Path(arguments[0]).parent != folder:
        doings.append(f"open {arguments[0]}")

def memory(line):
    [kilobytes] = [said.split()[1] for said in Path("/proc/self/status").read_text().splitlines() if line in said]
    return int(kilobytes) / 1000

def look(path, *said):
    global doings, folder
    new = Path("out", str(len(os.listdir("out")))).absolute()
    Path("/proc/self/clear_refs").write_text("5")
    memory_before, began = memory("VmHWM"), time.process_time()
    folder, doings = new, []
    try:
        unpack(path, new)
        findings = [dataclasses.astuple(finding)[:3] for finding in examine(new).findings]
    except NSTError as error:
        findings = [("upload", False, str(error))]
    done, doings = doings, None
    seconds, megabytes = time.process_time() - began, memory("VmHWM") - memory_before
    print(json.dumps([*said, findings, done, seconds, megabytes, os.listdir(new)]))

sys.addaudithook(watch)
Path("out").mkdir()
path = Path("upload.safetensors")
path.write_bytes(zipped(good_files()))
look(path, "good", "", "")
for upload in uploads():
    path.write_bytes(upload.data)
    if upload.length:
        os.truncate(path, upload.length)
    look(path, upload.name, upload.part, upload.reason)
path.unlink()
"""


@dataclass(frozen=True)
class Answer:
    """What became of one upload, and what should have, as ``Upload`` has it."""

    name: str
    part: str
    reason: str
    findings: list[tuple[str, bool, str]]
    doings: list[str]
    seconds: float
    megabytes: float
    files: list[str]

    @property
    def refusal(self) -> tuple[str, str]:
        """The first part that does not pass, and why."""
        return next(((part, words) for part, passed, words in self.findings if not passed), ("", ""))


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sandbox")


@pytest.fixture(scope="module")
def answers(sandbox: Path) -> list[Answer]:
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-B", "-c", CHILD],
        cwd=sandbox,
        env=os.environ | {"PYTHONPATH": f"{here}{os.pathsep}{here.parent}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    good, *answers = (Answer(*json.loads(line)) for line in done.stdout.splitlines())
    assert good.refusal == ("", "") and len(good.findings) == 5
    return answers


def test_they_are_many_and_different(answers: list[Answer]) -> None:
    assert len(answers) > 150
    assert len({answer.name for answer in answers}) == len(answers)


def test_each_is_refused_for_what_it_is(answers: list[Answer]) -> None:
    refused = [answer for answer in answers if answer.part]
    assert {
        answer.name: answer.refusal
        for answer in refused
        if answer.part != answer.refusal[0] or answer.reason not in answer.refusal[1]
    } == {}


def test_text_that_is_hostile_is_made_plain(answers: list[Answer]) -> None:
    plain = [answer for answer in answers if not answer.part]
    assert len(plain) > 5
    for answer in plain:
        assert answer.refusal == ("", ""), answer.name
        assert any(answer.reason in words for _, _, words in answer.findings), answer.name


def test_each_has_a_sentence_of_its_own(answers: list[Answer]) -> None:
    sentences = [answer.refusal[1] for answer in answers if answer.part]
    assert [sentence for sentence, count in Counter(sentences).items() if count > 1] == []


def test_sentences_are_for_people(answers: list[Answer], sandbox: Path) -> None:
    machines = re.compile(r"Traceback|Error\b|Exception|errno|<class|object at 0x|\.py\b|sandbox|/tmp|upload\.safet")
    for answer in answers:
        for _, _, words in answer.findings:
            assert words.isprintable() and len(words) <= 300 and words.endswith("."), (answer.name, words)
            assert not machines.search(words) and str(sandbox) not in words, (answer.name, words)


def test_each_costs_little(answers: list[Answer]) -> None:
    assert {answer.name: answer.seconds for answer in answers if answer.seconds > SECONDS} == {}
    assert {answer.name: answer.megabytes for answer in answers if answer.megabytes > MEGABYTES} == {}


def test_nothing_is_run_and_nothing_written_elsewhere(answers: list[Answer], sandbox: Path) -> None:
    assert {answer.name: answer.doings for answer in answers if answer.doings} == {}
    for answer in answers:
        assert set(answer.files) <= set(MAX_BYTES), answer.name
    assert [path.name for path in sandbox.iterdir()] == ["out"]
    folders = list((sandbox / "out").iterdir())
    assert len(folders) == len(answers) + 1  # and the good one's
    assert all(file.is_file() and not file.is_symlink() for folder in folders for file in folder.iterdir())
