"use strict";
// The gallery: a card for each image, found by name and sorted. Thumbnails load when they come into view, an image's
// labels when it is opened.

const gallery = { images: [], shown: [], opened: null };

esam.index = (run) => {
  gallery.images = run.images;
  document.title = run.title;
  byId("title").textContent = run.title;
  const total = run.images.reduce((sum, image) => sum + image.count, 0);
  byId("summary").textContent = `${count(run.images.length, "image", "images")}, ${entityCount(total)}`;
  const about = Object.entries(run.about);
  byId("about").hidden = about.length === 0;
  const plain = (value) => (typeof value === "string" ? value : JSON.stringify(value));
  facts(byId("about").querySelector("dl"), about.map(([name, value]) => [name, plain(value)]));
  showCards();
  route();
};

function showCards() {
  const part = byId("find").value.trim().toLowerCase();
  gallery.shown = gallery.images.filter((image) => image.name.toLowerCase().includes(part));
  const order = byId("sort").value;
  if (order !== "name") gallery.shown.sort((a, b) => (order === "most" ? b.count - a.count : a.count - b.count));
  byId("found").textContent = part ? `${gallery.shown.length} of ${gallery.images.length}` : "";
  byId("cards").replaceChildren(...gallery.shown.map(card));
}

function card(image) {
  const link = make("a", "", { href: `#${image.key}` });
  const size = { width: image.thumb[0], height: image.thumb[1] };
  link.append(
    make("img", "", { loading: "lazy", alt: "", src: `report/images/${image.key}_thumb.jpg`, ...size }),
    make("span", image.name, { class: "name" }),
    make("span", entityCount(image.count), { class: "count" }),
  );
  const item = make("li");
  item.append(link);
  return item;
}

// The address after # says what is open, so that the browser's own Back works.
function route() {
  const key = location.hash.slice(1);
  const image = gallery.images.find((one) => one.key === key);
  byId("gallery").hidden = image !== undefined;
  byId("viewer").hidden = image === undefined;
  if (image !== undefined) {
    gallery.opened = key;
    viewer.open(image);
  } else {
    viewer.close();
    const left = gallery.opened && document.querySelector(`#cards a[href="#${gallery.opened}"]`);
    gallery.opened = null;
    if (left) {
      left.focus({ preventScroll: true });
      left.scrollIntoView({ block: "nearest" });
    }
  }
}

// The image `step` places away from the opened one in the gallery's order, if there is one.
function neighbour(step) {
  const list = gallery.shown.some((image) => image.key === gallery.opened) ? gallery.shown : gallery.images;
  const at = list.findIndex((image) => image.key === gallery.opened);
  return { image: list[at + step], at, of: list.length };
}

function galleryKeys(event) {
  const links = [...byId("cards").querySelectorAll("a")];
  const at = links.indexOf(document.activeElement);
  const columns = getComputedStyle(byId("cards")).gridTemplateColumns.split(" ").length;
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
  if (step === undefined || inField(event) || links.length === 0) return;
  if (at < 0 && Math.abs(step) > 1) return; // up and down scroll until a card has the focus
  const next = links[Math.min(links.length - 1, Math.max(0, at < 0 ? 0 : at + step))];
  next.focus();
  event.preventDefault();
}

byId("find").addEventListener("input", showCards);
byId("sort").addEventListener("change", showCards);
window.addEventListener("hashchange", route);
document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  if (gallery.opened === null) galleryKeys(event);
  else viewer.keys(event);
});
