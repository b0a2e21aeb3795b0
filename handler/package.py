"""Builds what serves, the folder of the Lambda function, of the durable one or of the container.

    OUT/handler/           this room, with the bundle in model/ (none in the durable function)
    OUT/<package>/         what serving imports, out of requirements.txt, hashes checked

`sam build` runs it through the Makefile beside it, `docker build` by itself. The same inputs give
the same bytes, times included. Standard library only; part of neither.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import platform
import py_compile
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
HERE_VERSION = ".".join(map(str, sys.version_info[:2]))
RUNTIMES = ("python3.12", "python3.13", "python3.14")  # of Lambda, those with glibc 2.34
RUNTIME = "python3.13"  # the template's default
NEWEST_GLIBC = 34  # Amazon Linux 2023 has glibc 2.34
MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}
PT_LOAD = 1
EARLIEST = 315_532_800  # 1980-01-01, the first day that a zip file can name

# What a host does without; each goes with whatever only it needs, as the lock file says.
# Imported by nothing that serves, as `tests/sam` shows: onnxruntime's conversion tools, and idna
# (anyio resolves no name here). Event sources read no Parquet: pyarrow is over half of the zip.
SDK = "aws-durable-execution-sdk-python"  # for the durable function alone
NOT_SERVED = frozenset(f"{SDK} flatbuffers idna packaging protobuf pyarrow".split())
NOT_IN_FUNCTION = frozenset(
    "h11 httptools uvicorn uvloop "  # Lambda is the server
    "boto3 jmespath urllib3".split()  # in Lambda's runtime
)
FOR_SIGNATURES = frozenset(["cryptography"])  # only where bundles are signed: 4.7 of 35.6 MB
# The HTTP service alone: no event, no bucket, no queue.
NOT_IN_CONTAINER = frozenset("aws-lambda-powertools boto3 mangum zstandard".split())
NO_MODEL = frozenset("aws-lambda-powertools fastapi mangum numpy onnxruntime pyarrow".split())
BLOCK = re.compile(r"^[A-Za-z0-9].*\n(?: .*\n)*", re.MULTILINE)  # of a lock file: one package
NEEDED_BY = re.compile(r"^ +#(?: via)? +(\S+)", re.MULTILINE)
PROJECT = "minnow-maas"


@dataclass(frozen=True)
class Host:
    """Where the folder runs.

    Args:
        root: The folder's path there, which tracebacks name.
        unused: Packages that it does without.
    """

    root: str
    unused: frozenset[str]


HOSTS = {
    "function": Host("/var/task", NOT_SERVED | NOT_IN_FUNCTION),
    "container": Host("/app", NOT_SERVED | NOT_IN_CONTAINER),
    "durable": Host("/var/task", NO_MODEL | {"cryptography", "httptools", "uvicorn"}),
}
NOT_HANDLER = {"__pycache__", "model", "Makefile", "package.py", "requirements.txt"}
UNUSED_POWERTOOLS = (
    "auth_alpha batch circuit_breaker data_classes data_masking feature_flags kafka parameters "
    "parser streaming validation".split()
)
TRIMMED_FOLDERS = (
    "bin",
    "**/tests",
    "**/__pycache__",
    # Of Powertools, idempotent sinks need its idempotency; these are two thirds of it.
    "aws_lambda_powertools/event_handler",
    *(f"aws_lambda_powertools/utilities/{name}" for name in UNUSED_POWERTOOLS),
    "numpy/_core/include",
    "numpy/_core/lib",
    "numpy/_pyinstaller",
    # Subpackages that numpy imports at their first use, and serving uses none of them.
    *(f"numpy/{name}" for name in "core ctypeslib doc f2py fft ma polynomial testing".split()),
    *(f"numpy/{name}" for name in "random typing".split()),
    "onnxruntime/backend",
    "onnxruntime/datasets",
    "onnxruntime/quantization",
    "onnxruntime/tools",
    "onnxruntime/transformers",
    "pydantic/v1",
)
TRIMMED_FILES = (
    "**/*.pyi",
    "**/*.pxd",
    "**/*.pyx",
    "**/*.h",
    "**/*.a",
    "**/py.typed",
    ".lock",
    "numpy/_core/_*_tests.*.so",
    "numpy/_core/_simd.*.so",
    "numpy/matlib.py",
    "onnxruntime/capi/libonnxruntime.so*",  # for C and C++ programs; Python has its own copy
    "pydantic/mypy.py",
    "zstandard/*cffi*",  # the other backend, for PyPy
    "*.dist-info/RECORD",
    "*.dist-info/INSTALLER",
    "*.dist-info/REQUESTED",
    "*.dist-info/WHEEL",
    "*.dist-info/direct_url.json",
    "*.dist-info/sboms/*",
)
# Only docstrings of functions in C: a twentieth of the whole start goes by attaching them.
EMPTIED_FILES = ("numpy/_core/_add_newdocs.py", "numpy/_core/_add_newdocs_scalars.py")
KEPT_METADATA = ("Metadata-Version:", "Name:", "Version:", "License", "Classifier: License")


def main() -> int:
    """Run the command line; return 0 if the function stands, 1 if not."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="folder to build")
    parser.add_argument("--host", choices=HOSTS, default="function")
    parser.add_argument("--only", choices=("packages", "handler"), help="the one half alone")
    parser.add_argument("--bundle", type=Path, default=HERE / "model")
    here = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
    parser.add_argument("--architecture", choices=MACHINES, default=here)
    parser.add_argument("--runtime", choices=RUNTIMES, help=f"of the function: {RUNTIME}")
    parser.add_argument("--signing", action="store_true", help="bring what checks signatures")
    parser.add_argument("--release", default="", help="written into the function if given")
    parser.add_argument("--zip", type=Path, help="only zip OUT into this file, and print its sizes")
    parser.add_argument("--print-python", action="store_true", help="print the runtime's Python")
    options = parser.parse_args()
    version = find_version(options)
    try:
        if options.print_python:
            print(find_python(version))
        elif options.zip:
            zip_function(options.out, options.zip)
            print(describe_sizes(options.out, options.zip))
        elif options.out is None:
            parser.error("wanted --out")
        elif version == HERE_VERSION:
            build_folder(options)
        else:  # the byte code of another minor version is not read
            sys.stdout.flush()
            return subprocess.call([find_python(version), "-B", *sys.argv])
    except (BuildError, OSError, subprocess.CalledProcessError) as error:
        print(f"package: {error}", file=sys.stderr)
        return 1
    return 0


