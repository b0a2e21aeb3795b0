import os
import pty
import re
import subprocess
import sys

import pytest
from typer.core import TyperArgument

from handler.http.auth import find_caller
from handler.settings import read_http_settings
from minnow.cli import main
from minnow.errors import CommandError
from minnow.group import COMMANDS, load_command
from tests.helpers.fresh_python import run_python
from tests.helpers.paths import ROOT

HEAVY = "boto3 fastapi keras numpy onnx onnxruntime pyarrow rich sklearn tensorflow"
PRIVATE_WORDS = r"\b(rooms?|handler|workshop|lanes?|skins?|trust|None)\b"


def read_help(capsys, *command: str) -> str:
    assert main([*command, "--help"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_whole_and_fits_a_terminal(name, capsys):
    text = read_help(capsys, name)

    assert text.startswith(f"Usage: minnow {name} ")
    assert re.search(rf"\nExamples?:\n  minnow {name}", text)
    assert re.findall(PRIVATE_WORDS, text) == []
    assert max(map(len, text.splitlines())) <= 80
    assert text.isascii()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_sentence_and_a_default(name):
    command = load_command(name, None)
    context = command.make_context(name, [], resilient_parsing=True)

    for parameter in command.params:
        title, text = parameter.get_help_record(context)
        sentence, _, extra = text.partition("  [")
        assert re.fullmatch(r"(?s)[A-Zi].*\.", sentence), title
        assert re.match(r"default: .|required", extra), title
        assert parameter.metavar != title or isinstance(parameter, TyperArgument)


def test_help_lists_the_commands_by_panel(capsys):
    text = read_help(capsys)

    panels = dict(re.findall(r"^(\w+):\n((?:  .*\n)+)", text, flags=re.MULTILINE))
    assert list(panels) == ["Model", "Serving", "Tools", "Options", "Examples"]
    listed = re.findall(r"^  (\w+)  ", "".join(panels.values()), flags=re.MULTILINE)
    assert listed == list(COMMANDS)


def test_every_module_of_the_folder_is_a_command():
    folder = ROOT / "minnow" / "commands"

    assert {path.stem for path in folder.glob("*.py")} == {*COMMANDS, "__init__"}


def test_help_on_a_terminal_has_panels():
    out, inner = pty.openpty()
    subprocess.run(
        [sys.executable, "-m", "minnow", "--help"],
        stdout=inner,
        env={**os.environ, "COLUMNS": "80", "TERM": "dumb"},
        check=True,
    )
    os.close(inner)

    # A terminal gives 4,095 bytes at once, the last of which may be a part of a character.
    text = os.read(out, 1 << 16).decode(errors="ignore")

    assert re.search("─ Model ─+╮", text)
    assert "Train a classifier on labelled texts." in text


def test_no_arguments_show_help_on_a_terminal_and_no_more():
    out, inner = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "minnow"],
        stdout=inner,
        stderr=subprocess.PIPE,
        env={**os.environ, "COLUMNS": "80", "TERM": "dumb"},
        check=False,
    )
    os.close(inner)

    assert (done.returncode, done.stderr) == (2, b"")
    assert re.search("─ Model ─+╮", os.read(out, 1 << 16).decode(errors="ignore"))


def test_no_arguments_are_wrong_usage_and_show_help(capsys):
    assert main([]) == 2

    bare = capsys.readouterr()
    assert (bare.out, bare.err) == ("", read_help(capsys))


def test_version_is_printed(capsys):
    assert main(["--version"]) == 0

    assert re.fullmatch(r"minnow \d+\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "No such command 'trian'. Did you mean 'train'? (see minnow --help)"),
        (
            ["train", "--epoch", "3"],
            "No such option: --epoch. Did you mean --epochs? (see minnow train --help)",
        ),
        (
            ["predict", "--bundel", "b"],
            "No such option: --bundel. Did you mean --bundle? (see minnow predict --help)",
        ),
        (["train", "a.csv"], "Missing option '--out'. (see minnow train --help)"),
        (
            ["train", "a.csv", "--out", "b", "--epochs", "0"],
            "Invalid value for '--epochs': 0 is not in the range x>=1. (see minnow train --help)",
        ),
        (
            ["train", "a.csv", "--out", "b", "--label-columns", "pos"],
            "Invalid value: 'pos': wanted two different names or more, commas between, such as "
            "pos,neg (see minnow train --help)",
        ),
        (
            ["train", "a.csv", "--out", "b", "--units", "64,x"],
            "Invalid value for '--units': '64,x': wanted whole numbers, commas between, such as "
            "64,32 (see minnow train --help)",
        ),
        (
            ["cost", "--measured", "1:1:1", "--cold-share", "5"],
            "Invalid value for '--cold-share': '5' is no share, wanted a number from 0 to 1 (see "
            "minnow cost --help)",
        ),
        (
            ["export", "run", "--out", "b", "--precision", "int4"],
            "Invalid value for '--precision': 'int4' is not one of 'int8', 'float32'. (see minnow "
            "export --help)",
        ),
    ],
)
def test_wrong_usage_is_one_line_that_says_what_was_meant(arguments, message, capsys):
    assert main(arguments) == 2

    assert capsys.readouterr().err == f"minnow: {message}\n"


