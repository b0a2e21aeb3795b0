"""Check files of others that stand in this repository, which `vendored.json` lists.

Without options: against the hashes beside them. With --fetch: the packages are downloaded from the
registry that `npm` is set to, their integrity is checked, and files that differ are replaced.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LIST = Path(__file__).with_name("vendored.json")


class VendorError(Exception):
    """A file or a package is not what the list says."""


def main() -> int:
    """Run the command line; return 0 if every file is as listed, 1 if not."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--fetch", action="store_true", help="download, compare and replace")
    options = parser.parse_args()
    packages = json.loads(LIST.read_text())
    try:
        for package in packages:
            if options.fetch:
                fetch_files(package, ROOT)
            check_files(package, ROOT)
            print(
                f"{package['name']} {package['version']}: {len(package['files'])} files as listed"
            )
    except (VendorError, OSError, subprocess.CalledProcessError) as error:
        print(f"vendored: {error}", file=sys.stderr)
        return 1
    if options.fetch:
        LIST.write_text(json.dumps(packages, indent=2) + "\n")
    return 0


def check_files(package: dict[str, Any], root: Path) -> None:
    """Compare each file's hash with the listed one.

    Raises:
        VendorError: A file has another hash.
    """
    for file in package["files"]:
        found = hashlib.sha256((root / file["path"]).read_bytes()).hexdigest()
        if found != file["sha256"]:
            raise VendorError(
                f"{file['path']} has the sha256 {found}, {LIST.name} says {file['sha256']}. "
                "Fetch it again: make vendor"
            )


def fetch_files(package: dict[str, Any], root: Path) -> None:
    """Replace the files that differ from the published package, and their hashes in `package`.

    A file ending in .gz is compared unpacked: it stands compressed here, and not in the package.
    """
    published = read_published(package)
    for file in package["files"]:
        path, content = root / file["path"], published[file["source"]]
        if not path.exists() or read_content(path) != content:
            is_packed = path.suffix == ".gz"
            path.write_bytes(gzip.compress(content, 9, mtime=0) if is_packed else content)
            print(f"{file['path']}: written anew")
        file["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()


def read_content(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def read_published(package: dict[str, Any]) -> dict[str, bytes]:
    """Return name -> content of the package's listed files, out of the registry's archive.

    Raises:
        VendorError: There is no npm, the archive is not the listed one, or lacks a file.
    """
    if shutil.which("npm") is None:
        raise VendorError(
            "npm is missing, which downloads the packages. On Debian: apt install npm"
        )
    name = f"{package['name']}@{package['version']}"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", "--silent", name], cwd=folder, check=True, stdout=sys.stderr)
        (archive,) = Path(folder).iterdir()
        digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if f"sha512-{digest}" != package["integrity"]:
            raise VendorError(
                f"{name} as downloaded has the integrity sha512-{digest}, {LIST.name} says "
                f"{package['integrity']}. Compare with: npm view {name} dist.integrity"
            )
        with tarfile.open(archive) as members:
            wanted = {f"package/{file['source']}": file["source"] for file in package["files"]}
            found = {
                wanted[member.name]: extracted.read()
                for member in members
                if member.name in wanted and (extracted := members.extractfile(member))
            }
    if missing := wanted.values() - found.keys():
        raise VendorError(f"{name} has no {', '.join(sorted(missing))}")
    return found


if __name__ == "__main__":
    sys.exit(main())