class BuildError(Exception):
    """The function cannot be built; the message says what to do."""


def find_version(options: argparse.Namespace) -> str:
    """Return the minor version of the Python that what is built is for: "3.13"."""
    if options.runtime is None and options.host == "container":  # its base's Python builds it
        return HERE_VERSION
    return (options.runtime or RUNTIME).removeprefix("python")


def find_python(wanted: str) -> str:
    """Return the path of a Python of a minor version, as of "3.13".

    A version manager's shim that cannot run it is passed over.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    candidates = [os.environ.get("RUNTIME_PYTHON", ""), sys.executable, f"python{wanted}"]
    candidates.append(_ask("uv", "python", "find", wanted))
    candidates += sorted(map(str, pyenv.glob(f"versions/{wanted}.*/bin/python{wanted}")))
    program = "import sys; print(sys.executable, *sys.version_info[:2], sep='\\n')"
    for candidate in filter(None, candidates):
        path, *version = _ask(candidate, "-c", program).split("\n")
        if version == wanted.split("."):
            return path
    raise BuildError(
        f"no Python {wanted} found, to compile for the runtime: uv python install {wanted}, pyenv "
        f"install {wanted}, or RUNTIME_PYTHON=/path/to/python{wanted}. Or another runtime, by "
        f"RUNTIME=X or --runtime X, and Runtime=X of the stack: {', '.join(RUNTIMES)}"
    )


def _ask(*command: str) -> str:
    """Return what a program prints; "" where it fails or there is none."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def build_folder(options: argparse.Namespace) -> None:
    """Write what `options` of the command line ask for into `options.out`.

    `--release` goes into a file of its own. Another release is other code, so that SAM publishes a
    version though only parameters changed, which by themselves it does not see:
    https://github.com/aws/serverless-application-model/issues/3820
    """
    out, host = options.out, HOSTS[options.host]
    if options.only != "handler":
        install_packages(out, host, options.architecture, options.signing)
    if options.only != "packages":
        copy_handler(out / "handler")
        sys.path.insert(0, str(out))  # the copied folder: SAM's copy of ours has another name
        if options.host != "durable":
            copy_bundle(options.bundle, out / "handler" / "model")
    compile_bytecode(out, host.root)
    if options.release:
        (out / "release.txt").write_text(options.release + "\n")
    settle_files(out, int(os.environ.get("SOURCE_DATE_EPOCH", EARLIEST)))


