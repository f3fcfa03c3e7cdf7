// A picture that grows, its losses on a log scale, and a slider over its steps. Gradio runs this with `element` (an
// empty box), `props.value` (ui/viewer.py: view, or the `refusal` of a film), `props.hint`, `props.each` (what stands
// before its number), and `watch`, which calls back when the value grows, and `trigger`, which asks for the run that
// this tab had.
const told = (status) => JSON.parse(status) // ui/words.py: phrase
  .map(([words, ...values]) => values.reduce((text, value) => text.replace("{}", () => value), say(words))).join(" · ");
element.innerHTML = `
  <figure><img hidden alt=""><p class="hint" role="status">${say(props.hint)}</p></figure>
  <div class="bar"><i></i></div>
  <p class="line" role="status"></p>
  <input class="scrub" type="range" min="0" max="0" value="0" aria-label="${say(props.each)}" disabled>
  <div class="legend"></div>
  <svg class="chart" role="img" aria-label="${say("Losses by step, on a log scale")}"></svg>`;
const { id } = element.closest(".block");
const taken = `${id}-taken`; // under this, the tab remembers which run was taken home
const find = (selector) => element.querySelector(selector);
const [image, hint, bar, line, scrub, legend, chart] =
  ["img", ".hint", ".bar i", ".line", ".scrub", ".legend", ".chart"].map(find);
const MARGIN = { left: 46, right: 12, top: 16, bottom: 24 };
const TITLES = {
  total: say("Total"), content: say("Content"), style: say("Style"), total_variation: say("Smoothness"),
};

let run = null;
let own = ""; // the id of the last one that this page has had
let before = null; // the run before, as it was last seen, with its last picture: the server's files of it are gone
let looksBack = false; // whether that picture is looked at
let place = 0; // in Gradio's queue; 0: not in it
let queued = null; // since when, in milliseconds
let layer = "";
const hidden = new Set();
let at = null; // step of the snapshot that is looked at; null: the newest
let hovered = null; // index of the row under the pointer
const next = new Image(); // loads the one that is looked at: until it is there, the one before is seen
const loaded = new Map(); // pictures by address, so that scrubbing never waits

const rows = () => run.losses.step ?? [];
const layers = () => Object.keys(run.losses).filter((name) => name.includes("/"));
const drawn = () => [...Object.keys(TITLES).filter((name) => run.losses[name]?.some((value) => value > 0)), layer]
  .filter((name) => name && run.losses[name]);
const visible = () => drawn().filter((name) => !hidden.has(name));
const kind = (name) => (name.includes("/") ? "layer" : name);
const worded = (value) => String(+value.toPrecision(3));

function nearest(steps, step) { // index of the last one that is not later
  let low = 0, high = steps.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (steps[middle] <= step) low = middle; else high = middle - 1;
  }
  return low;
}

function shownSnapshot() {
  const steps = run.snapshots.map((one) => one.step);
  if (hovered !== null) return nearest(steps, rows()[hovered]);
  if (at === null) return steps.length - 1;
  return steps.includes(at) ? steps.indexOf(at) : nearest(steps, at); // the server lets every second one go
}

function shownRow() { // the row that the legend reads out
  if (hovered !== null) return hovered;
  if (at === null && run.running) return rows().length - 1;
  return run.snapshots.length ? nearest(rows(), run.snapshots[shownSnapshot()].step) : rows().length - 1;
}

function show() {
  element.dataset.state = !run ? "empty" : run.running ? "running" : run.progress ? "ended" : "first";
  element.toggleAttribute("data-waits", place > 0);
  const others = place > 1 ? say("At most {} people are ahead of you.") // Gradio does not say when one of them leaves
    : say("Somebody else is ahead of you; you are next.");
  const waits = `${others.replace("{}", place)} ${say("Press Stop to leave the queue.")}`;
  hint.innerHTML = say(run ? "<b>One moment</b>The first picture is on its way." : props.hint);
  if (place) hint.innerHTML = `<b>${say("You are in the queue")}</b>${waits}`;
  const refusal = !run && !place && props.value?.refusal;
  if (refusal) hint.textContent = refusal;
  hint.classList.toggle("wrong", Boolean(refusal));
  hint.hidden = !!run?.snapshots.length;
  image.hidden = !run?.snapshots.length || !image.src;
  if (!run) { line.textContent = ""; bar.style.width = 0; scrub.disabled = true; scrub.max = 0; clear(); draw(); return; }
  bar.style.width = `${100 * run.progress}%`;
  line.ariaLive = run.running ? "off" : "polite"; // it changes with every look
  line.textContent = place ? waits : looksBack ? `${say("Previous run")} · ${told(before.status)}` : told(run.status);
  scrub.max = Math.max(0, run.snapshots.length - 1);
  scrub.disabled = run.snapshots.length < 2;
  look();
}

