// Small copies of the pictures that were searched with, for as long as the tab lives, so that going back shows them.

const SIDE = 320;
const KEPT = 30;
const kept = new Map();

const storageKey = (code) => `hashlens.preview.${code}`;

export async function keep(code, file, name) {
  const entry = { name, url: await shrink(file) };
  kept.delete(code);
  kept.set(code, entry);
  try {
    sessionStorage.setItem(storageKey(code), JSON.stringify(entry));
    const all = JSON.parse(sessionStorage.getItem("hashlens.previews") ?? "[]").filter((one) => one !== code);
    all.push(code);
    for (const old of all.splice(0, Math.max(0, all.length - KEPT))) sessionStorage.removeItem(storageKey(old));
    sessionStorage.setItem("hashlens.previews", JSON.stringify(all));
  } catch {
    // a browser that stores nothing still goes back within this page
  }
  return entry;
}

/** {name, url} or null. */
export function find(code) {
  if (kept.has(code)) return kept.get(code);
  try {
    return JSON.parse(sessionStorage.getItem(storageKey(code)));
  } catch {
    return null;
  }
}

/** A data: URL of at most SIDE pixels, or "" where the browser cannot read what the service can. */
async function shrink(file) {
  try {
    const image = await createImageBitmap(file);
    const scale = Math.min(1, SIDE / Math.max(image.width, image.height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(image.width * scale));
    canvas.height = Math.max(1, Math.round(image.height * scale));
    const brush = canvas.getContext("2d");
    brush.fillStyle = "#fff";
    brush.fillRect(0, 0, canvas.width, canvas.height);
    brush.drawImage(image, 0, 0, canvas.width, canvas.height);
    image.close();
    return canvas.toDataURL("image/jpeg", 0.85);
  } catch {
    return "";
  }
}
