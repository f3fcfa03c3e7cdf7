// What the page's other scripts and its events call, and what there has to be before Gradio: the head of the HTML has it
// (ui/head.py), so these are global names.

// Gradio speaks many languages, in the few words of its own, and says so of the whole page: here, those of ui/words.py.
Object.defineProperty(navigator, "language", { value: navigator.language.startsWith("es") ? "es" : "en" });

Element.prototype.checkVisibility ??= function () { return this.getClientRects().length > 0; }; // Safari has it since 17.4

// What runs, or was not downloaded, is lost with the page; where the connection broke, it is lost already, and Gradio
// reloads the page.
// Gradio's own listener hangs up whatever the person answers: it comes after this one, and is told once they go.
addEventListener("pagehide", () => dispatchEvent(new Event("beforeunload")));
const disconnected = () => // told in English alone
  document.querySelector(".toast-wrap")?.textContent.includes("Connection to the server was lost");
addEventListener("beforeunload", (event) => {
  const atStake = document.querySelector(".viewer :is([data-state=running], [data-unsaved])");
  if (!event.isTrusted || !atStake || disconnected()) return;
  event.preventDefault();
  event.stopImmediatePropagation();
});

// The second click of a double click would press what stands there by then, or save a file twice, and so would the
// second press of a key where the focus has just been moved to, or a key that is held.
let moved = {};
function moveFocus(to, options) {
  moved = { to, time: performance.now() };
  to?.focus(options);
}
addEventListener("click", (event) => {
  const { detail, target } = event, quick = !detail && target === moved.to && performance.now() - moved.time < 500;
  const once = "#run, #go-on, #paint-film, #train, .stop, .forget, .download, a[download]";
  if (!(detail > 1 || quick) || !target.closest(once)) return;
  event.stopImmediatePropagation();
  event.preventDefault(); // else a link would be followed
}, { capture: true });
addEventListener("keydown", (event) => {
  if (event.repeat && event.key === "Enter" && event.target.matches("button, a")) event.preventDefault();
}, { capture: true });

// A button that is pressed with the keyboard and goes, as that of full screen does on Escape, leaves the focus to the
// first that is there instead, or to the one that begins again.
for (const kind of ["click", "keydown"]) addEventListener(kind, ({ target, detail, key, isTrusted }) => {
  const byKey = kind === "click" ? !detail : key === "Escape";
  const gone = isTrusted && byKey && target.closest(".stop, .icon-button-wrapper button");
  const place = gone && gone.closest(".block, .row");
  const look = () => {
    if (document.activeElement === gone) setTimeout(look, 100);
    if (document.activeElement !== document.body) return;
    const others = [...place.querySelectorAll("button"), ...document.querySelectorAll("#run, #paint-film, #train")];
    moveFocus(others.find((one) => one.checkVisibility() && !one.disabled));
  };
  if (place) look();
}, { capture: true });

// A thumb that scrolls the page may come down on a slider, which browsers set at once: it is set back.
let sliderBefore;
addEventListener("pointerdown", ({ target }) => { sliderBefore = target.value; }, { capture: true });
addEventListener("pointercancel", ({ target }) => {
  if (!target.matches("[type=range]")) return;
  target.value = sliderBefore;
  target.dispatchEvent(new Event("input", { bubbles: true }));
}, { capture: true });

// A number's field that is emptied and left has again what was in it: Gradio would take the least number, or none.
let numberBefore;
for (const kind of ["focusin", "input", "change", "focusout"]) addEventListener(kind, (event) => {
  const { target } = event;
  if (!target.matches?.("[type=number]")) return;
  if (kind === "focusin" || (kind === "change" && target.value)) numberBefore = target.value;
  else if (target.value || !numberBefore) return;
  else if (kind === "input") event.stopImmediatePropagation();
  else {
    target.value = numberBefore;
    target.dispatchEvent(new Event("input", { bubbles: true }));
  }
}, { capture: true });

// A preset that is chosen already fills its settings in again, whatever they were changed to.
addEventListener("click", ({ target }) => { // by now it is checked anyway, but Gradio has not yet marked it
  if (target.matches("#presets [aria-checked=true]")) target.dispatchEvent(new Event("input", { bubbles: true }));
});

// A browser may keep a page from remembering anything, and an app's own browser may have no memory: Gradio would not
// begin without one.
for (const name of ["localStorage", "sessionStorage"]) {
  try { if (window[name]) continue; } catch {}
  const value = { getItem(key) { return this[key] ?? null; }, setItem(key, words) { this[key] = words; } };
  Object.defineProperty(window, name, { value });
}

// Gradio's answers come in one stream, which the server closes after the last that it knows of. A browser that learns of
// that only once it has asked for more does not open another stream, and waits for ever, or until it asks again.
const fetched = fetch;
let asked = 0; // when, in milliseconds
window.fetch = (request, options) => {
  const { pathname } = new URL(request.url ?? request, location), answer = fetched(request, options);
  if (pathname.endsWith("/queue/join")) answer.then(() => { asked = performance.now(); }, () => {});
  if (pathname.endsWith("/queue/data")) {
    const opened = performance.now();
    request.signal.addEventListener("abort", () => {
      if (asked > opened) document.dispatchEvent(new Event("unheard"));
    });
  }
  return answer;
};

