import os
import subprocess
import sys


def test_the_libraries_report_nothing_and_keep_no_device_id(tiny_bundle, tmp_path):
    code = "import sys, pathlib; from handler.inference.classifier import load_classifier as load;"
    code += "print(load(pathlib.Path(sys.argv[1])).predict(['good'])[0].num_tokens)"
    environment = {name: value for name, value in os.environ.items() if "TELEMETRY" not in name}

    for home in (tmp_path, "/proc"):  # one that can be written, one that cannot
        done = subprocess.run(
            [sys.executable, "-c", code, str(tiny_bundle)],
            env={**environment, "HOME": str(home)},
            capture_output=True,
            text=True,
        )
        assert (done.stdout, done.stderr) == ("1\n", "")

    assert list(tmp_path.rglob("*")) == []
