"""Pages of reports as people look at them: on a phone, in the dark, without colours, with a screen reader."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

import hashlens as hl
from chromium import check_accessible
from hashlens import cli

pytestmark = pytest.mark.usefixtures("one_thread")

PHONE = {"width": 390, "height": 840}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each kind of page that commands write, of pictures with long names."""
    folder = tmp_path_factory.mktemp("a folder whose name is long enough to be broken on a narrow screen")
    digits = hl.open_source("digits")
    for number in range(60):
        place = folder / "photos" / f"{digits.label_names(number)[0]}-which-nobody-would-call-a-short-name"
        place.mkdir(parents=True, exist_ok=True)
        digits.image(number).save(place / f"{number}.png")
    first = next(folder.glob("photos/*/0.png"))
    first.with_name("again.png").write_bytes(first.read_bytes())
    photos = folder / "photos"
    hl.fit(photos, "lsh", bits=16, image_size=32, device="cpu").save(folder / "model")
    run("index", folder / "model", photos, "-o", folder / "index")
    run("search", folder / "index", first, "--html", folder / "results.html")
    run("duplicates", folder / "index", "--html", folder / "duplicates.html")
    run("evaluate", folder / "model", "--database", photos, "--queries", photos, "-o", folder / "report")
    return {
        "results": folder / "results.html",
        "duplicates": folder / "duplicates.html",
        "evaluation": folder / "report" / "report.html",
    }


def run(*words: object) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["hashlens", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
    assert not end.value.code


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["results", "duplicates", "evaluation"])
def test_a_phone_shows_all_of_a_page(
    kind: str, scheme: str, pages: dict[str, Path], open_page: Callable[..., Page]
) -> None:
    page = open_page(viewport=PHONE, color_scheme=scheme, is_mobile=True, has_touch=True)
    page.goto(pages[kind].as_uri())
    expect(page.locator("h1")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    red, green, blue = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)")
    assert (red + green + blue < 150) == (scheme == "dark")
    assert page.locator("img").count() > 0
    assert page.locator("img:not([alt]), img[alt='']").count() == 0
    assert page.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
    check_accessible(page)


def test_right_and_wrong_are_told_apart_without_colours(
    pages: dict[str, Path], open_page: Callable[..., Page]
) -> None:
    page = open_page()
    page.goto(pages["evaluation"].as_uri())
    told = [
        page.locator(f".picture.{kind}").first.evaluate(
            "(shown) => [getComputedStyle(shown.querySelector('img')).borderTopStyle,"
            " shown.querySelector('.mark').textContent]"
        )
        for kind in ("relevant", "irrelevant")
    ]
    assert told == [["solid", "●"], ["dashed", "✕"]]