def install_packages(out: Path, host: Host, architecture: str, signing: bool = False) -> None:
    """Empty `out`; fill it with what the host imports, and with what checks signatures if asked."""
    if not signing:
        host = replace(host, unused=host.unused | FOR_SIGNATURES)
    out.mkdir(parents=True, exist_ok=True)
    for old in out.iterdir():
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    lock = (HERE / "requirements.txt").read_text()
    install_wheels(served_requirements(lock, host), out, architecture)
    trim_packages(out)


def served_requirements(lock: str, host: Host) -> str:
    """Return the lock file's blocks, less the host's unused packages and what only those need."""
    packages = [
        (block.split("==")[0], set(NEEDED_BY.findall(block)), block)
        for block in BLOCK.findall(lock)
    ]
    served = {PROJECT}
    for _ in packages:  # each round goes one step further from the project
        served |= {n for n, parents, _ in packages if n not in host.unused and parents & served}
    return "".join(block for name, _, block in packages if name in served)


def install_wheels(requirements: str, out: Path, architecture: str) -> None:
    """Unpack the wheels for this Python into `out`: by uv where it is, else by pip."""
    machine = MACHINES[architecture]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as lock:
        lock.write(requirements)
        lock.flush()
        shared = ["--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
        shared += ["--python-version", HERE_VERSION, "--target", str(out), "-r", lock.name]
        if uv := shutil.which("uv"):
            target = f"{machine}-manylinux_2_{NEWEST_GLIBC}"
            # Copies: a hard link into uv's cache would let the trimming reach the cache.
            command = [uv, "pip", "install", "--python-platform", target, "--link-mode", "copy"]
        else:
            targets = [f"manylinux_2_{glibc}_{machine}" for glibc in range(NEWEST_GLIBC, 16, -1)]
            targets.append(f"manylinux2014_{machine}")
            command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
            command += ["--no-compile", "--implementation", "cp"]
            command += [word for target in targets for word in ("--platform", target)]
        subprocess.run(command + shared, check=True)


def trim_packages(out: Path) -> None:
    """Delete from the installed packages what serving does not need; licences stay.

    Nothing of CUDA's libraries: CUDA compiles kernels while it runs, from files of theirs.
    """
    cuda = set((out / "nvidia").rglob("*"))
    for pattern in TRIMMED_FOLDERS:
        for folder in out.glob(pattern):
            shutil.rmtree(folder)
    for pattern in TRIMMED_FILES:
        for file in set(out.glob(pattern)) - cuda:
            file.unlink()
    for name in EMPTIED_FILES if (out / "numpy").exists() else ():
        (out / name).write_bytes(b"")
    for file in set(out.rglob("*.so*")) - cuda:
        file.write_bytes(strip_library(file.read_bytes()))
    for file in out.glob("*.dist-info/METADATA"):
        # Name and version stay: vulnerability scanners of deployed functions read them here.
        head = file.read_text(encoding="utf-8").split("\n\n")[0].splitlines()
        file.write_text("\n".join(s for s in head if s.startswith(KEPT_METADATA)) + "\n")


def strip_library(library: bytes) -> bytes:
    """Return an ELF file without what no loader reads: symbol tables and section headers.

    As `strip` does, for either processor and without binutils: all up to the end of the last
    segment that is loaded (program header of type PT_LOAD) stays.
    """
    if library[:6] != b"\x7fELF\x02\x01":  # 64 bits, little endian
        return library
    (headers_at,) = struct.unpack_from("<Q", library, 32)
    header_size, num_headers = struct.unpack_from("<HH", library, 54)
    end = headers_at + header_size * num_headers
    for header in range(headers_at, end, header_size):
        kind, _, offset, _, _, size = struct.unpack_from("<IIQQQQ", library, header)
        if kind == PT_LOAD:
            end = max(end, offset + size)
    stripped = bytearray(library[:end])
    struct.pack_into("<Q", stripped, 40, 0)  # e_shoff
    struct.pack_into("<HH", stripped, 60, 0, 0)  # e_shnum, e_shstrndx
    return bytes(stripped)


def copy_handler(out: Path) -> None:
    """Copy this room, without what only building needs."""
    shutil.copytree(HERE, out, ignore=lambda folder, names: NOT_HANDLER.intersection(names))


def copy_bundle(bundle: Path, out: Path) -> None:
    """Copy the files that the manifest names, after checking their hashes as the function will."""
    from handler.errors import ArtefactError
    from handler.inference.bundle import read_bundle
    from handler.inference.manifest import MANIFEST
    from handler.inference.trust import SIGNATURE

    try:
        read_bundle(bundle)
    except ArtefactError as error:
        raise BuildError(f"{error} Another bundle is named by BUNDLE=/absolute/path.") from error
    out.mkdir()
    names = [MANIFEST, *json.loads((bundle / MANIFEST).read_text(encoding="utf-8"))["files"]]
    names += [SIGNATURE] if (bundle / SIGNATURE).exists() else []
    for name in names:
        shutil.copyfile(bundle / name, out / name)


def compile_bytecode(out: Path, root: str) -> None:
    """Compile every source: `root` is read-only, so Python cannot keep what it compiles there.

    Unchecked hashes, because the unpacked sources have other times than here. Of the packages the
    byte code, without docstrings and asserts, takes the place of the sources: a traceback still
    names file and line. This room keeps its sources.
    """
    for folder in sorted(path for path in out.iterdir() if path.is_dir()):
        compile_folder(folder, out, root, legacy=folder.name != "handler")
    compile_folder(out, out, root, legacy=True, levels=0)
    for source in out.rglob("*.py"):
        if source.with_suffix(".pyc").exists():
            source.unlink()


def compile_folder(folder: Path, out: Path, root: str, *, legacy: bool, levels: int = 99) -> None:
    """Compile `folder`; legacy: beside the sources rather than in `__pycache__`."""
    compiled = compileall.compile_dir(
        str(folder),
        quiet=1,
        maxlevels=levels,
        legacy=legacy,
        optimize=2 if legacy else 0,
        stripdir=str(out),
        prependdir=root,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    if not compiled:
        raise BuildError(f"{folder}: a source does not compile with Python {sys.version}")


def settle_files(out: Path, epoch: int) -> None:
    """Give every file and folder the same time and the modes that Lambda's user can read."""
    for path in (out, *out.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.suffix == ".so" else 0o644)
        os.utime(path, (epoch, epoch))


def zip_function(folder: Path, target: Path) -> None:
    """Write the deployment package: entries in order of name, times out of `settle_files`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as package:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            package.write(path, path.relative_to(folder))
    part.replace(target)


def describe_sizes(folder: Path, package: Path) -> str:
    """Return a table of where the megabytes are, largest first, zipped beside unzipped."""
    unzipped: Counter[str] = Counter()
    zipped: Counter[str] = Counter()
    with zipfile.ZipFile(package) as archive:
        for entry in archive.infolist():
            name = entry.filename.split("/")[0].split("-")[0].removesuffix(".libs")
            if entry.filename.startswith("handler/model/"):
                name = "handler/model"
            unzipped[name] += entry.file_size
            zipped[name] += entry.compress_size
    lines = [f"{'part':24}{'unzipped MB':>14}{'zipped MB':>12}"]
    rows = [*unzipped.most_common(), ("total", unzipped.total())]
    zipped["total"] = package.stat().st_size
    lines += [f"{name:24}{size / 1e6:14.2f}{zipped[name] / 1e6:12.2f}" for name, size in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
