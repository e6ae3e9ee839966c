// The pictures: cards that are links to a search by them, with a viewer and marks at hand.

import { thumbnail } from "./api.js";
import { bits, describe, inTwo, sharpenIfSmall, shortPath } from "./words.js";

const card = document.querySelector("#card").content.firstElementChild;
const skeleton = document.querySelector("#skeleton").content.firstElementChild;

export class Grid {
  /**
   * @param list the <ul>
   * @param actions {search(hit), view(place), mark(hit, mark), markOf(hit), addressOf(hit)}
   */
  constructor(list, actions) {
    this.list = list;
    this.actions = actions;
    this.hits = [];
    this.bits = 1;
    list.addEventListener("click", (event) => this.clicked(event));
    list.addEventListener("keydown", (event) => this.moved(event));
  }

  wait(count) {
    this.hits = [];
    this.list.setAttribute("aria-busy", "true");
    this.list.replaceChildren(...Array.from({ length: count }, () => skeleton.cloneNode(true)));
  }

  clear() {
    this.hits = [];
    this.list.removeAttribute("aria-busy");
    this.list.replaceChildren();
  }

  /** Add results, none twice: an index that is updated while one scrolls may shift them. */
  add(hits) {
    const known = new Set(this.hits.map((hit) => hit.id));
    const fresh = hits.filter((hit) => !known.has(hit.id));
    this.list.removeAttribute("aria-busy");
    for (const waiting of this.list.querySelectorAll(".skeleton")) waiting.remove();
    const cards = document.createDocumentFragment();
    for (const hit of fresh) cards.append(this.cardOf(hit, this.hits.push(hit) - 1));
    this.list.append(cards);
    this.remark();
  }

  cardOf(hit, place) {
    const item = card.cloneNode(true);
    item.dataset.place = place;
    const link = item.querySelector("a");
    link.href = this.actions.addressOf(hit);
    const image = item.querySelector("img");
    image.addEventListener("load", () => sharpenIfSmall(image));
    image.alt = describe(hit);
    image.src = thumbnail(hit.id);
    item.querySelector(".label").textContent = hit.labels.join(", ");
    item.querySelector(".label").title = hit.labels.join(", ");
    const [head, tail] = inTwo(shortPath(hit.path));
    item.querySelector(".head").textContent = head;
    item.querySelector(".tail").textContent = tail;
    item.querySelector(".path").title = hit.path;
    item.querySelector(".view").setAttribute("aria-label", `View ${describe(hit)}`);
    item.querySelector(".right").setAttribute("aria-label", `Right: ${describe(hit)}`);
    item.querySelector(".wrong").setAttribute("aria-label", `Wrong: ${describe(hit)}`);
    const near = item.querySelector("meter");
    if (hit.distance !== undefined) {
      item.querySelector(".distance").textContent = bits(hit.distance);
      near.max = this.bits;
      near.value = this.bits - hit.distance;
    }
    return item;
  }

  remark() {
    for (const item of this.list.children) {
      if (item.dataset.place === undefined) continue;
      const mark = this.actions.markOf(this.hits[item.dataset.place]);
      if (mark) item.dataset.mark = mark;
      else delete item.dataset.mark;
      for (const name of ["right", "wrong"]) {
        item.querySelector(`.${name}`).setAttribute("aria-pressed", String(mark === name));
      }
    }
  }

  clicked(event) {
    const item = event.target.closest("li[data-place]");
    if (!item) return;
    const place = Number(item.dataset.place);
    const hit = this.hits[place];
    const button = event.target.closest("button");
    if (button?.classList.contains("view")) this.actions.view(place);
    else if (button) this.actions.mark(hit, button.classList.contains("right") ? "right" : "wrong");
    else if (event.target.closest("a") && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      this.actions.search(hit);
    }
  }

  /** Arrow keys go from picture to picture. */
  moved(event) {
    const item = event.target.closest("li[data-place]");
    if (!item || !event.target.matches("a")) return;
    const cards = [...this.list.querySelectorAll("li[data-place]")];
    const columns = cards.findIndex((one) => one.offsetTop > cards[0].offsetTop);
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    const next = cards[Number(item.dataset.place) + (step ?? NaN)];
    if (!next) return;
    event.preventDefault();
    next.querySelector("a").focus();
  }
}
