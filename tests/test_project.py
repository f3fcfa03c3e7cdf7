"""The project as a whole: what is said in two places agrees, and every bundled style is sound."""

import ast
import importlib
import pkgutil
import re
import shlex
import subprocess
import sys
from importlib.metadata import requires
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from PIL import Image
from typer.main import get_command

import nst_core
from nst_core.cli import app
from nst_core.registry import Registry

ROOT = Path(__file__).parent.parent
BUNDLED = [entry for entry in Registry.load(ROOT / "registry.yaml") if entry.path]


def test_a_space_installs_what_the_page_needs() -> None:
    needed: dict[str, SpecifierSet] = {}
    for line in requires("nst-core") or []:
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("page", "video")):
            needed[canonicalize_name(requirement.name)] = requirement.specifier
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    listed = [Requirement(line) for line in lines if line and not line.startswith("#")]
    said: dict[str, SpecifierSet] = {
        canonicalize_name(requirement.name): requirement.specifier for requirement in listed
    }
    for version in ("2.9.1", "2.10.0", "2.11.0"):  # what shared GPUs run
        assert said["torch"].contains(version) and needed["torch"].contains(version)
    assert not said.pop("torch").contains("2.12.0") and needed.pop("torch")
    assert said == needed


def test_what_git_ignores_is_not_in_a_wheel() -> None:
    """Of a folder that is included by force, everything is: a trainer's checkpoints and samples, too."""
    _, _, rest = (ROOT / "pyproject.toml").read_text().partition("[tool.hatch.build.targets.wheel.force-include]\n")
    included = re.findall(r'^"(.+)" = ', rest.partition("\n[")[0], re.MULTILINE)
    assert included and all((ROOT / path).is_file() for path in included)


def test_the_readme_is_a_spaces_card() -> None:
    front = yaml.safe_load((ROOT / "README.md").read_text().split("---")[1])
    assert front["sdk"] == "gradio"
    assert (ROOT / front["app_file"]).exists()
    gradio = next(line for line in (ROOT / "requirements.txt").read_text().splitlines() if line.startswith("gradio"))
    assert Requirement(gradio).specifier.contains(front["sdk_version"])
    assert len(front["short_description"]) <= 60


def test_every_name_the_library_exports_is_there() -> None:
    # A submodule of the same name would take the place of what is exported as soon as anybody imports it.
    for module in pkgutil.walk_packages(nst_core.__path__, "nst_core."):
        if module.name != "nst_core.__main__":
            importlib.import_module(module.name)
    for name in nst_core.__all__:
        assert not isinstance(getattr(nst_core, name), ModuleType), name
    program = ast.walk(ast.parse((ROOT / "nst_core" / "__init__.py").read_text()))
    told = {(node.module, name.asname) for node in program if isinstance(node, ast.ImportFrom) for name in node.names}
    there = {(f"nst_core.{module}", name) for name, module in nst_core._HOMES.items()}
    assert told - {("typing", None)} == there  # as type checkers have it, and as it is when it runs
    with pytest.raises(AttributeError):
        _ = nst_core.nothing  # type: ignore[attr-defined]


def test_the_package_tells_type_checkers_of_its_types() -> None:
    assert files("nst_core").joinpath("py.typed").is_file()


def test_a_type_checker_notices_a_misspelt_name(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("from nst_core import stylise, stylize\n")
    # Torch and all else it imports would take minutes.
    words = ["--strict", "--follow-imports=skip", f"--cache-dir={tmp_path}"]
    command = [sys.executable, "-m", "mypy", *words, "nst_core/__init__.py", str(tmp_path / "program.py")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert [line.split("error: ")[1] for line in done.stdout.splitlines()[:-1]] == [
        'Module "nst_core" has no attribute "stylise"; maybe "stylize"?  [attr-defined]'
    ]


def test_importing_the_library_imports_neither_torch_nor_gradio() -> None:
    code = "import sys, nst_core.registry; print(sorted({'torch', 'gradio', 'huggingface_hub'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


def test_the_library_does_not_know_the_page() -> None:
    for path in (ROOT / "nst_core").rglob("*.py"):
        assert not re.search(r"^\s*(import|from) (gradio|ui)\b", path.read_text(), re.MULTILINE), path


@pytest.mark.parametrize("entry", BUNDLED, ids=[entry.id for entry in BUNDLED])
def test_a_bundled_style_opens_and_is_what_its_entry_says(entry) -> None:  # type: ignore[no-untyped-def]
    style = Registry.load(ROOT / "registry.yaml").open(entry.id)  # checks sha256, too
    assert {"steps", "content_weight", "features", "style_image", "seed"} <= set(style.config.training)
    assert entry.license
    card = (style.folder / "README.md").read_text()
    assert "public domain" in card
    with Image.open(style.folder / "preview.webp") as preview:
        assert max(preview.size) >= 256
    names = {path.name for path in style.folder.iterdir() if path.is_file()}
    assert names == {"README.md", "config.json", "model.safetensors", "preview.webp"}


def test_the_bundled_styles_stay_small() -> None:
    assert sum(path.stat().st_size for path in (ROOT / "styles").glob("*/*") if path.is_file()) < 60e6


DOCUMENTATION = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", DOCUMENTATION, ids=lambda page: page.name)
def test_what_the_documentation_links_to_is_there(page: Path) -> None:
    for target, part in re.findall(r"\]\((?!http)([^)#]*)#?([^)]*)\)", page.read_text()):
        linked = page.parent / target
        assert linked.is_file(), target
        headings = re.findall(r"^#+ (.+)$", linked.read_text(), re.MULTILINE) if part else []
        assert not part or part in {heading.lower().replace(" ", "-") for heading in headings}, part


@pytest.mark.parametrize("page", DOCUMENTATION, ids=lambda page: page.name)
def test_the_commands_of_the_documentation_are_such(page: Path) -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    for line in re.findall(r"-m nst_core (.+?)$", page.read_text().replace("\\\n", ""), re.MULTILINE):
        name, *words = shlex.split(line.replace("[", "").replace("]", ""), comments=True)
        if "`" not in line and "--help" not in line:
            commands[name].make_context(name, words)
