"""`minnow drift`: logs in, a page that says since when texts have drifted, and in what."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from minnow.errors import CommandError
from minnow.options import Json, flag, option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handler.inference.manifest import Manifest
    from minnow.drift.scrapes import Page
    from minnow.drift.seen import Seen
    from minnow.drift.windows import Finding

PANEL = "Serving"
EXAMPLES = (
    "minnow drift server.log --bundle bundles/reviews --out drift.html",
    "aws logs tail /aws/lambda/STACK --since 7d | minnow drift - --bundle BUNDLE",
)

Logs = Annotated[
    list[str],
    typer.Argument(
        metavar="LOG...", help="Logs or pages of /metrics, also .gz; - is standard input."
    ),
]
Bundles = Annotated[
    list[Path] | None,
    option("--bundle", "BUNDLE", "Bundle that the logs are of; repeat it for others.", "none"),
]
Repository = Annotated[
    str | None,
    option("--models", "REPOSITORY", "Repository that has the bundles.", "none"),
]
Out = Annotated[
    Path | None, option("--out", "FILE", "Page to write, such as drift.html.", "no page")
]
WindowTexts = Annotated[
    int, option("--window-texts", "N", "Texts that a window has at least.", min=50)
]
Force = Annotated[bool, flag("--force", "Replace a page that stands already.")]


def drift(
    logs: Logs,
    bundle: Bundles = None,
    models: Repository = None,
    out: Out = None,
    window_texts: WindowTexts = 500,
    force: Force = False,
    json_output: Json = False,
) -> None:
    """Say since when texts and answers have drifted, and in what.

    Logs tell what each process saw of a model; a bundle's profile has what was to be expected.
    Other lines are passed over.
    """
    if out is not None and out.exists() and (not force or out.is_dir()):
        raise CommandError(f"{out}: exists already. Name another file, or replace it by --force")
    from minnow.drift.page import make_page
    from minnow.drift.scrapes import place_pages, read_pages
    from minnow.drift.seen import read_logs
    from minnow.drift.windows import find_all

    found = read_logs(logs)
    pages, unreadable = read_pages(found.scraped)
    if unreadable := unreadable + found.unreadable:
        print(f"{unreadable} lines could not be read", file=sys.stderr)
    if not found.seen and not pages:
        raise CommandError(
            "the logs have no line about what texts were like. A process writes them of models "
            "whose bundle has a profile, unless MINNOW_PROFILE_EVERY is 0"
        )
    manifests = read_manifests(found.seen, pages, bundle or [], models)
    seen = [*found.seen, *place_pages(pages, manifests)]
    findings = find_all(seen, manifests, window_texts)
    if out is not None:
        from handler.files import replacing

        with replacing(out) as temporary:
            temporary.write_text(make_page(findings), "utf-8")
    if json_output:
        print(json.dumps({"models": [finding.describe() for finding in findings]}))
    else:
        print_findings(findings, out)


def read_manifests(
    seen: Sequence[Seen], pages: Sequence[Page], bundles: Sequence[Path], repository: str | None
) -> dict[str, Manifest]:
    """Return the manifests of the models that were seen, by the first digits of their sha256.

    Raises:
        CommandError: None of them is known.
    """
    from minnow.drift.windows import read_bundles, read_repository
    from minnow.repository import open_repository

    manifests = read_bundles(bundles)
    if repository is not None or not bundles:
        manifests |= read_repository(open_repository(repository), [*seen, *pages])
    known = [manifests[one.bundle] for one in seen if one.bundle in manifests]
    named = {(page.model, page.version) for page in pages}
    known += [one for one in manifests.values() if (one.name, one.version) in named]
    if not known:
        first: Seen | Page = seen[0] if seen else pages[0]
        raise CommandError(
            f"the logs are of model {first.model}, version {first.version}"
            f"{f', bundle {seen[0].bundle}' if seen else ''}, "
            f"and none of the bundles given is that one: their hashes begin with "
            f"{', '.join(manifests) or 'nothing'}. Name the bundle by --bundle, or its repository "
            "by --models"
        )
    if not any(manifest.profile for manifest in known):
        raise CommandError(
            "the bundle has no profile to compare with: train and export the model again"
        )
    return manifests


def print_findings(findings: Sequence[Finding], out: Path | None) -> None:
    """Say of each model how it is, and where the page stands."""
    from minnow.drift.page import say_period, say_state

    for finding in findings:
        print(f"{finding.model} {finding.version}\t{finding.texts:,} texts\t{say_state(finding)}")
        for period in reversed(finding.periods):
            first, *others = say_period(finding, period)
            print(f"  {first}")
            for line in others:
                print(f"    {line}")
    if out is not None:
        print(out)
