"""The command line, run as a person runs it, mostly by this process: one of its own takes seconds to import torch."""

import io
import logging
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path

import pytest

from nst_core.cli import main


def nst(*words: object, folder: Path | str = ".") -> "subprocess.CompletedProcess[str]":
    """What ``python -m nst_core`` says and ends with in a folder."""
    command, code = ["nst", *map(str, words)], 0
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(folder)
        patch.setattr(sys, "argv", command)
        patch.setattr(logging.root, "handlers", [])  # pytest's; it would say nothing on stderr
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
    return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())


def refusal(*words: object, folder: Path | str = ".", code: int = 1) -> str:
    """What it says when it is refused: one line, or more if the command was written wrongly."""
    done = nst(*words, folder=folder)
    assert done.returncode == code, done.stderr
    assert done.stderr.count("\n") == 1 or code == 2
    return done.stderr


def begun(*words: object, folder: Path, environment: Mapping[str, str] | None = None) -> "subprocess.Popen[str]":
    """The same in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "nst_core", *map(str, words)],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Where the tests run in the background, Ctrl-C is ignored.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
