// Paints in the visitor's browser, a photograph or what their camera sees: no picture leaves the device. Gradio runs this
// with `element` (an empty box), `props` (see ui/live.py: styles, words, runtimes, painter) and `server`, whose `weights`
// gives a style's network. Only if the visitor says so, `server.paint` paints what the camera sees instead.
const SIDES = { photo: [256, 512, 1024], camera: [160, 240, 320, 480, 640] }; // the longer side, in pixels
const MIN_SIDE = 16; // the shorter side
const SLOW = 200, QUICK = 50; // milliseconds per frame, beyond which another size is tried
element.innerHTML = `
  <div class="choices">
    <p class="privacy"></p>
    <div class="buttons"><button class="camera">${say("Start the camera")}</button>
      <button class="file">${say("Choose a photograph")}</button><input type="file" accept="image/*" hidden></div>
    <fieldset><legend>${say("Style")}</legend><div class="styles"></div><p class="few" hidden>${say("Only the quick styles work with the camera.")}</p></fieldset>
    <label class="size">${say("Size (longer side, px)")} <select></select></label>
    <label class="size" hidden>${say("Painted by")} <select class="who"><option value="device">${say("this device")}</option>
      <option value="server">${say("the server")}</option></select></label>
  </div>
  <div class="stage">
    <figure><canvas hidden role="img" aria-label="${say("Your picture, painted")}"></canvas>
      <p class="hint"><b>${say("See yourself painted")}</b>${say("Start the camera, or choose a photograph or drop it here.")}</p></figure>
    <p class="line" role="status"></p><p class="rate"></p>
    <div class="buttons" hidden><button class="download">${say("Download PNG")}</button>
      <button class="turn" hidden>${say("Switch camera")}</button><button class="stop" hidden>${say("Take the picture")}</button></div>
  </div>`;
const find = (selector) => element.querySelector(selector);
const [canvas, line, rate, sizes, who, figure, few] =
  ["canvas", ".line", ".rate", "select", ".who", "figure", ".few"].map(find);
const shown = canvas.getContext("2d");
const video = make("video", { muted: true, playsInline: true });

class Refusal extends Error {} // a sentence for the visitor
let mode = "photo";
let photo = null; // an ImageBitmap, or a canvas with what the camera saw last
let tried = false; // whether the camera was asked for, and no photograph since
let painted = ""; // the style of what is shown
let facing = "user"; // where the camera looks, if it says so
let camera = { facingMode: "user" }; // the constraints of the camera that is wanted
let wantedSide = 0; // the size asked for of the camera; 0: as quick as it can
let choice = 0; // counts what the visitor chose to see painted: a file, or the camera
let had = 0; // the newest choice that could be had: one made before it comes too late
let wish = 0; // counts requests: work under way for an earlier one is dropped
let side = 320; // the camera's size, while it is chosen for the visitor

// --- the painters: workers, each with ONNX Runtime Web

class Painter {
  constructor() {
    const script = URL.createObjectURL(new Blob([props.painter], { type: "text/javascript" }));
    this.worker = new Worker(script, { type: "module" });
    this.waiting = new Map();
    this.worker.onmessage = ({ data: { id, result, error } }) => {
      const [done, fail] = this.waiting.get(id);
      this.waiting.delete(id);
      if (error) fail(new Error(error)); else done(result);
    };
    this.worker.onerror = (event) => this.waiting.forEach(([, fail]) => fail(new Error(event.message)));
  }
  ask(task, given, transfer = []) {
    const id = `${task}-${performance.now()}-${this.waiting.size}`;
    return new Promise((done, fail) => {
      this.waiting.set(id, [done, fail]);
      this.worker.postMessage({ id, task, ...given }, transfer);
    });
  }
  take(style, weights) {
    if (this.style !== style) {
      const loaded = (kind) => { this.kind = kind; }, failed = (error) => { this.style = null; throw error; };
      this.taken = this.ask("load", { weights }).then(loaded, failed);
    }
    this.style = style;
    return this.taken;
  }
  async paint(picture, width, height) { // what can be drawn on a canvas, to ImageData
    const { data } = sketch(picture, width, height).getImageData(0, 0, width, height);
    return new ImageData(await this.ask("paint", { pixels: data, width, height }, [data.buffer]), width, height);
  }
}

class Server { // in the place of a painter
  async paint(picture, width, height) {
    const photo = sketch(picture, width, height).canvas.toDataURL("image/jpeg", 0.85);
    const refused = { refusal: say("The server did not answer: try again, or let this device paint.") };
    const { painted, refusal } = (await heard(server.paint({ style: chosen().value, photo }))) ?? refused;
    if (refusal) throw new Refusal(refusal);
    const made = new Image();
    made.src = painted;
    await made.decode();
    return sketch(made, width, height).getImageData(0, 0, width, height);
  }
}

