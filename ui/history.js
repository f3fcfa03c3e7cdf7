// The pictures that somebody made, in their browser alone. Gradio runs this with `element` (an empty box), `props.value`
// (the newest picture, see ui/repaint.py), `watch` and `trigger`.
const MAX_PICTURES = 20, THUMBNAIL_SIDE = 180; // pixels
element.innerHTML = `
  <p class="privacy">${say("Your latest pictures, kept only in this browser.")} <button class="forget">${say("Forget them")}</button></p>
  <div class="strip"></div>
  <dialog aria-label="${say("One of your pictures")}">
    <img alt=""><p></p>
    <div><button class="share" hidden>${say("Share")}</button><a download>${say("Download PNG")}</a><button class="recipe">${say("Use its settings")}</button>
    <button class="remove">${say("Forget it")}</button><button class="close">${say("Close")}</button></div>
  </dialog>`;
element.hidden = true; // for good where Firefox stores nothing for this page: there, the channel below ends this script
const find = (selector) => element.querySelector(selector);
const [strip, dialog] = [find(".strip"), find("dialog")];

const store = pictureStore("repaint", "key");
const newestFirst = async () => ((await store((pictures) => pictures.getAll())) ?? []).sort((a, b) => b.time - a.time);

// A photograph that is there again after a reload is painted again: that must not bring back what was forgotten.
const wish = ({ key, recipe }) => `${key} ${recipe}`;
const forgotten = () => JSON.parse(sessionStorage.forgotten ?? "[]");
const note = (wishes) => { sessionStorage.forgotten = JSON.stringify([...forgotten(), ...wishes]); };
const tabs = new BroadcastChannel("forgotten"); // the others, which have the strip as well, and may have the photograph
tabs.onmessage = ({ data: wishes }) => { note(wishes); dialog.close(); show(); };

async function forget(pictures, remove) {
  const wishes = pictures.map(wish);
  note(wishes);
  await store(remove);
  tabs.postMessage(wishes);
  await show();
}

async function keep() {
  const made = props.value;
  if (!made?.url || forgotten().includes(wish(made))) return;
  delete sessionStorage.forgotten;
  const time = Date.now(); // one that takes longer to fetch is no newer
  // A touched-up picture replaces its earlier version: only the last of a moment is fetched, in the order of making. One
  // that is forgotten meanwhile is not kept.
  const another = () => props.value?.key === made.key && props.value.url !== made.url;
  const overtaken = () => another() || forgotten().includes(wish(made));
  await new Promise((done) => setTimeout(done, 700));
  // The pictures in view come first: on a slow network, each would keep the other waiting.
  await Promise.all([...document.querySelectorAll("#result img")].map((image) => image.decode().catch(() => {})));
  if (overtaken()) return;
  const answer = await fetch(made.url).catch(() => null); // the connection may break
  if (!answer?.ok) return;
  const file = await answer.blob();
  const whole = await createImageBitmap(file), scale = THUMBNAIL_SIDE / Math.min(whole.width, whole.height);
  const canvas = make("canvas", { width: THUMBNAIL_SIDE, height: THUMBNAIL_SIDE });
  const [width, height] = [whole.width * scale, whole.height * scale];
  const drawing = canvas.getContext("2d");
  drawing.fillStyle = "white"; // JPEG has no transparency
  drawing.fillRect(0, 0, THUMBNAIL_SIDE, THUMBNAIL_SIDE);
  drawing.drawImage(whole, (THUMBNAIL_SIDE - width) / 2, (THUMBNAIL_SIDE - height) / 2, width, height);
  whole.close();
  if (overtaken()) return;
  await putPicture(store, { ...made, file, small: canvas.toDataURL("image/jpeg", 0.85), time });
  for (const old of (await newestFirst()).slice(MAX_PICTURES)) await store((pictures) => pictures.delete(old.key));
  await show();
}

async function show() {
  const pictures = await newestFirst();
  const within = element.contains(document.activeElement);
  element.hidden = !pictures.length;
  // New ones come first, so places count from the end: a button stays, with the focus or for a dialog to give it back.
  while (strip.children.length < pictures.length) strip.prepend(make("button", {}, make("img")));
  while (strip.children.length > pictures.length) strip.firstChild.remove();
  pictures.forEach((picture, index) => {
    const button = strip.children[index], alt = `${picture.title}, ${new Date(picture.time).toLocaleString()}`;
    button.onclick = () => look(picture);
    Object.assign(button.firstChild, { src: picture.small, alt });
  });
  const place = Object.assign(element.closest("#history"), { tabIndex: -1 });
  const lost = within && (!pictures.length || !element.contains(document.activeElement));
  if (lost) (strip.firstChild ?? place).focus({ preventScroll: true });
}

function look(picture) {
  const file = new File([picture.file], picture.name, { type: "image/png" });
  const address = URL.createObjectURL(file), link = find("dialog a");
  Object.assign(find("dialog img"), { src: address, alt: picture.title });
  Object.assign(link, { href: address, download: picture.name });
  const button = find(".share"), files = [file];
  button.hidden = !navigator.canShare?.({ files });
  button.textContent = say("Share");
  button.onclick = async () => { button.textContent = await share(files); };
  find("dialog p").textContent = `${picture.title} · ${new Date(picture.time).toLocaleString()}`;
  find(".recipe").onclick = () => {
    dialog.close();
    trigger("select", { recipe: picture.recipe });
    const stage = Object.assign(document.querySelector("#stage"), { tabIndex: -1 }); // where it is painted
    stage.focus({ preventScroll: true });
    stage.scrollIntoView();
  };
  find(".remove").onclick = () => { dialog.close(); forget([picture], (pictures) => pictures.delete(picture.key)); };
  dialog.onclose = () => URL.revokeObjectURL(address);
  dialog.showModal();
}
find(".close").onclick = () => dialog.close();
dialog.onclick = (event) => { if (event.target === dialog) dialog.close(); }; // beside it
find(".forget").onclick = async ({ target }) => { // there is no way back, so it must be pressed twice
  const sure = target.textContent === say("All of them?");
  target.textContent = sure ? say("Forget them") : announce(say("All of them?"));
  if (!sure) { setTimeout(() => { target.textContent = say("Forget them"); }, 4000); return; }
  // The last one may not be kept yet.
  forget([...(await newestFirst()), props.value].filter(Boolean), (pictures) => pictures.clear());
};

watch("value", keep);
show();
