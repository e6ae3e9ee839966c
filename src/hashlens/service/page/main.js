// The page: one search at a time, whose address says what it is.

import * as address from "./address.js";
import * as api from "./api.js";
import { Filters } from "./filters.js";
import { Grid } from "./grid.js";
import { watch } from "./intake.js";
import { Marks, download } from "./marks.js";
import * as previews from "./previews.js";
import { Viewer } from "./viewer.js";
import { number, plural, sharpenIfSmall, shortPath } from "./words.js";

const PAGE = 48; // results asked for at a time
const MOST = 5000; // results that one page can hold and stay quick
const REMEMBERED = 30; // searches that going back shows at once

const find = (id) => document.querySelector(`#${id}`);
const layout = find("layout");

let index = { index: "", images: 0, bits: 64, takes_images: true, labelled: false, body_bytes: Infinity };
let marks = null;
let shown = address.read(); // what the address says
let more = false;
let busy = null; // AbortController of the search that runs
let again = () => {};
const remembered = new Map(); // address → {results, more, scroll}

const actions = {
  hits: () => grid.hits,
  addressOf: (hit) => address.write({ ...shown, id: hit.id }),
  search: (hit) => go({ ...shown, id: hit.id, code: null, details: null }),
  view: (place) => viewer.open(place),
  mark: (hit, mark) => marks.toggle(address.nameOf(shown), hit, mark),
  markOf: (hit) => marks?.get(address.nameOf(shown), hit.id) ?? null,
  more: () => loadMore(),
};
const grid = new Grid(find("grid"), actions);
const viewer = new Viewer(actions);
const filters = new Filters((wanted) => go({ ...shown, ...wanted }, { replace: true }));

function say(text) {
  find("status").textContent = text;
}

function fail(error, retry) {
  if (!(error instanceof api.Refused)) console.error(error);
  grid.clear();
  more = false; // of the search before
  say("");
  again = retry;
  find("failure-text").textContent = error.message;
  find("failure").hidden = false;
}

/** Show another search, and note it in the address. */
function go(next, { replace = false } = {}) {
  remember();
  shown = next;
  history[replace ? "replaceState" : "pushState"](null, "", address.write(shown));
  show();
  if (!replace) scrollTo(0, 0);
}

function remember() {
  if (!address.isSearch(shown) || !grid.hits.length) return;
  const key = address.write(shown);
  remembered.delete(key);
  remembered.set(key, { results: [...grid.hits], more, scroll: scrollY });
  if (remembered.size > REMEMBERED) remembered.delete(remembered.keys().next().value);
}

/** Make the page show what the address says. */
async function show({ back = false } = {}) {
  busy?.abort();
  const { signal } = (busy = new AbortController());
  viewer.close();
  find("failure").hidden = true;
  filters.show(shown);
  tellMarks();
  if (!address.isSearch(shown)) return showStart(signal);
  layout.dataset.view = "results";
  grid.list.classList.remove("start-grid");
  find("heading").textContent = "Nearest pictures";
  showQuery();
  const kept = back && remembered.get(address.write(shown));
  if (kept) {
    fill(kept.results, kept.more, true);
    scrollTo(0, kept.scroll);
    return;
  }
  grid.wait(12);
  say("Searching …");
  try {
    const found = await api.search(question(0), signal);
    fill(found.results, found.more, true);
  } catch (error) {
    if (!signal.aborted) fail(error, () => show());
  }
}

function question(offset) {
  const { id, code, details, labels, radius } = shown;
  return { ...(id !== null ? { id } : { code, details }), labels, radius, k: PAGE, offset };
}

function fill(results, isMore, anew) {
  if (anew) grid.clear();
  grid.add(results);
  more = isMore && grid.hits.length < MOST;
  viewer.refresh();
  const count = grid.hits.length;
  if (count >= MOST) say(`The nearest ${number(count)} pictures; a label or a smaller distance shows others.`);
  else if (count) say(`${plural(count, "picture", "pictures")}${more ? ", more below" : ""}`);
  else say("No picture is that near. Move the distance up, or take a label away.");
  reachEnd();
}

async function loadMore() {
  if (!more || !address.isSearch(shown)) return;
  more = false; // until this has come
  const { signal } = busy;
  try {
    const found = await api.search(question(grid.hits.length), signal);
    fill(found.results, found.more && found.results.length > 0, false);
  } catch (error) {
    if (signal.aborted) return;
    more = true;
    say(`${error.message} Scroll to try again.`);
  }
}

async function showStart(signal) {
  layout.dataset.view = "start";
  grid.list.classList.add("start-grid");
  more = false;
  find("heading").textContent = index.images ? "Or begin with one of these" : "";
  document.title = "HashLens";
  if (!index.images) {
    grid.clear();
    return say("The index is empty; add pictures with hashlens index.");
  }
  say("");
  grid.wait(12);
  try {
    const found = await api.sample(24, signal);
    grid.clear();
    grid.add(found);
  } catch (error) {
    if (!signal.aborted) fail(error, () => show());
  }
}

