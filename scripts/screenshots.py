"""The pictures of the page in the README and the docs, from a real run in Chromium.

    python scripts/screenshots.py        # writes docs/service.jpg, -viewer.jpg, -dark.jpg and -phone.jpg

The index holds parts, at random places and sizes, of photographs that come with scikit-image and are free of rights
(NASA's, or CC0); the query is a part of one of them that the index does not hold. What is shown is what was found.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
from PIL import Image
from playwright.sync_api import Page, sync_playwright

import hashlens as hl
from hashlens.service import create_app

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "service")]

from serving import running  # noqa: E402

from chromium import CHROMIUM, OPTIONS  # noqa: E402

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket", "hubble_deep_field", "grass", "gravel", "brick")
PARTS = 60  # of each


def main() -> None:
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as work:
        photos = Path(work, "photos")
        for name in PHOTOGRAPHS:
            photograph = Image.fromarray(getattr(skimage.data, name)()).convert("RGB")
            (photos / name.replace("_", " ")).mkdir(parents=True)
            for number in range(PARTS):
                part_of(photograph, random).save(
                    photos / name.replace("_", " ") / f"part-{number:02}.jpg", quality=90
                )
        query = Path(work, "whiskers.jpg")
        part_of(Image.fromarray(skimage.data.chelsea()), random).save(query, quality=90)
        model = hl.fit(photos, "itq", bits=64, device="cpu")  # without labels: distances tell more apart
        catalogue = hl.Catalogue.create(Path(work, "photos-index"), model)
        catalogue.update(hl.open_source(photos))
        with running(create_app(catalogue)) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(OPTIONS))

            def opened(width: int, height: int, **options: Any) -> Page:
                page = browser.new_page(viewport={"width": width, "height": height}, **options)
                page.goto(address)
                page.set_input_files("#file", query)
                page.locator(".grid:not(.start-grid) .card:not(.skeleton)").first.wait_for()
                return page

            page = opened(1200, 780)
            for place, mark in ((0, "right"), (1, "right"), (2, "right")):
                page.locator(".card").nth(place).hover()
                page.locator(".card").nth(place).locator(f".mark.{mark}").click()
            page.mouse.move(0, 0)
            take(page, "service.jpg")
            page.locator(".card").nth(3).hover()
            page.locator(".card").nth(3).locator(".view").click()
            take(page, "service-viewer.jpg")
            take(opened(1200, 780, color_scheme="dark"), "service-dark.jpg")
            take(opened(360, 740, has_touch=True, is_mobile=True), "service-phone.jpg")
            browser.close()


def part_of(photograph: Image.Image, random: np.random.Generator) -> Image.Image:
    side = int(random.integers(120, min(photograph.size) // 2 + 60))
    left, top = (int(random.integers(0, length - side)) for length in photograph.size)
    return photograph.crop((left, top, left + side, top + side))


def take(page: Page, name: str) -> None:
    page.wait_for_timeout(800)  # until pictures are decoded and colours have changed
    page.screenshot(path=ROOT / "docs" / name, type="jpeg", quality=80)


if __name__ == "__main__":
    main()
