// What Gradio's slider between before and after lacks: the keyboard, scrolling with one finger, and a mark on a picture
// while the next one is on its way. Gradio runs this with `element` (a box on the stage).
const stage = element.closest("#stage"), HANDLE = "[data-testid=slider]", STEP = 0.05;

// Gradio captures every touch of its pictures: one finger is to scroll the page, unless they are zoomed.
stage.addEventListener("touchstart", (event) => {
  const { target, touches } = event;
  const scrolls = touches.length === 1 && target.matches("img");
  if (scrolls && new DOMMatrix(getComputedStyle(target).transform).a === 1) event.stopPropagation();
}, { capture: true, passive: true });

function lines(handle) { // where the line between the two is, and where the picture, which may be zoomed, begins and ends
  const image = stage.querySelector("img"), frame = image.getBoundingClientRect(), box = handle.getBoundingClientRect();
  const scale = Math.min(frame.width / image.naturalWidth, frame.height / image.naturalHeight);
  const middle = frame.left + frame.width / 2, half = (scale * image.naturalWidth) / 2;
  return { at: box.left + box.width / 2, low: middle - half, high: middle + half };
}

function tell(handle) {
  const { at, low, high } = lines(handle);
  handle.ariaValueNow = Math.min(100, Math.max(0, Math.round((100 * (at - low)) / (high - low))));
}

new MutationObserver(() => {
  const handle = stage.querySelector(HANDLE);
  if (!handle || handle.tabIndex === 0) return;
  Object.assign(handle, { tabIndex: 0, role: "slider", ariaLabel: say("Before and after"), ariaValueNow: 50 });
  handle.onfocus = () => tell(handle);
}).observe(stage, { childList: true, subtree: true });

// On a slow network, the words are there before their picture.
new MutationObserver((changes) => changes.forEach(({ target }) => {
  if (target.tagName !== "IMG" || target.complete) return;
  target.classList.add("coming");
  target.decode().catch(() => {}).then(() => target.classList.toggle("coming", !target.complete));
})).observe(stage, { attributes: true, attributeFilter: ["src"], subtree: true });

stage.addEventListener("keydown", (event) => {
  const handle = event.target.closest(HANDLE);
  if (!handle || event.ctrlKey || event.altKey || event.metaKey) return;
  const { at, low, high } = lines(handle), step = STEP * (high - low);
  const to = { ArrowLeft: at - step, ArrowRight: at + step, Home: low, End: high }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  const drag = (target, type, x) => // it knows only a mouse
    target.dispatchEvent(new MouseEvent(type, { clientX: x, view: window, bubbles: true, cancelable: true }));
  drag(handle, "mousedown", at);
  drag(window, "mousemove", Math.min(high, Math.max(low, to)));
  drag(window, "mouseup", to);
  requestAnimationFrame(() => tell(handle));
});
