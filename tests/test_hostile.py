"""Whatever is uploaded is refused in one sentence of its own, or made plain: soon, in little memory, and never run."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from made_hostile import Upload, uploads

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
RUNNING = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "pickle.find_class", "socket.connect",
           "os.link", "os.symlink", "os.rename", "os.remove", "os.chmod", "exec")

def watch(event, arguments):
    if doings is None:
        return
    if event in RUNNING:
        doings.append(f"{event} {arguments[:1]}")
    elif event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR) and Path(arguments[0]).parent != folder:
        doings.append(f"open {arguments[0]}")

def memory(line):
    [kilobytes] = [said.split()[1] for said in Path("/proc/self/status").read_text().splitlines() if line in said]
    return int(kilobytes) / 1000

def look(number, path):
    global doings, folder
    new = Path("out", str(number)).absolute()
    Path("/proc/self/clear_refs").write_text("5")
    memory_before, began = memory("VmHWM"), time.process_time()
    folder, doings = new, []
    try:
        unpack(path, new)
        findings = [dataclasses.astuple(finding) for finding in examine(new).findings]
    except NSTError as error:
        findings = [("upload", False, str(error))]
    done, doings = doings, None
    seconds, megabytes = time.process_time() - began, memory("VmHWM") - memory_before
    print(json.dumps([findings, done, seconds, megabytes, [file.name for file in new.iterdir()]]), flush=True)

sys.addaudithook(watch)
path = Path("upload.zip")
path.write_bytes(zipped(good_files()))
look("good", path)
for number, upload in enumerate(uploads()):
    path = Path("upload.safetensors")
    path.write_bytes(upload.data)
    if upload.length:
        os.truncate(path, upload.length)
    look(number, path)
path.unlink()
"""


@dataclass(frozen=True)
class Answer:
    """What became of one upload."""

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
def answers(sandbox: Path) -> list[tuple[Upload, Answer]]:
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-B", "-c", CHILD],
        cwd=sandbox,
        env=os.environ | {"PYTHONPATH": f"{here}{os.pathsep}{here.parent}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    good, *rest = (Answer(*json.loads(line)) for line in done.stdout.splitlines())
    assert good.refusal == ("", "") and len(good.findings) == 5
    return list(zip(uploads(), rest, strict=True))


def test_they_are_many(answers: list[tuple[Upload, Answer]]) -> None:
    assert len(answers) > 150
    assert len({upload.name for upload, _ in answers}) == len(answers)


def test_each_is_refused_for_what_it_is(answers: list[tuple[Upload, Answer]]) -> None:
    wrong = {
        upload.name: answer.refusal
        for upload, answer in answers
        if upload.part != answer.refusal[0] or upload.part and upload.reason not in answer.refusal[1]
    }
    assert not wrong


def test_text_that_is_hostile_is_made_plain(answers: list[tuple[Upload, Answer]]) -> None:
    plain = [(upload, answer) for upload, answer in answers if not upload.part]
    assert len(plain) > 5
    for upload, answer in plain:
        assert any(upload.reason in words for _, _, words in answer.findings), upload.name


def test_each_has_a_sentence_of_its_own(answers: list[tuple[Upload, Answer]]) -> None:
    sentences = [answer.refusal[1] for _, answer in answers if answer.refusal[1]]
    assert sorted({sentence for sentence in sentences if sentences.count(sentence) > 1}) == []


def test_sentences_are_for_people(answers: list[tuple[Upload, Answer]], sandbox: Path) -> None:
    machines = re.compile(r"Traceback|Error\b|Exception|errno|<class|object at 0x|\.py\b|sandbox|/tmp|upload\.safet")
    for upload, answer in answers:
        for part, passed, words in answer.findings:
            assert words.isprintable() and len(words) <= 300 and words.endswith("."), (upload.name, part, words)
            assert not machines.search(words) and str(sandbox) not in words, (upload.name, words)
            assert passed or words[0].isupper() or words.startswith(("'", '"', *MAX_BYTES, "in", "conv")), words


def test_each_costs_little(answers: list[tuple[Upload, Answer]]) -> None:
    assert {upload.name: answer.seconds for upload, answer in answers if answer.seconds > SECONDS} == {}
    assert {upload.name: answer.megabytes for upload, answer in answers if answer.megabytes > MEGABYTES} == {}


def test_nothing_is_run_and_nothing_written_elsewhere(answers: list[tuple[Upload, Answer]], sandbox: Path) -> None:
    assert {upload.name: answer.doings for upload, answer in answers if answer.doings} == {}
    for upload, answer in answers:
        assert set(answer.files) <= set(MAX_BYTES), upload.name
    assert [path.name for path in sandbox.iterdir() if path.name != "upload.zip"] == ["out"]
    made = [path for path in (sandbox / "out").rglob("*")]
    assert all(path.is_dir() if path.parent.name == "out" else path.is_file() for path in made)
    assert not any(path.is_symlink() for path in made)
    assert len(list((sandbox / "out").iterdir())) == len(answers) + 1