function sketch(picture, width, height) { // a drawing context with the picture
  const context = make("canvas", { width, height }).getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, 0, 0, width, height);
  return context;
}

const once = (work) => { // a promise kept for later, unless it failed
  const kept = new Map();
  return (key) => {
    if (!kept.has(key)) kept.set(key, work(key).catch((error) => { kept.delete(key); throw error; }));
    return kept.get(key);
  };
};

const lost = () => tried ? say("The painting program could not be downloaded: try again, or let the server paint.")
  : say("The painting program could not be downloaded: try again, or use the Repaint tab.");

const heard = (answer) => answer.catch(() => null); // Gradio itself gives nothing where the server does not answer

async function fetched(url, integrity) {
  const answer = await fetch(url, { integrity, credentials: "same-origin" }).catch(() => null);
  if (!answer?.ok) throw new Refusal(lost());
  return answer.arrayBuffer();
}

const runtime = once(async () => {
  if (typeof WebAssembly !== "object") throw new Refusal(say("Painting here needs WebAssembly, which this browser lacks: use the Repaint tab."));
  const kind = (await navigator.gpu?.requestAdapter().catch(() => null)) ? "webgpu" : "wasm";
  const [script, program] = await Promise.all(props.runtimes[kind].map(([url, integrity]) => fetched(url, integrity)));
  return { kind, program, script: URL.createObjectURL(new Blob([script], { type: "text/javascript" })) };
});

const painter = once(async () => {
  const given = await runtime(), made = new Painter();
  await made.ask("start", given).catch((error) => { made.worker.terminate(); throw error; });
  return made;
});

const weightsOf = once(async (style) => {
  const { url, refusal } = (await heard(server.weights(style))) ?? { refusal: lost() };
  if (refusal) throw new Refusal(refusal);
  return fetched(url);
});

async function painters(count, wanted) { // `count` of them, with the chosen style; none if nobody wants them any more
  const style = chosen().value, weights = weightsOf(style);
  weights.catch(() => {}); // handled below
  tell(say("Downloading the painting program …"));
  const all = await Promise.all(Array.from({ length: count }, (_, number) => painter(number)));
  if (wanted()) tell(say("Downloading the style; the first time, it has to be prepared …"));
  const taken = await weights;
  if (!wanted()) return [];
  await Promise.all(all.map((one) => one.take(style, taken)));
  return all;
}

// --- what the visitor sees

function tell(words, wrong = false) {
  line.textContent = words;
  line.classList.toggle("wrong", wrong);
}

function show(state) {
  element.dataset.state = state;
  const live = mode === "camera";
  canvas.hidden = state === "empty";
  find(".hint").hidden = state !== "empty";
  find(".stage .buttons").hidden = state === "empty";
  find(".stop").hidden = !live;
  find(".download").hidden = live; // its frames are small: a picture is taken first
  find(".camera").textContent = live ? say("Turn the camera off") : say("Start the camera");
  if (!live && document.activeElement === find(".stop")) find(".camera").focus();
  canvas.classList.toggle("mirrored", live && facing !== "environment");
  if (!live) { find(".turn").hidden = true; rate.textContent = ""; }
  who.parentNode.hidden = !tried; // where this device cannot, the server may
  find(".privacy").textContent = live && who.value === "server"
    ? say("The server paints: what the camera sees is sent there and not kept.")
    : say("Your own device paints here, and no picture leaves it.");
}

function choose(next) { // between photograph and camera
  mode = next;
  const live = mode === "camera" && props.styles.some((style) => style.live);
  for (const label of element.querySelectorAll(".styles label")) label.hidden = live && !label.dataset.live;
  if (live && chosen().parentNode.hidden) {
    const lite = find(`.styles [data-live] [value="${CSS.escape(chosen().value)}-lite"]`);
    (lite ?? find(".styles [data-live] input")).checked = true;
  }
  few.hidden = !live;
  const options = SIDES[mode].map((side) => new Option(side, side));
  if (mode === "camera") options.unshift(new Option(say("Automatic, for speed"), 0));
  sizes.replaceChildren(...options);
  sizes.value = mode === "camera" ? wantedSide : 512;
}

const chosen = () => find(".styles input:checked");

function measures(width, height, side) {
  const scale = Math.min(1, side / Math.max(width, height));
  return [width, height].map((length) => Math.max(MIN_SIDE, Math.round(length * scale)));
}

function draw(made) { // in the chosen style
  const { width, height } = made;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  shown.putImageData(made, 0, 0);
  painted = chosen().value;
}

const comeIntoView = () => scrollOnPhone(find(".stage"), "end"); // which is below the choices

