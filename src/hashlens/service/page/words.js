// How things are said.

const TAIL = 9; // letters
const NUMBERS = new Intl.NumberFormat("en");

export const number = (value) => NUMBERS.format(value);
export const plural = (count, one, many) => `${number(count)} ${count === 1 ? one : many}`;
export const bits = (distance) => plural(distance, "bit", "bits");

/** The last two parts of a path, which tell most. */
export const shortPath = (path) => path.split(path.includes("/") ? "/" : "\\").filter(Boolean).slice(-2).join("/");

/** A name in two, so that what does not fit is left out before its end, which tells names apart. */
export function inTwo(name) {
  const letters = [...name];
  const cut = Math.max(0, letters.length - TAIL);
  return [letters.slice(0, cut).join(""), letters.slice(cut).join("")];
}

/** What a screen reader says of a result. */
export function describe(hit) {
  const labels = hit.labels.length ? `${hit.labels.join(", ")}, ` : "";
  const distance = hit.distance === undefined ? "" : `, distance ${bits(hit.distance)}`;
  return `${labels}${shortPath(hit.path)}${distance}`;
}

/** Small pictures are shown with sharp pixels. */
export function sharpenIfSmall(image) {
  image.classList.toggle("pixels", image.naturalWidth > 0 && image.naturalWidth <= 64);
}
