// Asking the service. Every failure becomes an Error with one sentence to show.

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const NO_ANSWER = "The service does not answer; is it still running?";
let askForToken = null;

/** `ask()` is called when the service wants a token; it resolves when there is one. */
export function onTokenNeeded(ask) {
  askForToken = ask;
}

async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, NO_ANSWER);
  }
  if (response.status === 401 && askForToken) {
    await askForToken();
    return request(path, options);
  }
  if (response.ok) return response;
  let sentence = `The service answers with ${response.status}.`;
  try {
    sentence = (await response.json()).detail ?? sentence;
  } catch {
    // a proxy between us may answer with anything
  }
  throw new Refused(response.status, sentence);
}

const json = async (path, options) => (await request(path, options)).json();

export const health = () => json("health");
export const sample = (limit, signal) => json(`images?limit=${limit}`, { signal }).then((found) => found.images);
export const facts = (id) => json(`images/${id}/facts`);
export const thumbnail = (id, size = 320) => `images/${id}/thumbnail?size=${size}`;
export const picture = (id) => `images/${id}`;

export function labels(part, signal) {
  const asked = new URLSearchParams({ prefix: part, limit: 30 });
  return json(`labels?${asked}`, { signal }).then((found) => found.labels);
}

/** Search by what is in the address: {id} or {code}, {labels, radius}. */
export function search(asked, signal) {
  const body = JSON.stringify(asked);
  return json("search", { method: "POST", headers: { "Content-Type": "application/json" }, body, signal });
}

/** Search with a file. */
export function searchWith(file, asked, signal) {
  const body = new FormData();
  body.append("image", file, file.name || "picture");
  for (const [name, value] of Object.entries(asked)) {
    for (const one of [value].flat()) if (one != null) body.append(name, one);
  }
  return json("search", { method: "POST", body, signal });
}

/** Exchange a token for a cookie; false if it is wrong. */
export async function openSession(token) {
  const response = await fetch("session", { method: "POST", headers: { Authorization: `Bearer ${token}` } });
  return response.ok;
}
