// Where the second style is seen: drawn on the picture, or one of a few ready-made masks. Gradio runs this with `element`
// (an empty box), `props.value` (a grey PNG in base64, see ui/masks.py; empty: everywhere), `props.side` (the most pixels to
// a side of it), `watch` and `trigger`; ui/repaint.js sends the document the event "painted".
const FINE = 8; // canvas pixels per mask pixel
const STEP = 17; // between two greys of the mask: fewer greys make a shorter text
const TINT = [255, 64, 96], COLOR = `rgb(${TINT})`; // of what is drawn
const READY = { // a pixel's share, by where it is in the picture, 0–1
  Everywhere: null,
  Left: (x) => 0.5 - (x - 0.5) * 6,
  Right: (x) => 0.5 + (x - 0.5) * 6,
  Top: (x, y) => 0.5 - (y - 0.5) * 6,
  Bottom: (x, y) => 0.5 + (y - 0.5) * 6,
  Centre: (x, y) => 2.5 - Math.hypot(x - 0.5, y - 0.5) * 8,
};
element.innerHTML = `<div class="panel">
  <fieldset><legend>${say("Where it shows")}</legend>
    <div class="row ready">${Object.keys(READY).map((name) => `<button value="${name}">${say(name)}</button>`).join("")}<button value="" class="own" hidden>${say("As drawn")}</button></div>
  </fieldset>
  <div class="board" hidden>
    <div class="row"><button class="draw">${say("Draw")}</button><button class="erase">${say("Erase")}</button>
      <button class="undo">${say("Undo")}</button><button class="invert">${say("Invert")}</button>
      <label>${say("Brush")} <input type="range" min="2" max="40" value="14"></label></div>
    <figure><img alt=""><canvas role="img" aria-label="${say("Your picture, to draw on")}"></canvas><i></i></figure>
  </div></div>`;
const find = (selector) => element.querySelector(selector);
const [figure, image, canvas, ring, brush] = ["figure", "img", "canvas", "figure i", "input"].map(find);
const drawing = canvas.getContext("2d", { willReadFrequently: true }); // its opacity is the mask
const earlier = [];
// Where a finger scrolls the page, it draws once a tool is pressed; pressing that again makes it scroll.
const SCROLLS = matchMedia("(pointer: coarse)").matches;
let tool = SCROLLS ? "" : "draw";
let stroke = null; // the pointer that draws, and where it is

// --- from text to canvas, and back

function small() { // a drawing context of the mask's size
  const scale = props.side / Math.max(canvas.width, canvas.height);
  const [width, height] = [canvas.width, canvas.height].map((side) => Math.max(1, Math.round(side * scale)));
  return make("canvas", { width, height }).getContext("2d", { willReadFrequently: true });
}

function put(context, share) { // draws a mask, a function of the position, into a context of its size, as opacity
  const { width, height } = context.canvas, pixels = context.createImageData(width, height);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      pixels.data.set([...TINT, 255 * Math.min(1, Math.max(0, share((x + 0.5) / width, (y + 0.5) / height)))], 4 * (y * width + x));
  context.putImageData(pixels, 0, 0);
}