async function see(url) {
  next.src = url;
  const came = await next.decode().then(() => true, () => false);
  if (!came || next.getAttribute("src") !== url) return;
  image.src = url;
  image.hidden = !run?.snapshots.length;
}

function look() { // what changes when another step is looked at
  if (run.snapshots.length) {
    const index = shownSnapshot(), snapshot = run.snapshots[index];
    const url = looksBack ? before.picture : snapshot.url;
    if (next.getAttribute("src") !== url) see(url);
    image.alt = looksBack ? say("Previous run") : `${say(props.each)} ${snapshot.step}`;
    scrub.value = index;
    scrub.setAttribute("aria-valuetext", `${say(props.each)} ${snapshot.step}`);
  }
  readOut();
  draw();
}

function layerChoice() {
  const options = layers().map((name) => new Option(name.replace("/", " · "), name));
  const select = make("select", { ariaLabel: say("The curve of a layer") }, new Option(say("A layer …"), ""), ...options);
  select.value = layers().includes(layer) ? layer : (layer = "");
  select.onchange = () => { layer = select.value; look(); };
  const entry = make("label", { className: "layer" }, make("i"), select, make("span"));
  entry.dataset.name = "layer";
  return entry;
}

function lookBack() {
  const title = say("Its curves are dashed; press to see its last picture, and again for this run's");
  const entry = make("button", { className: "before", type: "button", title }, make("i"), say("Previous run"));
  entry.dataset.name = "before";
  entry.onclick = () => { looksBack = !looksBack; show(); };
  return entry;
}

function clear() {
  legend.replaceChildren();
  legend.dataset.names = "";
}

function readOut() {
  if (!rows().length) { clear(); return; }
  const row = shownRow();
  const wanted = ["step", ...drawn().filter((name) => name !== layer)], names = String([wanted, layers(), !before]);
  if (legend.dataset.names !== names) {
    legend.dataset.names = names;
    legend.replaceChildren(...wanted.map((name) => {
      const step = name === "step", title = make("b", { textContent: step ? say("Step") : TITLES[name] });
      const entry = make(step ? "span" : "button", { className: kind(name) }, make("i"), title, make("span"));
      entry.dataset.name = name;
      if (!step) {
        entry.type = "button";
        entry.title = say("Show or hide this curve");
        entry.onclick = () => { if (!hidden.delete(name)) hidden.add(name); look(); };
      }
      return entry;
    }));
    if (layers().length) legend.append(layerChoice());
    if (before) legend.append(lookBack());
  }
  for (const entry of legend.children) {
    const name = entry.dataset.name === "layer" ? layer : entry.dataset.name;
    if (name === "before") { entry.setAttribute("aria-pressed", looksBack); continue; }
    entry.lastChild.textContent = name === "step" ? rows()[row] : name ? worded(run.losses[name][row]) : "";
    entry.classList.toggle("off", hidden.has(name));
    if (entry.tagName === "BUTTON") entry.setAttribute("aria-pressed", !hidden.has(name));
  }
}

function frame() { // from steps and losses to pixels
  const { width, height } = chart.getBoundingClientRect();
  const steps = rows(), last = Math.max(1, steps.at(-1) ?? 1, before?.losses.step.at(-1) ?? 1);
  // While it runs the axis ends at a round number not far off, so that the curve always fills half of it.
  let end = 20;
  while (end < last) end *= 2;
  end = run.running ? Math.max(last, Math.min(end, run.steps)) : last;
  let low = Infinity, high = -Infinity;
  for (const name of visible())
    for (const value of [...run.losses[name], ...(before?.losses[name] ?? [])])
      if (value > 0) [low, high] = [Math.min(low, value), Math.max(high, value)];
  if (high <= 0) [low, high] = [0.1, 1];
  low = Math.log10(low) - 0.05; high = Math.log10(high) + 0.05;
  if (high - low < 0.3) { const middle = (low + high) / 2; [low, high] = [middle - 0.15, middle + 0.15]; }
  const begin = steps[0] ?? 0, span = Math.max(1, end - begin);
  const right = width - MARGIN.right, bottom = height - MARGIN.bottom;
  return {
    width, height, right, bottom, low, high, begin, end,
    x: (step) => MARGIN.left + ((step - begin) / span) * (right - MARGIN.left),
    y: (value) => bottom - ((Math.log10(value) - low) / (high - low)) * (bottom - MARGIN.top),
    step: (x) => begin + ((x - MARGIN.left) / (right - MARGIN.left)) * span,
  };
}