async function showQuery() {
  const { id, code } = shown;
  const image = find("query-image");
  const tell = (name, path, url) => {
    find("query-name").textContent = name;
    find("query-path").textContent = path;
    image.alt = `Searching with ${name}`;
    if (url) image.src = url;
    else image.removeAttribute("src");
    image.hidden = !url;
    document.title = `${name} – HashLens`;
  };
  if (id === null) {
    const kept = previews.find(code);
    return tell(kept?.name ?? "A picture from before", kept ? "" : `Its code: ${code}`, kept?.url);
  }
  tell(`Picture ${id}`, "", api.thumbnail(id, 640));
  try {
    const facts = await api.facts(id);
    if (shown.id === id) tell(facts.labels.join(", ") || shortPath(facts.path), facts.path, api.thumbnail(id, 640));
  } catch {
    // the search itself says what is wrong
  }
}

/** Search with a file that somebody gave. */
async function searchWith(file) {
  if (!index.takes_images) return refuse("This index was made of ready-made features, so no picture can be searched with.");
  remember();
  busy?.abort();
  const { signal } = (busy = new AbortController());
  viewer.close();
  find("failure").hidden = true;
  layout.dataset.view = "results";
  grid.list.classList.remove("start-grid");
  find("heading").textContent = "Nearest pictures";
  grid.wait(12);
  more = false;
  say("Searching …");
  const name = file.name || "Pasted picture";
  const url = URL.createObjectURL(file);
  find("query-image").hidden = false;
  find("query-image").src = url;
  find("query-image").alt = `Searching with ${name}`;
  find("query-name").textContent = name;
  find("query-path").textContent = "";
  scrollTo(0, 0);
  try {
    if (file.size > index.body_bytes) {
      const mebibytes = (bytes) => number(Math.ceil(bytes / 2 ** 20));
      throw new api.Refused(413, `The picture has ${mebibytes(file.size)} MiB; ${mebibytes(index.body_bytes)} are allowed.`);
    }
    const { labels, radius } = shown;
    const found = await api.searchWith(file, { labels, radius, k: PAGE }, signal);
    await previews.keep(found.query.code, file, name);
    if (signal.aborted) return;
    shown = { id: null, code: found.query.code, details: found.query.details, labels, radius };
    history.pushState(null, "", address.write(shown));
    showQuery();
    tellMarks();
    fill(found.results, found.more, true);
  } catch (error) {
    if (!signal.aborted) fail(error, () => searchWith(file));
  } finally {
    URL.revokeObjectURL(url);
  }
}

function refuse(sentence) {
  busy?.abort(); // its answer would take the place of the sentence
  fail(new api.Refused(0, sentence), () => show());
}

function tellMarks() {
  if (!marks) return;
  grid.remark();
  viewer.remark();
  const [right, wrong] = [marks.count("right"), marks.count("wrong")];
  find("marks-count").textContent = number(right + wrong);
  let text = "Mark results right or wrong; your marks stay in this browser.";
  if (right + wrong) {
    text = `${number(right)} right, ${number(wrong)} wrong.`;
    const here = ["right", "wrong"].map((mark) => marks.count(mark, address.nameOf(shown)));
    if (address.isSearch(shown) && here[0] + here[1]) text += ` In this search ${here[0]} of ${here[0] + here[1]} are right.`;
  }
  find("marks-summary").textContent = text;
  for (const id of ["marks-json", "marks-csv", "marks-clear"]) find(id).disabled = right + wrong === 0;
}

/** A search that is not filled yet may have room below; otherwise the observer sees no change. */
function reachEnd() {
  const end = find("sentinel").getBoundingClientRect().top;
  if (more && end < innerHeight + 800) loadMore();
}

async function askToken() {
  const dialog = find("ask");
  if (!dialog.open) dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
}

async function begin() {
  try {
    index = await api.health();
  } catch (error) {
    layout.dataset.view = "start";
    return fail(error, begin);
  }
  const about = `${index.index} · ${plural(index.images, "picture", "pictures")} · ${index.bits} bits`;
  find("about").textContent = about;
  find("about").title = index.model;
  grid.bits = index.bits;
  filters.fit(index.bits, index.labelled);
  marks ??= new Marks(index.index);
  marks.addEventListener("change", tellMarks);
  if (!index.takes_images) document.querySelectorAll("[data-pick]").forEach((button) => (button.hidden = true));
  show();
}

api.onTokenNeeded(askToken);
find("ask").addEventListener("cancel", (event) => event.preventDefault());
find("ask-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (await api.openSession(find("token").value.trim())) find("ask").close();
  else find("ask-error").textContent = "That token is wrong.";
});
find("home").addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go(address.read(""));
});
find("again").addEventListener("click", () => again());
find("query-image").addEventListener("load", (event) => sharpenIfSmall(event.target));
find("query-image").addEventListener("error", (event) => (event.target.hidden = true));
find("marks-json").addEventListener("click", () => {
  download("judgements.json", "application/json", JSON.stringify(marks, null, 2) + "\n");
});
find("marks-csv").addEventListener("click", () => download("judgements.csv", "text/csv", marks.toCSV()));
find("marks-clear").addEventListener("click", () => {
  if (confirm("Forget all marks of this index?")) marks.clear();
});
addEventListener("click", (event) => {
  if (!event.target.closest("#marks-menu")) find("marks-menu").open = false;
});
addEventListener("popstate", () => {
  remember();
  shown = address.read();
  show({ back: true });
});
new IntersectionObserver((entries) => entries[0].isIntersecting && loadMore(), { rootMargin: "800px" }).observe(
  find("sentinel"),
);
watch(searchWith, refuse);
history.scrollRestoration = "manual";
begin();
