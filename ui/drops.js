// Dropped files: one that misses its place does not open instead of the page but finds it, as a pasted one does, one of
// another kind removes nothing, and one that the browser cannot show is named; chosen pictures are there again when
// the page is reloaded; and a file that can no longer be taken home is said to be gone. Gradio runs this with `element`
// (the masthead) and `trigger`, which asks the server for nothing, see ui/page.js.
document.addEventListener("unheard", () => trigger("select"));

const RIGHT = {
  image: say("That is not a picture: use a PNG, JPEG, HEIC, WebP, AVIF, TIFF, BMP or GIF file."),
  video: say("That is not a film: use an MP4, MOV, MKV, WebM or GIF file."),
  style: say("That is not a style: use its weights (.safetensors), or its folder as a .zip file."),
};
const ELSEWHERE = { // by what it is
  video: say("That is a film: films are painted on the tab Video."),
  image: say("That is a picture: pictures are painted on the tab Repaint."),
};
const FOLDER = say("That is a folder: drop a single file.");
const STYLE_FOLDER = say("That is a folder: make a .zip file of it, and drop that.");
const PROMISE = "application/x-moz-file-promise"; // all that Firefox gives of a picture which is dragged out of a page
const PROMISED = say("Firefox does not pass on pictures from pages: copy the picture there, and paste it here.");
const TOO_LARGE = say("That file is too large: the limit is 64 MB.");
const GONE = say("That file is no longer on the server, which keeps files for an hour: make it again.");
const TEXT_FIELD = "input:not([type=radio], [type=checkbox], [type=range]), textarea, [contenteditable=true]";

function fits({ name, type }, kind) {
  if (kind === "style") // and of all files of a folder, the weights
    return !/^(image|video|audio|text)\//.test(type) && !/\.(json|md)$/i.test(name);
  if (!kind || !type) return true;
  return type.startsWith(kind) || (kind === "video" && type === "image/gif");
}

function wrongWith(file, kind) { // in words; nothing if it can be taken
  if (!fits(file, kind)) return (kind !== "style" && ELSEWHERE[file.type.split("/")[0]]) || RIGHT[kind];
  return kind && file.size > props.most ? TOO_LARGE : "";
}

// The kind that each tab's own place for a file takes; what Live is given stays here, and it says itself what it cannot
// read.
const KIND = { photo: "image", content: "image", film: "video", upload: "style", live: null };

function openPlace() { // that of the tab that is open: from About, which has none, Repaint opens
  const places = Object.keys(KIND).map((id) => document.querySelector(`#${id}`));
  const open = places.find((box) => box?.checkVisibility()), place = open ?? places[0];
  if (!open) openTab("repaint");
  return [place, KIND[place.id]];
}

function placeOf(target) { // the box for a file that is dropped there, and the kind that it takes
  if (target.closest("#stage, #styles")) return [document.querySelector("#photo"), "image"];
  if (target.closest("#film, #film-viewer, #painted-film")) return [document.querySelector("#film"), "video"];
  const near = target.closest(".pick");
  return near ? [near, "image"] : openPlace();
}

function typed(file, kind) { // Gradio goes by this: not every system knows that HEIC is a picture, and a GIF may be a film
  const called = (type) => new File([file], file.name, { type });
  if (kind === "video" && file.type === "image/gif") return called("video/gif");
  return !file.type && /\.(heic|heif|hif)$/i.test(file.name) ? called("image/heic") : file;
}

function refuse(box, words) { // see `dismiss`
  const told = make("p", { className: "dropped", role: "alert", textContent: words });
  box.after(told);
  requestAnimationFrame(() => told.scrollIntoView({ block: "nearest" })); // its tab may just open
}

function dismiss() { // what was refused, once another file comes or a button is pressed
  document.querySelector(".dropped")?.remove();
  if (!disconnected()) document.querySelectorAll(".toast-close.error").forEach((button) => button.click());
}

document.addEventListener("click", ({ target, isTrusted }) => {
  if (isTrusted && target.closest("button")) dismiss();
}, { capture: true });

function put(file, input) {
  const given = new DataTransfer();
  given.items.add(file);
  input.files = given.files;
}

// A phone's photograph has more pixels than this server paints, and may take half a minute to get there. PNGs may carry
// settings, and stay as they are.
const HEAVY = 2 ** 20; // bytes, below which it is not worth it
const heavy = (box, file) => box.id === "photo" && file.type === "image/jpeg" && file.size > HEAVY;

