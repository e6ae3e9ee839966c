"""The picture of results in the README: what ``hashlens demo`` finds, as its report page shows it in Chromium.

python scripts/results_picture.py             # runs the demo in a temporary folder, writes docs/results.png
python scripts/results_picture.py FOLDER      # of a demo that has been run
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from chromium import CHROMIUM, OPTIONS  # noqa: E402


def main() -> None:
    with tempfile.TemporaryDirectory() as work, sync_playwright() as playwright:
        folder = Path(sys.argv[1]) if sys.argv[1:] else Path(work, "hashlens-demo")
        if not sys.argv[1:]:
            subprocess.run([sys.executable, "-m", "hashlens", "demo", "-o", folder], check=True)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(OPTIONS))
        page = browser.new_page(viewport={"width": 1180, "height": 900})
        page.goto((folder / "report" / "report.html").absolute().as_uri())
        rows = page.locator("h3", has_text="Queries drawn at random").locator("xpath=following-sibling::div")
        first, last = rows.nth(0).bounding_box(), rows.nth(7).bounding_box()
        assert first is not None and last is not None
        clip = {"x": first["x"], "y": first["y"], "width": first["width"]}
        page.screenshot(
            path=ROOT / "docs" / "results.png",
            full_page=True,
            clip={**clip, "height": last["y"] + last["height"] - first["y"]},
        )
        browser.close()


if __name__ == "__main__":
    main()