// A link, or the last visit, fills the settings in soon after they are shown, and would undo what was pressed before.
document.documentElement.toggleAttribute("data-opening", Boolean(location.search || localStorage.length));
let unsettled = 3; // tabs that are filled in: Repaint, Video and Advanced, see ui/links.py
function settle() { // only now may the picture chosen before be there again, as it is painted with these settings
  if (--unsettled) return;
  document.documentElement.removeAttribute("data-opening");
  document.dispatchEvent(new Event("settled"));
}

function say(english) { // in Spanish to browsers that ask for it, see ui/words.py
  const spanish = navigator.language === "es" ? window.gradio_config?.i18n_translations?.es : null;
  return spanish?.[english] ?? english;
}

const fileName = (address) => decodeURIComponent(address.split("/").pop());

const update = (change) => ({ __type__: "update", ...change }); // what a listener changes of a component

function make(tag, given = {}, ...children) { // an element
  const made = Object.assign(document.createElement(tag), given);
  made.append(...children);
  return made;
}

function announce(words) { // to whoever cannot see that a button says something else for a moment; returns the words
  const status = document.querySelector("#announced");
  status.replaceChildren(words);
  setTimeout(() => status.replaceChildren(), 4000);
  return words;
}

function scrollOnPhone(element, block = "start") { // to what would be below the fold
  if (innerWidth <= 768) element.scrollIntoView({ block });
}

function bringIntoView(selector) { // once it is drawn, if it is there
  requestAnimationFrame(() => document.querySelector(selector)?.scrollIntoView({ block: "nearest" }));
}

function openTab(id) { // and return its button
  // Tabs that do not fit are in a menu, and have no ids there, but come in the same order.
  const ids = gradio_config.components.filter(({ type }) => type === "tabitem").map(({ props }) => props.id);
  const tab = document.querySelectorAll("[role=tab], .overflow-dropdown button")[ids.indexOf(id)];
  tab?.click();
  return tab;
}

// As the page opens: a link opens the tab that it names, or else the first; whoever loads the page again, or comes back
// from signing in, finds the tab that they left. `names` are the parameters of links, as other sites add their own to
// addresses; nothing is opened or remembered unless the tab is `wanted`, as it may be left before another call opens it.
function openFirstTab(names, wanted) {
  const linked = new URLSearchParams(location.search);
  const edited = sessionStorage.edited === location.search; // see ui/links.js
  const left = edited || !names.some((name) => linked.has(name));
  const tab = left ? sessionStorage.tab : linked.get("tab");
  if (!wanted(tab)) return;
  const [first] = document.querySelectorAll("[role=tab]"); // else somebody has opened another one already
  if (first.ariaSelected === "true") openTab(tab);
  addEventListener("pagehide", () => {
    sessionStorage.tab = document.querySelector("[role=tab][aria-selected=true]").dataset.tabId;
  });
}