async function shrunk(file) {
  const whole = await createImageBitmap(file, { imageOrientation: "from-image" });
  const scale = props.side / Math.max(whole.width, whole.height);
  if (scale >= 1 || !canReadCanvas()) return file;
  const [width, height] = [whole.width, whole.height].map((side) => Math.max(1, Math.round(side * scale)));
  const canvas = make("canvas", { width, height }), drawing = canvas.getContext("2d");
  drawing.imageSmoothingQuality = "high";
  drawing.drawImage(whole, 0, 0, width, height);
  whole.close();
  const small = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.92));
  return small ? new File([small], file.name, { type: file.type }) : file;
}

async function lighten(file, input) { // and hand it on, unless something else has been chosen since
  const light = await shrunk(file).catch(() => file); // which the browser may not be able to read
  if (input.files[0] !== file || !input.isConnected) return;
  put(light, input);
  input.dispatchEvent(Object.assign(new Event("change", { bubbles: true }), { light: true }));
}

async function hand(box, file) { // as if it had been chosen there
  // A player takes no file until it is cleared, by the last of its buttons, whose name Gradio translates.
  if (!box.querySelector("input[type=file]")) box.querySelector(".icon-button-wrapper button:last-of-type")?.click();
  for (let look = 0; look < 50; look++) {
    const input = box.querySelector("input[type=file]");
    if (input) {
      put(file, input);
      input.dispatchEvent(new Event("change", { bubbles: true }));
      return;
    }
    await new Promise((done) => setTimeout(done, 40));
  }
}

// Gradio itself reloads the page where the connection broke: what was chosen is kept for this tab alone, and a day.
const DAY = 24 * 60 * 60 * 1000;
const OF_EXAMPLES = { examples: "photo", contents: "content", paintings: "painting" }; // the place of each block of examples
const presses = new Map(); // of examples, whose files are on their way, by their place
const waiting = new Map(); // files, until their places are there: Advanced's come when that is opened
const before = sessionStorage.chosen;
let tab = before ?? "";
const store = pictureStore("chosen", ["tab", "place"]);
let kept = new Promise(claim); // what was chosen last is stored last

function claim(done) { // a name, for as long as this page is there: a tab that is duplicated remembers the other one's
  tab = sessionStorage.chosen = tab || `${Date.now()} ${Math.random()}`;
  navigator.locks?.request(tab, { ifAvailable: true }, (lock) => {
    if (lock) { done(); return new Promise(() => {}); }
    tab = "";
    claim(done);
  }).catch(done) ?? done();
}

function keep(box, file) { // or forget, without one
  const place = box.id;
  if (!Object.values(OF_EXAMPLES).includes(place)) return;
  waiting.delete(place);
  presses.delete(place);
  delete box.dataset.again;
  const time = Date.now();
  kept = kept.then(() => file ? putPicture(store, { tab, place, file, name: file.name, type: file.type, time })
    : store((pictures) => pictures.delete([tab, place])));
}

async function give() {
  for (const [place, file] of waiting) {
    const box = document.querySelector(`#${place}`);
    if (!box?.querySelector("input[type=file]")) continue;
    waiting.delete(place);
    await hand(box, file);
    box.dataset.again = ""; // the settings are restored as well: those in the picture do not count
  }
}

document.addEventListener("settled", async () => { // as the page opens, see ui/page.js
  await kept;
  for (const { tab: whose, place, file, name, type, time } of (await store((pictures) => pictures.getAll())) ?? []) {
    if (time < Date.now() - DAY) store((pictures) => pictures.delete([whose, place]));
    else if (whose === before && time < performance.timeOrigin) // else it is there
      waiting.set(place, new File([file], name, { type }));
  }
  if (waiting.size) new MutationObserver(give).observe(document.body, { childList: true, subtree: true });
  give();
});

const refused = new MutationObserver((changes) => { // a file that was refused would be again
  const said = changes.flatMap(({ addedNodes }) => [...addedNodes].map((added) => added.textContent)).join(" ");
  for (const place of Object.values(OF_EXAMPLES)) {
    const box = document.querySelector(`#${place}`), name = fileName(box?.querySelector("img")?.src ?? "");
    if (name && said.includes(`The picture '${name}'`)) keep(box);
  }
});
document.addEventListener("settled", () => {
  for (const told of document.querySelectorAll(".toast-wrap, #info"))
    refused.observe(told, { childList: true, subtree: true });
}, { once: true });