async function attempt(work) { // whatever fails is told in one sentence
  const mine = ++wish;
  comeIntoView();
  try {
    if (!canReadCanvas()) throw new Refusal(say("This browser hides from pages what they draw: use the Repaint tab."));
    await work(() => mine === wish);
  } catch (error) {
    if (mine !== wish) return;
    wish++; // the other painters end as well
    rest();
    refuse(error);
  }
}

function refuse(error) {
  console.warn(error);
  tell(error instanceof Refusal ? error.message : say("This device could not paint it: choose a smaller size, another style, or the Repaint tab."), true);
  comeIntoView(); // the choices above may have grown by who paints
}

// --- a photograph

const paintPhoto = () => attempt(async (wanted) => {
  tried = false; // the server paints none
  const [one] = await painters(1, wanted);
  if (!wanted()) return;
  const [width, height] = measures(photo.width, photo.height, Number(sizes.value));
  tell(say("Painting …"));
  const began = performance.now(), made = await one.paint(photo, width, height);
  if (!wanted()) return;
  draw(made);
  show("painted");
  tell(`${width} × ${height} px · ${((performance.now() - began) / 1000).toFixed(2)} s · ${where(one)}`);
});

async function take(file) { // whatever is painted goes on until it can be read
  if (!file) return;
  const mine = ++choice, taken = await createImageBitmap(file).catch(() => null);
  if (mine < had) taken?.close();
  else if (!taken) {
    comeIntoView();
    tell(file.type.startsWith("video/") ? say("That is a film: films are painted on the tab Video.")
      : say("This browser cannot read that file: choose a PNG, JPEG or WebP."), true);
  } else {
    had = mine;
    rest();
    photo?.close?.();
    photo = taken;
    paintPhoto();
  }
}

const where = ({ kind }) => kind === "webgpu" ? say("by this device's graphics chip") : say("by this device's processor");

// --- the camera

const REFUSALS = { // by the name that a browser gives its refusal
  NotAllowedError: say("Camera access was denied: allow it next to the page's address, then start the camera again."),
  NotFoundError: say("This device has no camera: choose a photograph instead."),
  OverconstrainedError: say("The camera was disconnected."),
  NotReadableError: say("Another program is using the camera: close it, then start the camera again."),
};

const cameras = async () => (await navigator.mediaDevices.enumerateDevices()).filter((one) => one.kind === "videoinput");

async function startCamera(turned) { // whatever is painted goes on until there is a camera
  const mine = ++choice, asking = say("Asking for access to the camera …");
  if (video.srcObject) { wish++; rest(); } // few phones open a second camera beside the first
  tell(asking);
  comeIntoView();
  const late = () => mine < had || video.srcObject; // or it was pressed twice
  let stream;
  try {
    if (!navigator.mediaDevices) throw new Refusal(say("Browsers allow only https pages to use a camera: choose a photograph instead."));
    stream = await navigator.mediaDevices.getUserMedia({ video: { ...camera, width: { ideal: 640 }, height: { ideal: 480 } } });
  } catch (error) {
    if (late()) return;
    // Safari says that constraints are too many where there is no camera at all: else it is a certain one that is gone.
    const name = error.name === "OverconstrainedError" && !camera.deviceId ? "NotFoundError" : error.name;
    camera = { facingMode: "user" };
    tried = true;
    show(element.dataset.state);
    refuse(REFUSALS[name] ? new Refusal(REFUSALS[name]) : error);
    return;
  }
  const [track] = stream.getTracks();
  if (late() || !figure.clientWidth) { // or they have gone to another tab meanwhile
    track.stop();
    if (line.textContent === asking) tell("");
    return;
  }
  had = mine;
  tried = true;
  video.srcObject = stream;
  track.onended = () => leave(say("The camera was disconnected."));
  await attempt(async (wanted) => {
    await video.play();
    const several = (await cameras()).length > 1;
    if (!wanted() || !figure.clientWidth) {
      track.stop();
      if (video.srcObject === stream) video.srcObject = null; // its frame is not to take the photograph's place
      if (wanted()) rest();
      return;
    }
    facing = track.getSettings().facingMode;
    choose("camera");
    show(element.dataset.state);
    find(".turn").hidden = !several;
    if (turned && document.activeElement === document.body) find(".turn").focus(); // it was pressed, and hidden meanwhile
    await paintLive(wanted);
  });
}

const repaintLive = () => attempt(paintLive); // the camera goes on