function completeGradio() { // adds what it leaves out, whenever anything changes
  const nameOf = ({ src }) => fileName(src).replace(/\.\w+$/, "");
  const complete = () => {
    // What examples and pictures are called.
    for (const button of document.querySelectorAll(".gallery-item:not([aria-label]):has(img, video)"))
      button.ariaLabel = nameOf(button.querySelector("img, video"));
    for (const image of document.querySelectorAll(":is(#photo, .pick) img")) image.alt = nameOf(image);
    for (const image of document.querySelectorAll("[data-testid=imageslider-image]"))
      image.alt = `${say(image.matches("img ~ img") ? "After" : "Before")}: ${nameOf(image)}`;
    // What is seen of a film before it is played: iOS does not even fetch its first frame, nor begin one with sound.
    for (const film of document.querySelectorAll(".gallery-item video")) film.autoplay = true; // Gradio halts it at once
    for (const film of document.querySelectorAll("#painted-film video:not([poster])"))
      film.poster = document.querySelector("#film-viewer img").src;
    // One name for each group of radio buttons: arrow keys move between those of the same name.
    for (const group of document.querySelectorAll("fieldset:has(> [data-testid=block-info])")) {
      group.ariaLabel = group.querySelector("[data-testid=block-info]").textContent;
      group.querySelectorAll("[type=radio]").forEach((radio, _, [first]) => (radio.name = first.name));
    }
    // In the language of the page.
    for (const input of document.querySelectorAll(":is([type=number], [type=range])[aria-label]"))
      input.ariaLabel = input.ariaLabel.replace(/^(number input|range slider) for /, "");
    for (const button of document.querySelectorAll(".icon-button[aria-label]"))
      button.ariaLabel = button.title = say(button.ariaLabel);
    // Whether an accordion is open.
    for (const fold of document.querySelectorAll(".gr-accordion > .label-wrap")) {
      fold.ariaExpanded = fold.classList.contains("open");
      fold.querySelector(".icon").ariaHidden = true;
    }
    // What a file is chosen for.
    for (const button of document.querySelectorAll("button.upload-container:not(.hidden)")) {
      const label = button.closest(".block").querySelector("[data-testid=block-label]");
      const name = [label, button].map((part) => part.textContent.replace(/\s+/g, " ").trim()).join(": ");
      if (button.ariaLabel !== name) button.ariaLabel = name;
    }
    // What is said about a picture or a style is read out.
    for (const region of document.querySelectorAll("#info, #report")) Object.assign(region, {
      role: "status",
      ariaLive: region.querySelector(".passing") ? "off" : "polite", // nobody wants every per cent read out
    });
    // A button that was pressed by a key leaves the focus to the one that stops what began: it is of no use meanwhile.
    const stop = [...document.querySelectorAll(".stop")].find((one) => one.checkVisibility());
    if (pressed && document.activeElement === document.body) moveFocus(stop, { preventScroll: true });
  };
  let pressed = false; // was a button by a key, and nothing since
  for (const kind of ["keydown", "pointerdown", "click"])
    document.addEventListener(kind, ({ repeat, detail }) => (repeat || (pressed = kind === "click" && !detail)), true);
  const told = { childList: true, subtree: true, attributeFilter: ["class", "src"] };
  new MutationObserver(complete).observe(document.body, told);
  complete();
  document.querySelector(".gradio-container").append(make("p", { id: "announced", className: "sr-only", role: "status" }));
  document.addEventListener("keydown", (event) => { // leaves a list, which Gradio would open again
    if (event.key === "Tab" && event.target.role === "combobox") event.stopPropagation();
  }, true);
}

// A listener for what takes a while, called with what has to be chosen before. It sets three or more buttons: press,
// leave the queue, and `others` that are of no use meanwhile; in the browser, at once, as the queue may take its time.
function waiting(viewer, others) {
  return (...chosen) => {
    if (chosen.every(Boolean)) scrollOnPhone(document.querySelector(viewer));
    const hidden = Array(others).fill(update({ visible: false }));
    return [update({ interactive: false }), update({ visible: true }), ...hidden];
  };
}

// A field that leaves those of the `cards` whose title, artist and tags have every word in it; `words` has these by id.
function styleFinder(cards, words) {
  const label = say("Find a style by title, artist or tag");
  const field = make("input", { type: "search", placeholder: label, ariaLabel: label });
  const found = make("p", { role: "status" });
  const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
  field.oninput = () => {
    const wanted = plain(field.value).split(/\s+/);
    const lacks = (text) => wanted.some((word) => !text.includes(word));
    for (const card of document.querySelectorAll(`${cards} label`))
      card.toggleAttribute("data-unfound", lacks(plain(words[card.querySelector("input").value] ?? card.textContent)));
    const count = document.querySelectorAll(`${cards} label:not([data-unfound])`).length;
    found.textContent = field.value.trim() && `${say("Styles found:")} ${count}`;
  };
  document.addEventListener("settled", field.oninput); // somebody may type before the cards are there
  return make("div", { className: "finder" }, field, found);
}

async function share(files) { // returns what the button for it says then
  try {
    await navigator.share({ files });
  } catch (error) {
    if (error.name !== "AbortError") return announce(say("Could not share")); // an AbortError is a change of mind
  }
  return say("Share");
}

// Whether pages may read what they draw: Firefox gives stripes instead where it is told to resist fingerprinting.
function canReadCanvas() {
  const drawing = make("canvas").getContext("2d");
  drawing.fillRect(0, 0, 8, 8);
  return drawing.getImageData(0, 0, 8, 8).data.every((value, at) => Math.abs(value - (at % 4 === 3 ? 255 : 0)) < 9);
}

// A store of pictures in this browser: a function that returns what `work` on it gives once that is done, or nothing,
// where a page inside another one may store nothing.
function pictureStore(name, keyPath) {
  const opened = new Promise((done, fail) => {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => request.result.createObjectStore("pictures", { keyPath });
    request.onsuccess = () => done(request.result);
    request.onerror = () => fail(request.error);
  }).catch(() => null);
  return async (work) => {
    const database = await opened;
    return new Promise((done, fail) => {
      const request = work(database.transaction("pictures", "readwrite").objectStore("pictures"));
      request.onsuccess = () => done(request.result);
      request.onerror = fail;
    }).catch(() => {});
  };
}

async function putPicture(store, picture) { // with its `file`, or that one's bytes: Safari's private windows store no Blobs
  const stored = await store((pictures) => pictures.put(picture));
  if (stored) return;
  const file = await picture.file.arrayBuffer().catch(() => null); // it may be gone
  if (file) await store((pictures) => pictures.put({ ...picture, file }));
}
