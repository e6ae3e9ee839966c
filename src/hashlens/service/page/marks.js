// Results marked right or wrong: kept in this browser for each index, downloaded as JSON or CSV.

const COLUMNS = ["query", "id", "mark", "rank", "distance"];

export class Marks extends EventTarget {
  constructor(index) {
    super();
    this.index = index;
    this.key = `hashlens.marks.${index}`;
    this.all = new Map();
    this.load();
    addEventListener("storage", (event) => {
      if (event.key === this.key) this.load();
    });
  }

  load() {
    let stored = [];
    try {
      stored = JSON.parse(localStorage.getItem(this.key)) ?? [];
    } catch {
      // nothing is stored, or by somebody else
    }
    this.all = new Map(stored.map((mark) => [`${mark.query} ${mark.id}`, mark]));
    this.dispatchEvent(new Event("change"));
  }

  get(query, id) {
    return this.all.get(`${query} ${id}`)?.mark ?? null;
  }

  /** Mark a result; the same mark again takes it back. */
  toggle(query, hit, mark) {
    const key = `${query} ${hit.id}`;
    if (this.get(query, hit.id) === mark) this.all.delete(key);
    else this.all.set(key, { query, id: hit.id, mark, rank: hit.rank, distance: hit.distance });
    this.store();
  }

  clear() {
    this.all.clear();
    this.store();
  }

  store() {
    try {
      localStorage.setItem(this.key, JSON.stringify([...this.all.values()]));
    } catch {
      // full or forbidden: they last as long as the page
    }
    this.dispatchEvent(new Event("change"));
  }

  count(mark, query = null) {
    return [...this.all.values()].filter((one) => one.mark === mark && (query === null || one.query === query)).length;
  }

  toJSON() {
    return { format: "hashlens-judgements", version: 1, index: this.index, judgements: [...this.all.values()] };
  }

  toCSV() {
    const rows = [...this.all.values()].map((mark) => COLUMNS.map((column) => mark[column] ?? "").join(","));
    return [COLUMNS.join(","), ...rows].join("\n") + "\n";
  }
}

export function download(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
