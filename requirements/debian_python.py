"""Put a Python that this machine lacks into a folder: Debian's, for another release or processor.

    python -m requirements.debian_python python3.14 --out build/pythons
    python -m requirements.debian_python python3.13 --architecture arm64 --out build/pythons

Nothing is installed: the packages are unpacked, their signatures checked by apt, and a script runs
the interpreter with the libraries beside it; for another processor in QEMU, which comes along. The
script's path is printed, and stands for a Python everywhere: for `uv venv`, for RUNTIME_PYTHON.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

SUITES = {"python3.13": "trixie", "python3.14": "forky"}
DEBIAN = {"x86_64": "amd64", "arm64": "arm64"}  # as Debian calls a processor
MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}  # and as the kernel does
BINARY = Path("usr/bin/interpreter")  # the one that the script runs
# The processor that QEMU plays: Graviton2, the oldest that Lambda has. QEMU 7.2, of Debian 12,
# crashes in onnxruntime; 10.0 does not.
CPU = "neoverse-n1"
# A mirror may keep an index of the suite that is still being made for longer than it is valid; its
# signature holds all the same.
STALE = '--aptopt=Acquire::Check-Valid-Until "false"'


def main() -> int:
    """Run the command line; return 0 if the Python runs, 1 if not."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runtime", help="for example python3.14")
    here = next(name for name, machine in MACHINES.items() if machine == platform.machine())
    parser.add_argument("--architecture", choices=DEBIAN, default=here)
    parser.add_argument("--out", type=Path, required=True, help="folder of such Pythons")
    options = parser.parse_args()
    if problem := find_problem(options.runtime):
        version = options.runtime.removeprefix("python")
        print(
            f"debian_python: {problem}. Or get a Python {version} by yourself: uv python install "
            f"{version}, pyenv install {version}, or RUNTIME_PYTHON=/path/to/python{version}",
            file=sys.stderr,
        )
        return 1
    root = options.out.resolve() / f"{options.runtime}-{options.architecture}"
    python = root / "usr" / "bin" / options.runtime
    try:
        if not (python.exists() and (root / BINARY).exists()):
            fetch(root, options.runtime, options.architecture, here)
    except subprocess.CalledProcessError as error:
        print(
            f"debian_python: {root}: nothing fetched, {error}; why, stands above", file=sys.stderr
        )
        return 1
    print(python)
    return 0


def find_problem(runtime: str) -> str:
    """Return why a Python cannot be had here; "" where it can."""
    if runtime not in SUITES:
        return f"{runtime} is none that Debian has now; wanted {' or '.join(SUITES)}"
    if shutil.which("mmdebstrap") is None:
        return "mmdebstrap is missing, which unpacks Debian's packages: apt install mmdebstrap"
    if os.geteuid() != 0:
        return "mmdebstrap unpacks for root alone"
    return ""


def fetch(root: Path, runtime: str, architecture: str, here: str) -> None:
    """Unpack Debian's Python into `root`, and write the script that runs it.

    Raises:
        CalledProcessError: What was printed says what could not be fetched.
    """
    shutil.rmtree(root, ignore_errors=True)
    root.parent.mkdir(parents=True, exist_ok=True)
    suite, debian = SUITES[runtime], DEBIAN[architecture]
    names = [f"{runtime}-minimal", f"lib{runtime}-stdlib", "libstdc++6", "libgcc-s1"]
    packages = [f"{name}:{debian}" for name in names]
    if architecture != here:
        packages.append(f"qemu-user:{DEBIAN[here]}")
    architectures = ",".join(dict.fromkeys((DEBIAN[here], debian)))
    command = ["mmdebstrap", "--quiet", "--variant=extract", "--mode=root"]
    command += [f"--architectures={architectures}", f"--include={','.join(packages)}"]
    command += [STALE] if suite == "forky" else []
    subprocess.run([*command, suite, str(root)], check=True, stdout=sys.stderr)
    python = root / "usr" / "bin" / runtime
    python.rename(root / BINARY)
    (root / "lib").symlink_to("usr/lib")
    python.write_text(write_script(root, MACHINES[architecture], architecture != here))
    python.chmod(0o755)


def write_script(root: Path, machine: str, is_foreign: bool) -> str:
    """Return the script that takes the interpreter's place.

    Python sees the script's own path as its executable, so it finds its library, and the processes
    that it starts are run by the script too.

    Args:
        machine: Of the interpreter.
        is_foreign: That is not this machine's.
    """
    if is_foreign:
        start = f'"{root}/usr/bin/qemu-{machine}" -cpu {CPU} -L "{root}" -0 "$0"'
    else:
        libraries = root / "usr" / "lib" / f"{machine}-linux-gnu"
        (loader,) = libraries.glob("ld-linux-*.so.*")
        start = f'"{loader}" --argv0 "$0" --library-path "{libraries}"'
    return f'#!/bin/sh\nexec {start} "{root / BINARY}" "$@"\n'


if __name__ == "__main__":
    sys.exit(main())
