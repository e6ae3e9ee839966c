// One picture as large as the window, with the keyboard: arrows, Enter to search with it, R and W to mark, Escape.

import { picture, thumbnail } from "./api.js";
import { bits, describe, sharpenIfSmall } from "./words.js";

const find = (id) => document.querySelector(`#viewer-${id}`);

export class Viewer {
  /** @param actions {hits(), search(hit), mark(hit, mark), markOf(hit), more()} */
  constructor(actions) {
    this.dialog = document.querySelector("#viewer");
    this.actions = actions;
    this.place = 0;
    this.image = find("image");
    this.image.addEventListener("load", () => sharpenIfSmall(this.image));
    this.image.addEventListener("error", () => this.fallBack());
    find("before").addEventListener("click", () => this.step(-1));
    find("after").addEventListener("click", () => this.step(1));
    find("close").addEventListener("click", () => this.dialog.close());
    find("search").addEventListener("click", () => this.search());
    for (const mark of ["right", "wrong"]) find(mark).addEventListener("click", () => this.mark(mark));
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close();
    });
    this.dialog.addEventListener("keydown", (event) => this.key(event));
    this.dialog.addEventListener("close", () => this.image.removeAttribute("src"));
  }

  get hit() {
    return this.actions.hits()[this.place];
  }

  open(place) {
    this.show(place);
    this.dialog.showModal();
    find("search").focus();
  }

  close() {
    if (this.dialog.open) this.dialog.close();
  }

  show(place) {
    this.place = place;
    const hit = this.hit;
    this.image.alt = describe(hit);
    this.image.classList.remove("pixels");
    this.image.src = picture(hit.id);
    find("distance").textContent = hit.distance === undefined ? "" : bits(hit.distance);
    find("labels").textContent = hit.labels.join(", ");
    find("path").textContent = hit.path;
    find("before").disabled = place === 0;
    find("after").disabled = place + 1 >= this.actions.hits().length;
    this.remark();
    if (place + 8 > this.actions.hits().length) this.actions.more();
  }

  /** More results have come. */
  refresh() {
    if (this.dialog.open) find("after").disabled = this.place + 1 >= this.actions.hits().length;
  }

  remark() {
    if (!this.hit) return;
    const mark = this.actions.markOf(this.hit);
    for (const name of ["right", "wrong"]) {
      find(name).hidden = this.hit.distance === undefined;
      find(name).setAttribute("aria-pressed", String(mark === name));
    }
  }

  /** Where the picture itself cannot be had, its tile says why. */
  fallBack() {
    const tile = thumbnail(this.hit.id, 640);
    if (!this.image.src.endsWith(tile)) this.image.src = tile;
  }

  step(by) {
    const place = this.place + by;
    if (place >= 0 && place < this.actions.hits().length) this.show(place);
  }

  mark(mark) {
    if (this.hit.distance !== undefined) this.actions.mark(this.hit, mark);
  }

  search() {
    const hit = this.hit;
    this.dialog.close();
    this.actions.search(hit);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const onButton = event.target.matches("button") && event.target.id !== "viewer-search";
    const act = {
      ArrowLeft: () => this.step(-1),
      ArrowRight: () => this.step(1),
      r: () => this.mark("right"),
      w: () => this.mark("wrong"),
      Enter: onButton ? null : () => this.search(),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }
}
