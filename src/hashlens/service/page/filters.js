// Which results are wanted: labels, found as one types, and the largest distance.

import { labels as askLabels } from "./api.js";
import { bits, number } from "./words.js";

const TYPING = 120; // milliseconds of rest before the service is asked

export class Filters {
  /** @param changed called with {labels, radius} */
  constructor(changed) {
    this.changed = changed;
    this.labels = [];
    this.radius = null;
    this.bits = 64;
    this.found = [];
    this.active = -1;
    this.input = document.querySelector("#label-input");
    this.options = document.querySelector("#label-options");
    this.chips = document.querySelector("#label-chips");
    this.slider = document.querySelector("#radius");
    this.radiusText = document.querySelector("#radius-text");

    this.input.addEventListener("input", () => this.typed());
    this.input.addEventListener("focus", () => this.typed());
    this.input.addEventListener("blur", () => setTimeout(() => this.close(), 150));
    this.input.addEventListener("keydown", (event) => this.key(event));
    this.options.addEventListener("mousedown", (event) => event.preventDefault()); // or the input would lose focus
    this.options.addEventListener("click", (event) => this.choose(event.target.closest("[role=option]")?.dataset.place));
    this.chips.addEventListener("click", (event) => this.remove(event.target.closest("button")?.dataset.place));
    this.slider.addEventListener("input", () => this.slid());
  }

  /** What kind of index it is. */
  fit(bits, labelled) {
    this.bits = bits;
    this.slider.max = bits;
    document.querySelector("#label-field").hidden = !labelled;
    this.show(this);
  }

  show({ labels, radius }) {
    this.labels = [...labels];
    this.radius = radius;
    this.slider.value = radius ?? this.bits;
    this.tellRadius();
    this.chips.replaceChildren(
      ...this.labels.map((label, place) => {
        const item = document.createElement("li");
        const button = document.createElement("button");
        button.type = "button";
        button.dataset.place = place;
        button.setAttribute("aria-label", `Remove the label ${label}`);
        const name = document.createElement("bdi");
        name.textContent = label;
        const cross = document.querySelector("#card").content.querySelector(".tool.wrong svg").cloneNode(true);
        button.append(name, cross);
        item.append(button);
        return item;
      }),
    );
  }

  tellRadius() {
    const text = this.radius === null ? "any" : `up to ${bits(this.radius)}`;
    this.radiusText.textContent = text;
    this.slider.setAttribute("aria-valuetext", text);
  }

  slid() {
    this.radius = Number(this.slider.value) >= this.bits ? null : Number(this.slider.value);
    this.tellRadius();
    clearTimeout(this.sliding);
    this.sliding = setTimeout(() => this.changed({ labels: this.labels, radius: this.radius }), TYPING);
  }

  typed() {
    clearTimeout(this.typing);
    this.typing = setTimeout(() => this.look(), this.options.hidden ? 0 : TYPING);
  }

  async look() {
    this.asking?.abort();
    this.asking = new AbortController();
    let found = [];
    try {
      found = await askLabels(this.input.value.trim(), this.asking.signal);
    } catch (error) {
      if (error.name === "AbortError") return;
    }
    if (document.activeElement !== this.input) return;
    this.found = found.filter((label) => !this.labels.includes(label.name));
    this.active = -1;
    this.options.replaceChildren(...this.found.map((label, place) => optionOf(label, place)));
    if (!this.found.length) {
      const none = document.createElement("li");
      none.className = "none";
      none.setAttribute("role", "option");
      none.setAttribute("aria-disabled", "true");
      none.textContent = "No such label";
      this.options.append(none);
    }
    this.options.hidden = false;
    this.input.setAttribute("aria-expanded", "true");
    this.input.removeAttribute("aria-activedescendant");
  }

  close() {
    clearTimeout(this.typing);
    this.asking?.abort();
    this.options.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }

  key(event) {
    if (event.key === "Escape") this.close();
    else if (event.key === "Backspace" && !this.input.value) this.remove(this.labels.length - 1);
    else if (event.key === "Enter" && !this.options.hidden && this.found.length) {
      event.preventDefault();
      this.choose(Math.max(0, this.active));
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (this.options.hidden) this.typed();
      else this.go(event.key === "ArrowDown" ? 1 : -1);
    }
  }

  go(step) {
    if (!this.found.length) return;
    this.active = (this.active + step + this.found.length) % this.found.length;
    for (const [place, option] of [...this.options.children].entries()) {
      option.classList.toggle("active", place === this.active);
      option.setAttribute("aria-selected", String(place === this.active));
    }
    this.options.children[this.active].scrollIntoView({ block: "nearest" });
    this.input.setAttribute("aria-activedescendant", `label-option-${this.active}`);
  }

  choose(place) {
    if (place === undefined) return;
    this.input.value = "";
    this.close();
    this.changed({ labels: [...this.labels, this.found[place].name], radius: this.radius });
  }

  remove(place) {
    if (place === undefined || place < 0) return;
    this.changed({ labels: this.labels.filter((_, one) => one !== Number(place)), radius: this.radius });
    this.input.focus();
  }
}

function optionOf(label, place) {
  const option = document.createElement("li");
  option.id = `label-option-${place}`;
  option.dataset.place = place;
  option.setAttribute("role", "option");
  option.setAttribute("aria-selected", "false");
  const name = document.createElement("bdi");
  name.textContent = label.name;
  const count = document.createElement("span");
  count.textContent = number(label.images);
  option.append(name, count);
  return option;
}
