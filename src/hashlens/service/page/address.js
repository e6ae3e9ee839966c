// What is shown stands in the address: ?id=7 or ?code=9f3c…, then &label=… and &max=….

export function read(search = location.search) {
  const words = new URLSearchParams(search);
  const id = words.get("id");
  const max = words.get("max");
  return {
    id: /^\d+$/.test(id ?? "") ? Number(id) : null,
    code: id === null && /^[0-9a-f]+$/.test(words.get("code") ?? "") ? words.get("code") : null,
    details: words.get("details"),
    labels: words.getAll("label"),
    radius: /^\d+$/.test(max ?? "") ? Number(max) : null,
  };
}

export function write({ id = null, code = null, details = null, labels = [], radius = null }) {
  const words = new URLSearchParams();
  if (id !== null) words.set("id", id);
  else if (code !== null) {
    words.set("code", code);
    if (details) words.set("details", details);
  }
  for (const label of labels) words.append("label", label);
  if (radius !== null) words.set("max", radius);
  const text = words.toString();
  return text ? `?${text}` : "./";
}

/** What a search is called among marks: "id:7" or "code:9f3c…". */
export const nameOf = ({ id, code }) => (id !== null ? `id:${id}` : `code:${code}`);
export const isSearch = ({ id, code }) => id !== null || code !== null;
