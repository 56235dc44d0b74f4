"""The README's commands, as bash reads them: those of the embedded model run on fewer functions, the others up to where a large model is fetched."""

import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
FUNCTIONS = 24

RECORDED = """
say() { printf '%s\\0' "$@"; printf '\\n'; }
for name in python pip tcpe make source; do eval "$name() { say $name \\"\\$@\\"; }"; done
"""
"""Makes bash say the words of a command, each with a NUL behind it, instead of running it."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def commands(block: str) -> list[list[str]]:
    """What bash would run."""
    said = subprocess.run(["bash", "-euc", RECORDED + block], capture_output=True, text=True, check=True)
    assert not said.stderr
    return [line.rstrip("\0").split("\0") for line in said.stdout.splitlines()]


def main_of(command: list[str]) -> tuple[str, list[str]]:
    """The module and the arguments of a ``python`` command."""
    if command[1] == "-m":
        return command[2], command[3:]
    return command[1].removesuffix(".py"), command[2:]


class Fetched(Exception):
    """A command came to where it would load a model."""


def fetch(*_: object, **__: object) -> None:
    raise Fetched


def lay_out(folder: Path) -> None:
    """Give ``folder`` what the README's commands read, with fewer functions, a third of them of the family that row 2 edits."""
    (folder / "data/demo").mkdir(parents=True)
    for path in [*(ROOT / "data/demo").iterdir(), ROOT / "data/edit_requests.csv"]:
        (folder / path.relative_to(ROOT)).symlink_to(path)
    functions = folder / "data/demo/test.csv"
    head, *rows = re.split(r"^(?=F\d+,)", functions.read_text(), flags=re.MULTILINE)
    constants = [row for row in rows if "MIN_VALUE" in row][: FUNCTIONS // 3]
    others = [row for row in rows if row not in constants][: FUNCTIONS - len(constants)]
    functions.unlink()
    functions.write_text("".join([head, *constants, *others]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands read, the functions as KECode too, and for a large model a transcoder's file that nobody reads."""
    folder = tmp_path_factory.mktemp("readme")
    lay_out(folder)
    for name in ("data/kecode/originals", "data/kecode/d_with_params", "transcoders"):
        (folder / name).mkdir(parents=True)
    shutil.copy(folder / "data/demo/test.csv", folder / "data/kecode/kecode.csv")
    (folder / "transcoders/layer_19.pt").touch()
    return folder


def execute(folder: Path, block: str) -> list[str]:
    """Run the commands of a block in ``folder``, and return the modules that ran to their end."""
    ended = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("WANDB_MODE", "disabled")
        for command in commands(block):
            if command[0] != "python":
                continue
            module, arguments = main_of(command)
            patch.setattr(sys, "argv", [module, *arguments])
            importlib.import_module(module).main()
            ended.append(module)
    return ended


def block_with(text: str) -> str:
    (block,) = [block for block in blocks("bash") if text in block]
    return block


@pytest.fixture(scope="module")
def embedded(folder: Path) -> Path:
    """What the embedded model's commands leave."""
    assert execute(folder, block_with("data/demo/model --layer_num 5 --TC_layer_file data/demo/transcoder --mlp")) == ["run_tcpe"] * 6
    return folder


@pytest.mark.slow
def test_the_embedded_models_commands_run(embedded: Path) -> None:
    assert {path.parent.name for path in embedded.glob("runs/*/metrics.json")} == {"before", "pre_0", "pre_2", "tcpe_0", "tcpe_2", "tcpe_2_0"}


@pytest.mark.slow
def test_saved_edits_are_listed_compared_merged_and_applied(embedded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(embedded, block_with("tcpe.edits list")) == ["tcpe.edits"] * 5
    said = capsys.readouterr().out
    assert "cosine of k*" in said and "saved to runs/both" in said and "saved to runs/edited" in said
    names: dict = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(embedded)
        exec(next(block for block in blocks("python") if "load_edited" in block), names)
    assert names["model"].config.num_hidden_layers == 6


def test_a_transcoders_training_is_right_up_to_the_models_loading(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface.load.load_model_and_tokenizer", fetch)
    with pytest.raises(Fetched):
        execute(folder, block_with("sae_training.train"))


@pytest.mark.slow
def test_the_rules_are_compared_with_fewer(folder: Path) -> None:
    modules = ["run_tcpe", "d_running.translate", "d_running.judge", "d_running.correction_knowledge"]
    assert execute(folder, block_with("reference")) == modules
    assert (folder / "runs/fewer_rules/metrics.json").exists()


def test_a_large_models_commands_are_right_up_to_its_fetching(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.inputs.check_on_hub", fetch)
    (folder / "runs/7b/before").mkdir(parents=True)
    block = block_with("codellama")
    lines = [" ".join(words) for words in commands(block) if words[0] == "python"]
    assert len(lines) == 3
    for line in lines:
        with pytest.raises(Fetched):
            execute(folder, line)


def test_kecodes_command_is_right_up_to_its_build(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list = []
    monkeypatch.setattr("d_running.build_kecode.build", lambda *arguments: given.extend(arguments) or {})
    monkeypatch.setattr("d_running.build_kecode.summary", lambda report: "")
    execute(folder, block_with("build_kecode"))
    assert given[:3] == [Path("DIR"), Path("data/kecode"), "java"]


def test_every_command_is_one_of_these() -> None:
    """No block is left out above; and what the text names besides is there."""
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    tried = {"run_tcpe", "tcpe.edits", "sae_training.train", "d_running.build_kecode"}
    for block in blocks("bash"):
        for command in commands(block):
            assert command[0] in ("python", "source", "pip", "tcpe") or set(command[1:]) <= targets, command
            assert command[0] != "pip" or command in (["pip", "install", "-e", "."],)
            assert command[0] != "tcpe" or command == ["tcpe", "--help"]
            assert command[0] != "python" or main_of(command)[0] in tried or "reference" in block, command
    assert set(re.findall(r"`make ([\w-]+)", README)) <= targets
    for module in re.findall(r"python -m ([\w.]*\w)(?![.\w…])", README):
        assert (ROOT / module.replace(".", "/")).with_suffix(".py").exists(), module


def test_every_flag_of_the_text_is_one() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in ROOT.glob("[a-z]*/**/*.py") if "tests" not in path.parts)
    known = set(re.findall(r"^    (\w+): .*flag\(|\"--(\w+)\"", sources + (ROOT / "run_tcpe.py").read_text(), re.MULTILINE))
    flags = {name for pair in known for name in pair if name}
    assert set(re.findall(r"(?<![\w-])--(\w+)", README)) - {"help", "version"} <= flags