async function paintLive(wanted) {
  let all = [new Server(), new Server()], words = say("by the server"); // one is on its way while the other is painted
  if (who.value === "device") {
    // Each painter takes one core; a graphics chip has enough with one painter.
    const count = (await runtime()).kind === "webgpu" ? 1 : Math.min(4, navigator.hardwareConcurrency);
    all = await painters(count, wanted);
  }
  if (!wanted()) return;
  if (all[0].kind) words = where(all[0]);
  tell("");
  show("live");
  let seen = -1, newest = 0, number = 0, spent = [];
  const drawn = [];
  await Promise.all(all.map(async (one) => {
    while (wanted()) {
      // A painter that is free takes the newest frame; those in between are dropped.
      while (wanted() && (video.currentTime === seen || document.hidden)) await new Promise(requestAnimationFrame);
      if (!wanted()) return;
      seen = video.currentTime;
      const mine = ++number, began = performance.now();
      const [width, height] = measures(video.videoWidth, video.videoHeight, Number(sizes.value) || side);
      const made = await one.paint(video, width, height);
      if (!wanted()) return;
      if (mine < newest) continue;
      newest = mine;
      draw(made);
      const now = performance.now();
      drawn.push(now);
      while (drawn[0] < now - 2000) drawn.shift();
      spent.push(now - began);
      if (spent.length < 6) continue;
      const delay = spent.sort((a, b) => a - b)[3], each = drawn.length > 1 ? (now - drawn[0]) / (drawn.length - 1) : delay;
      spent = [];
      const first = !rate.textContent;
      rate.textContent = `${(1000 / each).toFixed(1)} ${say("frames a second")} · ${Math.round(delay)} ms ${say("behind")} · ${width} × ${height} px · ${words}`;
      if (first) comeIntoView(); // it has grown by these lines, and by its buttons
      const place = SIDES.camera.indexOf(side) + (delay > SLOW ? -1 : delay < QUICK ? 1 : 0);
      side = SIDES.camera[Math.min(Math.max(place, 0), SIDES.camera.length - 1)];
    }
  }));
}

function takePicture() {
  if (who.value === "server" && painted) return leave(`${canvas.width} × ${canvas.height} px · ${say("by the server")}`);
  rest();
  if (photo) paintPhoto();
}

function leave(words) {
  wish++;
  tried = false;
  rest();
  tell(words);
}

function rest() { // the camera off: what it saw last becomes the photograph
  if (video.videoWidth) {
    photo?.close?.();
    photo = sketch(video, video.videoWidth, video.videoHeight).canvas;
  }
  video.srcObject?.getTracks().forEach((track) => { track.onended = null; track.stop(); });
  video.srcObject = null;
  tell("");
  if (mode === "camera") choose("photo");
  show(element.dataset.state === "empty" ? "empty" : "painted");
}

// --- wiring

const link = new URLSearchParams(location.search), linked = link.get("tab") === "live" && link.get("style");
const named = props.styles.filter(({ id }) => id === linked); // comes first, or it might be out of sight
find(".styles").append(...[...new Set([...named, ...props.styles])].map((style) => {
  const input = make("input", { type: "radio", name: "live-style", value: style.id });
  const label = make("label", {}, input, make("span", { textContent: style.title }));
  label.style.setProperty("--preview", `url("${style.preview}")`);
  if (style.live) label.dataset.live = "yes";
  return label;
}));
if (Object.keys(props.words).length) find(".styles").before(styleFinder("#live .styles", props.words));
const first = (!named.length && find(".styles [data-live] input")) || find(".styles input");
if (first) first.checked = true; // a registry may be empty

const again = () => { if (mode === "camera") repaintLive(); else if (photo) paintPhoto(); };
find(".styles").onchange = again;
sizes.onchange = () => { if (mode === "photo") again(); else wantedSide = sizes.value; }; // the camera's next frame has it
who.onchange = () => { if (mode === "camera") repaintLive(); else startCamera(false); };
find(".camera").onclick = () => { if (mode === "camera") leave(say("The camera is off.")); else startCamera(false); };
find(".stop").onclick = takePicture;
find(".turn").onclick = async () => { // a phone says where its cameras look, and has one for each side that counts
  const all = (await cameras()).map((one) => one.deviceId), now = video.srcObject?.getTracks()[0].getSettings().deviceId;
  camera = facing ? { facingMode: facing === "user" ? "environment" : "user" }
    : { deviceId: { exact: all[(all.indexOf(now) + 1) % all.length] } };
  startCamera(true);
};
find(".file").onclick = () => find("[type=file]").click();
find("[type=file]").onchange = ({ target }) => { take(target.files[0]); target.value = ""; }; // drops.js as well
find(".download").onclick = () => canvas.toBlob((blob) => {
  const link = make("a", { href: URL.createObjectURL(blob), download: `${painted}.png` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // iOS asks first whether to download it
});
// Nobody is filmed who has gone to another tab.
new ResizeObserver(() => { if (mode === "camera" && !figure.clientWidth) leave(say("The camera is off: you left this tab.")); }).observe(figure);
choose("photo");
show("empty");