function text() { // of what is drawn
  const context = small(), { width, height } = context.canvas;
  context.imageSmoothingQuality = "high";
  context.drawImage(canvas, 0, 0, width, height);
  const pixels = context.getImageData(0, 0, width, height);
  for (let at = 0; at < pixels.data.length; at += 4) {
    const grey = Math.round(pixels.data[at + 3] / STEP) * STEP;
    pixels.data.set([grey, grey, grey, 255], at);
  }
  context.putImageData(pixels, 0, 0);
  const [, base64] = context.canvas.toDataURL("image/png").split(",");
  return base64.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function alike(one, other) { // whether two masks are alike, in a few hundred places
  let off = 0;
  for (let at = 0; at < 256; at++) {
    const place = [((at % 16) + 0.5) / 16, (Math.floor(at / 16) + 0.5) / 16];
    off += Math.abs(Math.min(1, Math.max(0, one(...place))) - other(...place)) / 256;
  }
  return off < 0.05;
}

async function show() { // the mask that the text stands for
  const encoded = props.value;
  const mask = new Image();
  if (encoded) {
    mask.src = `data:image/png;base64,${encoded.replaceAll("-", "+").replaceAll("_", "/")}`;
    await mask.decode();
    if (encoded !== props.value) return; // something else by now
  }
  drawing.clearRect(0, 0, canvas.width, canvas.height);
  if (encoded) {
    const context = small(), { width, height } = context.canvas;
    context.drawImage(mask, 0, 0, width, height);
    const { data } = context.getImageData(0, 0, width, height);
    const share = (x, y) => data[4 * (Math.floor(y * height) * width + Math.floor(x * width))] / 255;
    if (!READY[chosen]) chosen = Object.keys(READY).find((name) => READY[name] && alike(READY[name], share)) ?? "";
    put(context, share);
    drawing.imageSmoothingQuality = "high";
    drawing.drawImage(context.canvas, 0, 0, canvas.width, canvas.height);
  }
  mark();
}

function take(encoded) { // and have the picture blended again
  figure.classList.add("drawn");
  props.value = encoded;
  mark();
  trigger("input");
}

function change(encoded) {
  if (encoded === props.value) { // no picture comes that would show it
    figure.classList.remove("drawn");
    show();
    return;
  }
  earlier.push(props.value);
  take(encoded);
}

function ready(name) { // the text of a ready-made mask
  if (!READY[name]) return "";
  const context = small();
  put(context, READY[name]);
  drawing.clearRect(0, 0, canvas.width, canvas.height);
  drawing.drawImage(context.canvas, 0, 0, canvas.width, canvas.height);
  return text();
}

// --- what the visitor sees

let chosen = "Everywhere";
function mark() {
  if (!props.value) chosen = "Everywhere";
  else if (chosen === "Everywhere") chosen = ""; // it was not chosen here
  find(".own").hidden = chosen !== "";
  for (const button of element.querySelectorAll(".ready button")) button.ariaPressed = button.value === chosen;
  find(".draw").ariaPressed = tool === "draw";
  find(".erase").ariaPressed = tool === "erase";
  canvas.style.touchAction = tool ? "none" : "auto";
  find(".undo").disabled = !earlier.length;
  find(".invert").disabled = !props.value;
}

for (const button of element.querySelectorAll(".ready button:not(.own)"))
  button.onclick = () => { chosen = button.value; change(ready(chosen)); show(); };
for (const one of ["draw", "erase"]) find(`.${one}`).onclick = () => { tool = tool === one && SCROLLS ? "" : one; mark(); };
find(".undo").onclick = () => { chosen = ""; take(earlier.pop()); show(); };
find(".invert").onclick = () => {
  const before = drawing.getImageData(0, 0, canvas.width, canvas.height);
  for (let at = 0; at < before.data.length; at += 4) before.data.set([...TINT, 255 - before.data[at + 3]], at);
  drawing.putImageData(before, 0, 0);
  chosen = "";
  change(text());
};

function at(event) { // in the canvas's pixels
  const box = canvas.getBoundingClientRect();
  return [((event.clientX - box.left) / box.width) * canvas.width, ((event.clientY - box.top) / box.height) * canvas.height];
}

function draw(event) {
  const size = (brush.value / 100) * Math.min(canvas.width, canvas.height);
  drawing.globalCompositeOperation = tool === "erase" ? "destination-out" : "source-over";
  Object.assign(drawing, { strokeStyle: COLOR, lineCap: "round", lineJoin: "round", lineWidth: size, shadowBlur: size / 3, shadowColor: COLOR });
  drawing.beginPath();
  drawing.moveTo(...stroke.at);
  for (const one of event.getCoalescedEvents?.() ?? []) drawing.lineTo(...at(one));
  stroke.at = at(event);
  drawing.lineTo(...stroke.at);
  drawing.stroke();
  Object.assign(drawing, { globalCompositeOperation: "source-over", shadowBlur: 0 });
}

canvas.onpointerdown = (event) => {
  if (stroke || event.button || !tool) return;
  canvas.setPointerCapture(event.pointerId);
  stroke = { id: event.pointerId, at: at(event) };
  drawing.fillStyle = COLOR;
  if (!props.value && tool === "erase") drawing.fillRect(0, 0, canvas.width, canvas.height); // of everywhere
  figure.classList.add("drawn");
  draw(event);
};
canvas.onpointermove = (event) => {
  const size = (brush.value / 100) * Math.min(canvas.clientWidth, canvas.clientHeight);
  Object.assign(ring.style, { left: `${event.offsetX}px`, top: `${event.offsetY}px`, width: `${size}px` });
  if (stroke?.id === event.pointerId) draw(event);
};
canvas.onpointerup = canvas.onpointercancel = (event) => {
  if (stroke?.id !== event.pointerId) return;
  stroke = null;
  chosen = "";
  change(text());
};

function fit() { // the canvas to the picture
  const [width, height] = [image.naturalWidth, image.naturalHeight], scale = (FINE * props.side) / Math.max(width, height);
  const sides = [width, height].map((side) => Math.max(1, Math.round(side * scale)));
  if (canvas.width === sides[0] && canvas.height === sides[1]) return;
  [canvas.width, canvas.height] = sides;
  show();
}
image.onload = fit;

document.addEventListener("painted", ({ detail: { second, pictures } }) => {
  element.hidden = !second || !canReadCanvas(); // what is drawn would not be what is sent
  find(".board").hidden = !pictures[1];
  find("legend").textContent = pictures[1] ? say("Where it shows: choose, or draw on the picture") : say("Where it shows");
  if (pictures[1] && image.src !== pictures[1]) image.src = pictures[1];
  if (!stroke) figure.classList.remove("drawn"); // the picture itself shows it now
});

element.hidden = true;
Object.assign(canvas, { width: FINE * props.side, height: (FINE * props.side * 3) / 4 });
watch("value", show);
show();
