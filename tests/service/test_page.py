"""The page as a person uses it, in a real Chromium."""

from __future__ import annotations

import base64
import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from serving import CLASSES, IMAGES_PER_CLASS, MARKUP, png, running, write_photos

import hashlens as hl
from chromium import check_accessible
from hashlens.metrics import read_judgements
from hashlens.service import create_app

pytestmark = pytest.mark.usefixtures("one_thread")

ALL = len(CLASSES) * IMAGES_PER_CLASS
GIVE = """([content, kind, event]) => {
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], event === "drop" ? "dropped.png" : "image.png", { type: kind }));
  const told = event === "drop" ? { dataTransfer: data } : { clipboardData: data };
  const made = event === "drop" ? new DragEvent(event, told) : new ClipboardEvent(event, told);
  window.dispatchEvent(made);
}"""


def give(page: Page, event: str, content: bytes, kind: str = "image/png") -> None:
    page.evaluate(GIVE, [base64.b64encode(content).decode(), kind, event])


def results(page: Page) -> Any:
    return page.locator(".grid:not(.start-grid) .card:not(.skeleton)")


def test_drop_click_through_and_back(open_page: Callable[..., Page], address: str, photos: Path) -> None:
    page = open_page()
    page.goto(address)
    expect(page.locator(".start-grid .card img").first).to_be_visible()
    check_accessible(page)
    give(page, "drop", next(photos.glob("boots/*.png")).read_bytes())
    expect(results(page)).to_have_count(48)
    expect(results(page).first).to_contain_text("0 bits")
    expect(page.locator("#query-name")).to_have_text("dropped.png")
    assert page.locator("#query-image").evaluate("image => image.naturalWidth") > 0
    assert "code=" in page.url
    check_accessible(page)
    first = page.url
    second = results(page).nth(4).locator("a").get_attribute("href")
    results(page).nth(4).locator("a").click()
    expect(page).to_have_url(f"{address}/{second}")
    expect(page.locator("#query-name")).not_to_have_text("dropped.png")
    page.go_back()
    expect(page).to_have_url(first)
    expect(page.locator("#query-name")).to_have_text("dropped.png")
    expect(results(page).first).to_contain_text("0 bits")
    page.go_forward()
    expect(page).to_have_url(f"{address}/{second}")
    page.go_back()
    page.go_back()
    expect(page.locator("#start")).to_be_visible()
    page.goto(first)  # as somebody else opens the address
    expect(results(page).first).to_contain_text("0 bits")


def test_paste_and_choose(open_page: Callable[..., Page], address: str) -> None:
    page = open_page()
    page.goto(address)
    expect(page.locator("#start")).to_be_visible()
    give(page, "paste", png())
    expect(results(page)).to_have_count(48)
    page.set_input_files("#file", {"name": "chosen.png", "mimeType": "image/png", "buffer": png()})
    expect(page.locator("#query-name")).to_have_text("chosen.png")
    assert page.locator("#camera").get_attribute("capture") == "environment"


def test_scrolling_brings_everything(open_page: Callable[..., Page], address: str) -> None:
    page = open_page()
    page.goto(f"{address}/?id=3")
    expect(results(page).first).to_be_visible()
    while results(page).count() < ALL - 1:
        before = results(page).count()
        page.mouse.wheel(0, 20_000)
        expect(results(page)).not_to_have_count(before)
    ids = results(page).locator("a").evaluate_all("links => links.map(link => link.href)")
    assert len(set(ids)) == ALL - 1
    expect(page.locator("#status")).to_have_text(f"{ALL - 1} pictures")


def test_filters_narrow_what_is_shown(open_page: Callable[..., Page], address: str) -> None:
    page = open_page()
    page.goto(f"{address}/?id=3")
    expect(results(page)).to_have_count(48)
    page.locator("#label-input").press_sequentially("SHO")
    expect(page.locator("#label-options [role=option]")).to_have_count(1)
    check_accessible(page)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(results(page)).to_have_count(IMAGES_PER_CLASS)
    assert set(results(page).locator(".label").all_inner_texts()) == {"shoes"}
    assert "label=shoes" in page.url
    page.locator("#label-chips button").click()
    expect(results(page)).to_have_count(48)
    page.locator("#radius").fill("2")
    expect(page.locator("#radius-text")).to_have_text("up to 2 bits")
    expect(page).to_have_url(f"{address}/?id=3&max=2")
    expect(page.locator("#status")).not_to_contain_text("more below")
    distances = [int(text.split()[0]) for text in results(page).locator(".distance").all_inner_texts()]
    assert max(distances, default=0) <= 2


