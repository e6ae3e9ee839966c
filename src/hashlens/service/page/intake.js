// Where pictures to search with come from: dropped, pasted, chosen, photographed.

const file = document.querySelector("#file");
const camera = document.querySelector("#camera");
const curtain = document.querySelector("#curtain");

/** @param take called with a File; @param refuse called with a sentence */
export function watch(take, refuse) {
  for (const button of document.querySelectorAll("[data-pick]")) {
    button.addEventListener("click", () => (button.dataset.pick === "camera" ? camera : file).click());
  }
  for (const input of [file, camera]) {
    input.addEventListener("change", () => {
      if (input.files.length) take(input.files[0]);
      input.value = ""; // so that the same file can be chosen again
    });
  }

  let depth = 0;
  const hide = () => {
    depth = 0;
    curtain.hidden = true;
  };
  addEventListener("dragenter", (event) => {
    event.preventDefault();
    depth += 1;
    curtain.hidden = false;
  });
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("dragleave", () => {
    depth -= 1;
    if (depth <= 0) hide();
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    hide();
    taken(event.dataTransfer);
  });
  addEventListener("paste", (event) => {
    if (event.target.matches?.("input")) return;
    taken(event.clipboardData);
  });

  function taken(data) {
    const found = [...(data?.files ?? [])];
    const image = found.find((one) => one.type.startsWith("image/")) ?? found[0];
    if (image) take(image);
    else if (data?.types.includes("text/uri-list") || data?.types.includes("text/plain")) {
      refuse("That is a text or an address, not a picture; save the picture and drop the file.");
    }
  }
}