document.addEventListener("click", async (event) => {
  const { target } = event, box = target.closest("#photo, .pick"), example = target.closest(".gallery-item");
  // The last of its buttons removes a picture: only a person's press counts, not that of `hand`.
  if (event.isTrusted && box && target.closest(".icon-button-wrapper button:last-of-type")) keep(box);
  const place = example && document.querySelector(`#${OF_EXAMPLES[example.closest(".block")?.id]}`);
  if (!place) return;
  presses.set(place.id, event);
  const { src } = example.querySelector("img"), answer = await fetch(src).catch(() => null);
  const file = answer?.ok && await answer.blob().catch(() => null);
  if (!file || presses.get(place.id) !== event) return; // or something else has been chosen since
  keep(place, new File([file], fileName(src), { type: file.type }));
}, { capture: true });

let pressed; // the row of the last button: Gradio's make a link for a moment, and press that
document.addEventListener("click", async ({ target, isTrusted }) => { // the browser says nothing
  if (isTrusted) pressed = target.closest(".row");
  if (!pressed || !target.matches("a[download][href*='/file=']")) return;
  const answer = await fetch(target.href, { method: "HEAD" }).catch(() => null);
  document.querySelector(".dropped")?.remove();
  if ([403, 404].includes(answer?.status)) refuse(pressed, GONE);
}, { capture: true });

document.addEventListener("dragover", (event) => {
  if (event.dataTransfer.types.some((type) => type === "Files" || type === PROMISE)) event.preventDefault();
});
document.addEventListener("drop", (event) => {
  const files = [...event.dataTransfer.files], promised = !files.length && event.dataTransfer.types.includes(PROMISE);
  if (!files.length && !promised) return;
  event.preventDefault();
  dismiss();
  const [box, kind] = placeOf(event.target);
  const items = [...event.dataTransfer.items].filter((item) => item.kind === "file"); // one each
  const readable = files.filter((_, at) => !items[at].webkitGetAsEntry()?.isDirectory);
  const dropped = readable.find((one) => fits(one, kind)) ?? readable[0], file = dropped && typed(dropped, kind);
  const wrong = promised ? PROMISED : file ? wrongWith(file, kind) : kind === "style" ? STYLE_FOLDER : FOLDER;
  const on = box.contains(event.target) && event.target.closest("button.upload-container, img");
  if (!wrong && kind === "image" && file === files[0] && !heavy(box, file) && on) {
    keep(box, file); // Gradio takes it
    return;
  }
  event.stopPropagation();
  if (wrong) refuse(box, wrong);
  else hand(box, file);
}, { capture: true });

document.addEventListener("paste", (event) => { // which Gradio has a button for, that says nothing where there is none
  // In a text field, a cell of a spreadsheet is the text that it is, too.
  if (event.target.matches?.(TEXT_FIELD) && event.clipboardData.types.includes("text/plain")) return;
  if (!event.clipboardData.files.length) return;
  const boxes = ":is(#photo, .pick:not(#film, #painted-film))";
  const near = document.querySelector(`${boxes}:hover`) ?? document.activeElement.closest(boxes);
  const [box, kind] = near ? [near, "image"] : openPlace();
  const [file] = [...event.clipboardData.files].map((one) => typed(one, kind));
  event.preventDefault();
  dismiss();
  const wrong = wrongWith(file, kind);
  if (wrong) refuse(box, wrong);
  else hand(box, file);
});

document.addEventListener("change", (event) => {
  const { target } = event;
  const file = target.matches?.("#photo input[type=file], .pick input[type=file], #upload input[type=file]") && target.files[0];
  if (!file) return;
  const box = target.closest(".block"), kind = KIND[box.id] ?? "image";
  const wrong = wrongWith(file, kind);
  dismiss();
  if (wrong) {
    event.stopPropagation();
    target.value = "";
    refuse(box, wrong);
  } else if (heavy(box, file) && !event.light) {
    event.stopPropagation();
    lighten(file, target);
  } else {
    keep(box, file);
    if (typed(file, kind) !== file) put(typed(file, kind), target);
  }
}, { capture: true });

for (const kind of ["error", "load", "loadedmetadata"]) // not as a broken picture, nor as a film that is wrong
  document.addEventListener(kind, (event) => {
    const { target } = event;
    if (!target.matches?.("#photo img, .pick img, #film video")) return;
    if (kind === "error") event.stopPropagation();
    const place = target.closest(".block"), unseen = kind === "error";
    target.style.visibility = unseen ? "hidden" : "";
    delete place.dataset.unseen;
    if (unseen) place.dataset.unseen = `${fileName(target.src)}: ${say("no preview here.")}`;
  }, { capture: true });
