// What the events of the tab Repaint do in the browser alone (ui/repaint.py).

function showStyles() { // styles and picture fit together, unless a phone lies on its side, or the page is zoomed
  const low = innerHeight <= 500, shown = document.querySelector(low ? "#stage" : "#find, #styles");
  if (low || innerWidth <= 768) shown.scrollIntoView();
}

// A link, or a picture made here, may choose a style that is out of sight: in a row on a phone, else in a list.
const showCard = () => setTimeout(() => {
  const card = document.querySelector("#styles label:has(:checked)"), list = card?.parentElement;
  const [seen, frame] = [card, list].map((element) => element?.getBoundingClientRect());
  if (card && (seen.left < frame.left || seen.right > frame.right)) list.scrollLeft += seen.left - frame.left - 3;
  if (card && (seen.top < frame.top || seen.bottom > frame.bottom)) list.scrollTop += seen.top - frame.top - 3;
}, 100);
document.addEventListener("settled", showCard); // WebKit may have snapped to any card as the style sheet came

function showShare(pictures) { // no button where the browser has no dialog for it, or a page around this one forbids it
  const files = [new File([""], "picture.jpg", { type: "image/jpeg" })];
  return update({ visible: Boolean(pictures?.[1] && navigator.canShare?.({ files })) });
}

async function shareShown([, picture]) {
  const blob = await (await fetch(picture.url)).blob();
  return share([new File([blob], fileName(picture.url), { type: blob.type })]);
}

// A style over itself is that style.
const showMix = (style, second) => update({ visible: Boolean(second) && second !== style });

function showMask(style, second, pictures) { // see ui/mask.js
  const detail = { second: second !== style && second, pictures: (pictures ?? []).map((picture) => picture?.url) };
  document.dispatchEvent(new CustomEvent("painted", { detail }));
}

// What is typed in a list that was clicked, on any tab, replaces what was chosen, as after Tab, and is not added to it.
addEventListener("click", ({ target }) => { if (target.role === "combobox") target.select(); });
