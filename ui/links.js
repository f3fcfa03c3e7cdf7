// Links to the page as it is, and what the browser remembers of its settings: the events of ui/links.py.

// A listener that copies a link to a tab with the values it is called with, by these names, and returns what the button
// says then. `space` is where the page is shown in a frame, if it is a Space.
function copyLink(tab, names, space) {
  return async (...values) => {
    const all = names.map((name, place) => [name, values[place]]);
    const settings = Object.fromEntries(all.filter(([, value]) => value !== null)); // a field may be empty
    if (!settings.second) delete settings.mask; // which says where that is seen
    const own = settings.style?.startsWith("own:"); // which nobody else can ask for
    if (own) delete settings.style;
    const query = new URLSearchParams({ tab, ...settings });
    const framed = parent !== window && space; // where the address is that people see
    const link = `${framed || location.origin + location.pathname}?${query}`;
    try {
      await navigator.clipboard.writeText(link);
    } catch { // a frame may lack the permission, and an address without TLS the clipboard
      const text = make("textarea", { value: link });
      document.body.appendChild(text).select();
      const copied = document.execCommand("copy");
      text.remove();
      if (!copied) return announce(say("Could not copy"));
    }
    return announce(own ? say("Copied, without your style") : say("Link copied"));
  };
}

const labelLinkAgain = () => new Promise((done) => setTimeout(done, 2500, say("Link to settings")));

function within(ends, values) { // as in ui/sliders.py
  return values.map((value, place) => {
    if (!ends[place]) return value;
    const [least, most, step] = ends[place];
    return Math.min(most, Math.max(least, step === 1 ? Math.round(value) : value));
  });
}

// A listener that turns the values of a tab's settings, by these names, into what the browser remembers of it.
//
// They are removed from the address, which would override them when the page is loaded again. So would that of a page
// around this one, a Space's, which cannot be changed from here: what it said is remembered.
function rememberSettings(tab, names, ends) {
  return (...values) => {
    const address = new URL(location);
    if ((address.searchParams.get("tab") ?? "repaint") === tab)
      names.forEach((name) => address.searchParams.delete(name));
    // The tab that was left is found again, unless something is said of this one.
    if ([...address.searchParams].length === 1) address.searchParams.delete("tab");
    if (address.href !== location.href) {
      if (parent !== window) sessionStorage.edited = location.search;
      history.replaceState(history.state, "", address);
    }
    const all = within(ends, values).map((value, place) => [names[place], value]).filter(([, value]) => value !== null);
    const settings = all.map(([name, value]) => [name, String(value)]);
    return Object.fromEntries(settings.filter(([, words]) => !words.startsWith("own:")));
  };
}

function markEdited(remembered) { // tells `first_settings` that what the browser remembers is newer than its address
  return sessionStorage.edited === location.search ? { ...remembered, edited: true } : remembered;
}

// A listener that passes on no picture that is in its place again (ui/drops.js): its recipe was followed before.
function unlessAgain(place) {
  return (picture, ...others) => ["again" in document.querySelector(place).dataset ? null : picture, ...others];
}