def test_the_viewer_is_used_by_keyboard(open_page: Callable[..., Page], address: str) -> None:
    page = open_page()
    page.goto(f"{address}/?id=3")
    expect(results(page)).to_have_count(48)
    results(page).first.locator(".view").focus()
    page.keyboard.press("Enter")
    viewer = page.locator("#viewer")
    expect(viewer).to_be_visible()
    assert page.locator("#viewer-image").evaluate("image => image.decode().then(() => image.naturalWidth)") == 72
    check_accessible(page)
    path = page.locator("#viewer-path").inner_text()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#viewer-path")).not_to_have_text(path)
    page.keyboard.press("r")
    expect(page.locator("#viewer-right")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#viewer-path")).to_have_text(path)
    expect(page.locator("#viewer-right")).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("Escape")
    expect(viewer).to_be_hidden()
    expect(results(page).first.locator(".view")).to_be_focused()
    results(page).first.locator("a").focus()
    page.keyboard.press("ArrowRight")
    expect(results(page).nth(1).locator("a")).to_be_focused()
    results(page).first.locator(".view").click()
    page.keyboard.press("Enter")
    expect(viewer).to_be_hidden()
    expect(page).not_to_have_url(f"{address}/?id=3")


def test_marks_stay_and_are_downloaded(open_page: Callable[..., Page], address: str, tmp_path: Path) -> None:
    page = open_page()
    page.goto(f"{address}/?id=3")
    for place, mark in ((0, "right"), (1, "wrong"), (2, "right"), (3, "right"), (3, "right")):
        results(page).nth(place).hover()
        results(page).nth(place).locator(f".mark.{mark}").click()
    expect(page.locator("#marks-count")).to_have_text("3")
    page.reload()
    expect(page.locator("#marks-count")).to_have_text("3")
    expect(results(page).nth(1)).to_have_attribute("data-mark", "wrong")
    page.locator("#marks-menu summary").click()
    expect(page.locator("#marks-summary")).to_contain_text("2 of 3 are right")
    check_accessible(page)
    for name in ("json", "csv"):
        with page.expect_download() as download:
            page.locator(f"#marks-{name}").click()
        download.value.save_as(tmp_path / f"marks.{name}")
    read = [read_judgements(tmp_path / f"marks.{name}") for name in ("json", "csv")]
    assert read[0] == read[1]
    assert [(one.query, one.right, one.rank) for one in read[0]] == [
        ("id:3", True, 1), ("id:3", False, 2), ("id:3", True, 3),
    ]  # fmt: skip
    with (tmp_path / "marks.csv").open(newline="") as file:
        assert next(csv.reader(file))[:3] == ["query", "id", "mark"]


def test_names_do_nothing(open_page: Callable[..., Page], address: str, catalogue: hl.Catalogue) -> None:
    """Markup in names of folders and files, quotes, emoji and marks of direction are shown, not obeyed."""
    page = open_page()
    for name in CLASSES:
        hit = catalogue.search(catalogue.entries([3])[0].code[None], 1, [name])[0][0]
        page.goto(f"{address}/?id={hit.id}")
        expect(page.locator("#query-name")).to_have_text(name)
        expect(page.locator("#query-path")).to_contain_text("<b>.png")
        assert "owned" not in page.title() or name == MARKUP
        assert page.locator("img[src=x]").count() == 0 and page.locator("main b").count() == 0
    assert page.evaluate("document.title !== 'owned'")


def test_errors_are_told_and_the_page_goes_on(open_page: Callable[..., Page], address: str, tmp_path: Path) -> None:
    page = open_page()
    page.goto(f"{address}/?id=999999")
    expect(page.locator("#failure")).to_contain_text("There is no image with the id 999999")
    check_accessible(page)
    for name, content in (("notes.txt", b"buy milk"), ("empty.png", b""), ("cut.png", png()[:50])):
        page.set_input_files("#file", {"name": name, "mimeType": "image/png", "buffer": content})
        expect(page.locator("#failure")).to_contain_text("The image cannot be used")
    with (tmp_path / "big.png").open("wb") as big:
        big.truncate(34 << 20)
    page.route("**/search", lambda route: None)  # a search that is still running must not answer over what follows
    with page.expect_request("**/search"):
        page.set_input_files("#file", {"name": "a.png", "mimeType": "image/png", "buffer": png()})
    with page.expect_event("requestfailed"):
        page.set_input_files("#file", tmp_path / "big.png")
    expect(page.locator("#failure")).to_contain_text("34 MiB; 32 are allowed")
    page.unroute("**/search")
    page.evaluate(
        "() => { const data = new DataTransfer(); data.setData('text/plain', 'https://x.org/a.png');"
        "window.dispatchEvent(new DragEvent('drop', { dataTransfer: data })); }"
    )
    expect(page.locator("#failure")).to_contain_text("save the picture and drop the file")
    page.route("**/search", lambda route: route.abort())
    page.set_input_files("#file", {"name": "a.png", "mimeType": "image/png", "buffer": png()})
    expect(page.locator("#failure")).to_contain_text("does not answer")
    page.unroute("**/search")
    page.locator("#again").click()
    expect(results(page)).to_have_count(48)
    expect(page.locator("#failure")).to_be_hidden()
    page.set_input_files("#file", {"name": "empty.png", "mimeType": "image/png", "buffer": b""})
    expect(page.locator("#failure")).to_contain_text("The image cannot be used")
    page.mouse.wheel(0, 3000)  # the end of the page is in sight, which loads more of a search that has any
    page.wait_for_timeout(500)
    expect(results(page)).to_have_count(0)
    expect(page.locator("#status")).to_have_text("")
    page.set_input_files("#file", tmp_path / "big.png")
    expect(page.locator("#failure")).to_contain_text("34 MiB; 32 are allowed")
    expect(page.locator("#query-name")).to_have_text("big.png")


def test_a_phone_and_the_dark(open_page: Callable[..., Page], address: str) -> None:
    page = open_page(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True, color_scheme="dark")
    for where in ("/", "/?id=3"):
        page.goto(address + where)
        expect(page.locator(".card:not(.skeleton)").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        check_accessible(page)
    expect(page.locator(".camera").last).to_be_visible()
    results(page).first.locator(".view").tap()
    expect(page.locator("#viewer")).to_be_visible()
    assert page.locator("#viewer-close").bounding_box()["x"] < 360  # type: ignore[index]
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 20, 23)"


def test_the_page_asks_for_the_token(open_page: Callable[..., Page], catalogue: hl.Catalogue) -> None:
    page = open_page()
    with running(create_app(catalogue, token="correct-horse-battery-staple", device="cpu")) as address:
        page.goto(address)
        expect(page.locator("#ask")).to_be_visible()
        check_accessible(page)
        page.locator("#token").fill("wrong")
        page.keyboard.press("Enter")
        expect(page.locator("#ask-error")).to_have_text("That token is wrong.")
        page.locator("#token").fill("correct-horse-battery-staple")
        page.keyboard.press("Enter")
        expect(page.locator(".start-grid .card:not(.skeleton) img").first).to_be_visible()
        page.reload()
        expect(page.locator(".start-grid .card:not(.skeleton) img").first).to_be_visible()


def test_unlabelled_and_empty_indexes(
    open_page: Callable[..., Page], make_index: Callable[[Path], hl.Catalogue], model: hl.HashModel, tmp_path: Path
) -> None:
    write_photos(tmp_path / "photos", range(20), classes=(".",))
    page = open_page()
    unlabelled = make_index(tmp_path / "photos")
    Path(unlabelled.entries([2])[0].path).unlink()
    with running(create_app(unlabelled, device="cpu")) as address:
        page.goto(f"{address}/?id=1")
        expect(results(page)).to_have_count(19)
        expect(page.locator("#label-field")).to_be_hidden()
        shown = (
            results(page)
            .locator("img")
            .evaluate_all(
                "images => Promise.all(images.map(image => { image.loading = 'eager'; return image.decode(); }))"
            )
        )
        assert len(shown) == 19
        check_accessible(page)
    empty = hl.Catalogue.create(tmp_path / "index", model)
    with running(create_app(empty, device="cpu")) as address:
        page.goto(address)
        expect(page.locator("#status")).to_contain_text("The index is empty")
