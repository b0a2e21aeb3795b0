"""Write the bill of materials of a folder that `handler/package.py` built: CycloneDX 1.6, JSON.

Listed is what lies in the folder: its packages, with the hashes that the lock file allows, files
of others beside the code, the model, and for a container its base image (of whose Debian packages
a scanner of images tells). The same folder gives the same bytes.

    python -m requirements.sbom build/container --host container --out dist/sbom-container.cdx.json
"""

from __future__ import annotations

import argparse
import datetime
import email
import json
import os
import re
import sys
import tomllib
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import Any

from handler.package import BLOCK, HOSTS, NEEDED_BY, PROJECT

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "handler" / "requirements.txt"
MAIN = "minnow"

Component = dict[str, Any]


def main() -> int:
    """Run the command line; return 0 if the file stands, 1 if not."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="what handler/package.py wrote")
    parser.add_argument("--host", choices=HOSTS, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    text = json.dumps(describe_folder(options.folder, options.host), indent=2) + "\n"
    if error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        print(f"sbom: {options.out}: not CycloneDX 1.6: {error}", file=sys.stderr)
        return 1
    options.out.parent.mkdir(parents=True, exist_ok=True)
    part = options.out.with_suffix(".part")
    part.write_text(text)
    part.replace(options.out)
    print(options.out)
    return 0


def describe_folder(folder: Path, host: str) -> dict[str, Any]:
    """Return the whole document."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    packages = list(describe_packages(folder))
    others = [*describe_vendored()]
    if host != "durable":
        others.append(describe_model(folder / "handler" / "model"))
    if host == "container":
        others.append(describe_image((ROOT / "Dockerfile").read_text()))
    main: Component = {"type": "application", "bom-ref": MAIN, "name": f"{project['name']}-{host}"}
    main |= {"version": project["version"], "licenses": [{"expression": project["license"]}]}
    metadata: dict[str, Any] = {"component": main}
    if epoch := os.environ.get("SOURCE_DATE_EPOCH"):
        time = datetime.datetime.fromtimestamp(int(epoch), datetime.UTC)
        metadata["timestamp"] = time.isoformat()
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": metadata,
        "components": packages + others,
        "dependencies": describe_dependencies(packages, others),
    }


def describe_packages(folder: Path) -> Iterator[Component]:
    """Yield a component for each Python package of the folder.

    Raises:
        KeyError: The folder holds a package that the lock file does not.
    """
    blocks = {
        tuple(re.findall(r"^([^=\s]+)==(\S+)", block)[0]): block
        for block in BLOCK.findall(LOCK.read_text())
    }
    for path in sorted(folder.glob("*.dist-info/METADATA")):
        told = email.message_from_string(path.read_text("utf-8"))
        name, version = normalize(told["Name"]), told["Version"]
        hashes = re.findall(r"--hash=sha256:([0-9a-f]{64})", blocks[name, version])
        purl = f"pkg:pypi/{name}@{version}"
        yield {
            "type": "library",
            "bom-ref": purl,
            "name": name,
            "version": version,
            "licenses": describe_licences(told),
            "purl": purl,
            "externalReferences": [
                {
                    "type": "distribution",
                    "url": purl,
                    "comment": "the archives that the lock file allows",
                    "hashes": [{"alg": "SHA-256", "content": found} for found in hashes],
                }
            ],
        }


def normalize(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def describe_licences(told: Message) -> list[dict[str, Any]]:
    """Return the licence as the package's metadata tell it, in the most exact of three ways."""
    if expression := told["License-Expression"]:
        return [{"expression": expression}]
    classifiers = [name.split(" :: ")[-1] for name in told.get_all("Classifier", [])]
    return [{"license": {"name": name}} for name in classifiers or filter(None, [told["License"]])]


def describe_vendored() -> Iterator[Component]:
    """Yield a component, with its files inside, for each package of `vendored.json`."""
    for package in json.loads(Path(__file__).with_name("vendored.json").read_text()):
        purl = f"pkg:{package['registry']}/{package['name']}@{package['version']}"
        yield {
            "type": "library",
            "bom-ref": purl,
            "name": package["name"],
            "version": package["version"],
            "licenses": [{"expression": package["licence"]}],
            "purl": purl,
            "components": [describe_file(f["path"], f["sha256"]) for f in package["files"]],
        }


def describe_model(bundle: Path) -> Component:
    """Return the model, with the files of its bundle inside, hashes as its manifest names them."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    files = {name: file["sha256"] for name, file in manifest["files"].items()}
    return {
        "type": "machine-learning-model",
        "bom-ref": f"model/{manifest['name']}@{manifest['version']}",
        "name": manifest["name"],
        "version": manifest["version"],
        "hashes": [{"alg": "SHA-256", "content": files["model.onnx"]}],
        "components": [describe_file(f"handler/model/{n}", sha256) for n, sha256 in files.items()],
    }


def describe_file(path: str, sha256: str) -> Component:
    hashes = [{"alg": "SHA-256", "content": sha256}]
    return {"type": "file", "bom-ref": path, "name": path, "hashes": hashes}


def describe_image(dockerfile: str) -> Component:
    """Return the image that the Dockerfile builds on by default."""
    name, tag, digest = re.findall(
        r"^ARG BASE=(\S+):(\S+)@sha256:([0-9a-f]{64})$", dockerfile, flags=re.MULTILINE
    )[0]
    purl = f"pkg:docker/{name.removeprefix('docker.io/library/')}@sha256%3A{digest}"
    return {
        "type": "container",
        "bom-ref": purl,
        "name": name,
        "version": tag,
        "hashes": [{"alg": "SHA-256", "content": digest}],
        "purl": purl,
    }


def describe_dependencies(
    packages: list[Component], others: list[Component]
) -> list[dict[str, Any]]:
    """Return who needs whom, as the lock file says."""
    parents = {
        block.split("==")[0]: NEEDED_BY.findall(block) for block in BLOCK.findall(LOCK.read_text())
    }
    refs = {package["name"]: package["bom-ref"] for package in packages}
    needs: dict[str, list[str]] = {ref: [] for ref in refs.values()}
    needs[MAIN] = [other["bom-ref"] for other in others]
    for name, ref in refs.items():
        for parent in parents[name]:
            owner = MAIN if parent == PROJECT else refs.get(parent)
            if owner is not None:
                needs[owner].append(ref)
    return [{"ref": ref, "dependsOn": sorted(needed)} for ref, needed in sorted(needs.items())]


if __name__ == "__main__":
    sys.exit(main())