function lossTicks({ low, high }) {
  const ticks = [], parts = high - low > 2.5 ? [1] : high - low > 0.9 ? [1, 3] : [1, 1.5, 2, 3, 5, 7];
  const every = Math.ceil((high - low) / 7);
  for (let power = Math.floor(low); power <= high; power++) {
    for (const part of parts) {
      const value = part * 10 ** power;
      if (Math.log10(value) >= low && Math.log10(value) <= high && (part > 1 || power % every === 0)) ticks.push(value);
    }
  }
  return ticks;
}

function stepTicks({ begin, end }) {
  const rough = (end - begin) / 5 || 1, power = 10 ** Math.floor(Math.log10(rough));
  const gap = Math.max(1, [1, 2, 5, 10].find((part) => part * power >= rough) * power);
  const ticks = [];
  for (let step = Math.ceil(begin / gap) * gap; step <= end; step += gap) ticks.push(step);
  return ticks;
}

const scientific = (value) => {
  const power = Math.floor(Math.log10(value) + 1e-9), part = Math.round((value / 10 ** power) * 10) / 10;
  if (power >= -2 && power <= 3) return String(+value.toPrecision(2));
  const digits = [...String(power)].map((digit) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(digit)]).join("");
  return `${part === 1 ? "" : part + "·"}10${digits}`;
};

function curve(losses, name, at) { // one line per scale: it does not go on from one to the next
  let path = "", pen = "M";
  losses[name].forEach((value, index) => {
    if (losses.width && losses.width[index] !== losses.width[index - 1]) pen = "M";
    if (!(value > 0)) { pen = "M"; return; }
    path += pen + at.x(losses.step[index]).toFixed(1) + " " + at.y(value).toFixed(1);
    pen = "L";
  });
  return path;
}

function draw() {
  if (!chart.clientWidth) return; // in a tab that is not looked at
  if (!run || !rows().length) { chart.replaceChildren(); return; }
  const at = frame(), parts = [];
  const text = (x, y, words, anchor, name) => parts.push(`<text class="${name}" x="${x}" y="${y}" text-anchor="${anchor}">${words}</text>`);
  for (const value of lossTicks(at)) {
    const y = at.y(value).toFixed(1);
    parts.push(`<path class="grid" d="M${MARGIN.left} ${y}H${at.right}"/>`);
    text(MARGIN.left - 6, +y + 4, scientific(value), "end", "tick");
  }
  for (const step of stepTicks(at)) text(at.x(step).toFixed(1), at.height - 6, step, "middle", "tick");
  const steps = rows(), sizes = (run.losses.width ?? []).map((width, index) => Math.max(width, run.losses.height[index]));
  if (sizes[0] !== sizes[sizes.length - 1]) text(MARGIN.left + 4, 11, `${sizes[0]} px`, "start", "scale");
  sizes.forEach((size, index) => {
    if (!index || size === sizes[index - 1]) return;
    const x = at.x(steps[index]).toFixed(1);
    parts.push(`<path class="scale" d="M${x} ${MARGIN.top - 12}V${at.bottom}"/>`);
    if (at.right - x > 44) text(+x + 4, 11, `${size} px`, "start", "scale");
  });
  for (const [losses, of] of [[before?.losses ?? {}, "before"], [run.losses, ""]])
    for (const name of visible().filter((name) => losses[name]).reverse())
      parts.push(`<path class="curve ${kind(name)} ${of}" d="${curve(losses, name, at)}"/>`);
  const row = shownRow(), x = at.x(steps[row]).toFixed(1);
  parts.push(`<path class="cursor" d="M${x} ${MARGIN.top}V${at.bottom}"/>`);
  for (const name of visible()) {
    const value = run.losses[name][row];
    if (value > 0) parts.push(`<circle class="${kind(name)}" cx="${x}" cy="${at.y(value).toFixed(1)}" r="3.5"/>`);
  }
  chart.setAttribute("viewBox", `0 0 ${at.width} ${at.height}`);
  chart.innerHTML = parts.join("");
}