def raising(error: BaseException):
    def key() -> None:
        """Fail."""
        raise error

    return key


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (CommandError("a.json: not\nJSON"), 1, "minnow: a.json: not JSON\n"),
        (FileNotFoundError(2, "No such file", "a.csv"), 1, "minnow: a.csv: No such file\n"),
        (OSError("the disk is full"), 1, "minnow: the disk is full\n"),
        (KeyboardInterrupt(), 130, "minnow: interrupted\n"),
    ],
)
def test_an_expected_error_is_one_line(error, code, message, monkeypatch, capsys):
    monkeypatch.setattr("minnow.commands.key.key", raising(error))

    assert main(["key"]) == code

    assert capsys.readouterr().err == message


def test_an_unexpected_error_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr("minnow.commands.key.key", raising(ZeroDivisionError("a defect")))

    with pytest.raises(ZeroDivisionError, match="a defect"):
        main(["key"])


def test_a_closed_pipe_ends_without_a_word():
    command = [sys.executable, "-m", "minnow", "key"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()

        error = process.stderr.read()

    assert (process.returncode, error) == (1, b"")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_process_may_be_started_without_output(closed):
    command = f"{sys.executable} -m minnow key {closed}"

    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")


def test_the_process_ends_with_the_code_after_exit_handlers():
    code = """
        import atexit
        import minnow.commands.key as module
        from minnow.cli import main
        def key():
            "Fail."
            atexit.register(print, "tidied")
            raise OSError("the disk is full")
        module.key = key
        main()
    """

    done = run_python(code, "key")

    assert (done.stdout, done.stderr) == ("tidied\n", "minnow: the disk is full\n")
    assert done.returncode == 1


def test_help_imports_no_library_and_a_command_only_itself():
    code = f"""
        import sys
        from minnow.cli import main
        assert main(["key"]) == 0
        print(*(name for name in sys.modules if name.startswith("minnow.commands.")))
        assert main(["--help"]) == 0
        print(*set(sys.modules) & set("{HEAVY}".split()))
    """

    lines = run_python(code).stdout.splitlines()

    assert lines[2] == "minnow.commands.key"
    assert lines[-1] == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_is_printed(shell):
    code = "from minnow.cli import main; main()"

    done = run_python(code, _MINNOW_COMPLETE=f"source_{shell}")

    assert f"_MINNOW_COMPLETE=complete_{shell}" in done.stdout
    assert (done.stderr, done.returncode) == ("", 0)


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("minnow ex", ["export"]),
        ("minnow export --max-", ["--max-size", "--max-drop", "--max-latency-ms", "--max-trials"]),
        ("minnow export --precision ", ["int8", "float32"]),
    ],
)
def test_commands_options_and_choices_are_completed(typed, completed):
    words = typed.split(" ")

    done = run_python(
        "from minnow.cli import main; main()",
        _MINNOW_COMPLETE="complete_bash",
        COMP_WORDS=typed,
        COMP_CWORD=str(len(words) - 1),
    )

    assert done.stdout.split() == completed


@pytest.mark.parametrize(
    ("shell", "file"),
    [
        ("bash", ".bash_completions/minnow.sh"),
        ("zsh", ".zfunc/_minnow"),
        ("fish", ".config/fish/completions/minnow.fish"),
    ],
)
def test_completion_is_shown_and_installed(shell, file, tmp_path):
    asked = {"HOME": str(tmp_path)}
    code = "from minnow.cli import main; main()"

    shown = run_python(code, "--show-completion", shell, **asked)
    installed = run_python(code, "--install-completion", shell, **asked)

    assert "_MINNOW_COMPLETE" in shown.stdout
    assert installed.returncode == 0
    assert (tmp_path / file).read_text().strip() == shown.stdout.strip()


def test_completion_of_no_shell_is_refused(tmp_path):
    code = "from minnow.cli import main; main()"

    done = run_python(code, "--install-completion", "sh0", HOME=str(tmp_path))

    assert done.returncode == 2
    assert "'sh0' is not one of" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", " ", "shop,x", " shop", "a\nb"])
def test_a_key_has_a_name_that_the_setting_can_hold(name, capsys):
    assert main(["key", name]) == 2

    output = capsys.readouterr()
    assert output.out == ""
    assert "a name without commas" in output.err


@pytest.mark.parametrize("name", ["shop", "shop:2", "Büro 1"])
def test_a_key_is_known_by_its_setting(name, capsys):
    assert main(["key", name]) == 0

    key, setting = capsys.readouterr().out.splitlines()
    keys = read_http_settings({"MINNOW_API_KEYS": setting.partition("=")[2]}).api_keys
    assert find_caller({"x-api-key": key.rpartition(" ")[2]}, keys) == name