scrub.oninput = () => {
  for (const { url } of run.snapshots) if (!loaded.has(url)) loaded.set(url, Object.assign(new Image(), { src: url }));
  const index = Number(scrub.value);
  at = index === run.snapshots.length - 1 ? null : run.snapshots[index].step;
  looksBack = false;
  hovered = null;
  show();
};
const under = (event) => {
  if (!run || !rows().length) return null;
  return nearest(rows(), Math.round(frame().step(event.clientX - chart.getBoundingClientRect().left)));
};
chart.onpointermove = (event) => { hovered = under(event); if (run) look(); };
chart.onpointerleave = () => { hovered = null; if (run) look(); };
chart.onclick = (event) => {
  hovered = under(event);
  if (hovered === null) return;
  const snapshot = run.snapshots[shownSnapshot()];
  at = snapshot && snapshot !== run.snapshots.at(-1) ? snapshot.step : null;
  if (event.pointerType !== "mouse") hovered = null; // a finger has left already
  look();
};

async function keep({ status, losses, snapshots }) {
  if (before) URL.revokeObjectURL(before.picture);
  looksBack = false;
  before = null;
  if (!snapshots.length) return;
  const { url } = snapshots.at(-1), picture = await fetch(url).catch(() => null); // the connection may break
  if (picture?.ok) before = { status, losses, url, picture: URL.createObjectURL(await picture.blob()) };
  show();
}

function take() {
  const earlier = run;
  run = props.value?.status ? props.value : null;
  if (run?.progress && run.id !== own) { // else there would be nothing of it to come back to
    sessionStorage[id] = own = run.id;
    // For as long as this page is there, if it may.
    navigator.locks?.request(own, () => new Promise(() => {})).catch(() => {});
  }
  if (run?.running) place = 0; // its turn has come, whatever Gradio's tracker still says
  if (run && !rows().length && earlier?.losses.step?.length) keep(earlier);
  if (before && before.url === run?.snapshots.at(-1)?.url) before = null; // the new run was refused; this one is back
  if (!run || !before) looksBack = false;
  if (run?.running) delete sessionStorage[taken];
  else if (run?.progress) element.toggleAttribute("data-unsaved", sessionStorage[taken] !== run.id); // see page.js
  // For another run, or one that goes on or has just ended, the newest picture counts.
  if (!run || !earlier || run.running !== earlier.running || !rows().length) { at = null; hovered = null; loaded.clear(); }
  show();
  // The curves have only now appeared.
  const begins = run && earlier && rows().length && !earlier.losses.step?.length;
  if (begins) scrollOnPhone(element);
}

// Only Gradio's tracker knows the place. It shows one for a moment even where nobody else is there; and only events
// with a stop button have a queue of their own.
const tracker = element.closest(".block").querySelector("[data-testid=status-tracker]");
const busy = () => [...document.querySelectorAll(".stop")].some((one) => one.checkVisibility());
new MutationObserver(() => {
  const number = busy() && !run?.running ? Number(/queue: (\d+)/.exec(tracker.textContent)?.[1] ?? 0) : 0;
  queued = number ? queued ?? performance.now() : null;
  const now = number && performance.now() - queued > 500 ? number : 0;
  if (now !== place) { place = now; show(); }
}).observe(tracker, { childList: true, characterData: true, subtree: true });
element.closest(".column").addEventListener("click", ({ target }) => {
  if (run?.running || !target.closest("#png, #csv, #zip, #download-film")) return; // or it is the one before
  sessionStorage[taken] = own;
  delete element.dataset.unsaved;
});
watch("value", take);
new ResizeObserver(draw).observe(chart);
take();
async function comeBack() { // after the page was loaded again; a run that ends because of that takes a moment
  for (let look = 0; look < 20 && !run && !busy() && sessionStorage[id]; look++) {
    const { held } = await navigator.locks?.query() ?? { held: [] };
    // A tab that is duplicated remembers what is the other one's.
    if (!held.some(({ name }) => name === sessionStorage[id])) trigger("select", { id: sessionStorage[id] });
    await new Promise((done) => setTimeout(done, 1000));
  }
}
comeBack();
