"use strict";
// One image: its picture under a label map, the stages in the same place, and the times; entities.js has the rest.

const FAINT = 0.35; // share of the colour left to what a stage did not change; as in render/drawing.py
const ACCENT = [255, 225, 0];

// `layers` holds null for the bare image, the stages, and the result; `at` is the one shown, `title` its title, which
// stays from image to image. `kept` holds the data of the images that were opened last, `times` the seconds of all.
const viewer = {
  image: null, data: null, layers: [], at: 0, title: "Result", hovered: 0, selected: 0, kept: new Map(), times: {},
};

// An image's script calls this; `load` waits for it.
esam.image = (data) => viewer.kept.set(data.key, data);
esam.times = (times) => { viewer.times = times; };

viewer.open = (image) => {
  viewer.close();
  viewer.image = image;
  const { at, of } = neighbour(0);
  byId("name").textContent = image.name;
  byId("position").textContent = `${at + 1} of ${of}`;
  byId("previous").disabled = neighbour(-1).image === undefined;
  byId("next").disabled = neighbour(1).image === undefined;
  byId("name").focus({ preventScroll: true });
  byId("photo").src = `report/images/${image.key}.jpg`;
  byId("photo").alt = image.name;
  load(image, (data) => {
    if (viewer.image === image) show(data);
  });
};

viewer.close = () => {
  viewer.image = viewer.data = null;
  viewer.layers = [];
  viewer.hovered = viewer.selected = 0;
  byId("trouble").hidden = true;
  byId("viewer").setAttribute("data-state", "waiting");
  tip("");
};

// A script is the one way to read a file beside a page that lies on the disk.
function load(image, done) {
  if (viewer.kept.has(image.key)) return done(viewer.kept.get(image.key));
  const script = make("script", "", { src: `report/images/${image.key}.js` });
  const finish = () => {
    script.remove();
    const data = viewer.kept.get(image.key);
    if (data === undefined) {
      byId("trouble").textContent = `report/images/${image.key}.js cannot be read: is the folder report complete?`;
      byId("trouble").hidden = viewer.image !== image;
      return;
    }
    if (viewer.kept.size > 4) viewer.kept.delete(viewer.kept.keys().next().value);
    done(data);
  };
  script.addEventListener("load", finish);
  script.addEventListener("error", finish);
  document.head.append(script);
}

function show(data) {
  viewer.data = data;
  const final = { ...opened(data.map), title: "Result", counts: { entities: data.scores.length } };
  viewer.layers = [null, ...data.stages.map(opened), final];
  const same = viewer.layers.findIndex((layer) => titleOf(layer) === viewer.title);
  viewer.at = same < 0 ? viewer.layers.length - 1 : same;
  const picture = byId("picture");
  picture.style.aspectRatio = `${data.map.width} / ${data.map.height}`;
  picture.style.setProperty("--ratio", data.map.width / data.map.height);
  showStages();
  setLimits();
  listEntities();
  showTimes();
  chooseStage(viewer.at);
  byId("viewer").setAttribute("data-state", "ready");
}

// --- the stages, one over the other

function showStages() {
  const choices = viewer.layers.map((layer, i) => {
    const label = make("label");
    const input = make("input", "", { type: "radio", name: "stage", value: i });
    input.addEventListener("change", () => chooseStage(i));
    label.append(input, make("span", summaryOf(layer), { title: `key ${i}` }));
    return label;
  });
  byId("stages").replaceChildren(make("legend", "Show"), ...choices);
}

const titleOf = (layer) => (layer === null ? "Image" : layer.title);

function summaryOf(layer) {
  if (layer === null) return titleOf(layer);
  const counts = Object.entries(layer.counts).map(([word, n]) =>
    word === "entities" ? entityCount(n) : `${n} ${word}`);
  return `${layer.title}: ${counts.join(", ") || "no change"}`;
}

function chooseStage(i) {
  viewer.at = i;
  viewer.title = titleOf(viewer.layers[i]);
  byId("stages").querySelectorAll("input")[i].checked = true;
  repaint();
  showLegend();
}

const final = () => viewer.layers[viewer.layers.length - 1];
const changing = (layer) => Object.keys(layer.changed ?? {}).length > 0;

function repaint() {
  const layer = viewer.layers[viewer.at];
  const canvas = byId("tint");
  canvas.hidden = layer === null;
  if (layer !== null) {
    const share = byId("alpha").value / 100;
    if (layer === final()) paint(canvas, layer, (label) => (passes(label) ? share : null));
    else {
      const marked = new Set(Object.values(layer.changed).flat());
      paint(canvas, layer, (label) => (changing(layer) && !marked.has(label) ? share * FAINT : share));
    }
  }
  drawMarks();
  drawOutline();
}

// What the stage changed.
function drawMarks() {
  const layer = viewer.layers[viewer.at];
  const colours = new Map();
  for (const [word, labels] of Object.entries(layer?.changed ?? {}))
    for (const label of labels) colours.set(label, viewer.data.marks[word]);
  outline(byId("marks"), layer ?? final(), (label) => colours.get(label) ?? null);
}

// The entity that is hovered over and the one that is selected.
function drawOutline() {
  const chosen = (label) => (label === viewer.selected || label === viewer.hovered ? ACCENT : null);
  outline(byId("outline"), final(), chosen);
}

function showLegend() {
  const layer = viewer.layers[viewer.at];
  const parts = [];
  const add = (kind, words) => parts.push(make("span", "", { class: `key ${kind}`, "aria-hidden": "true" }), words, " ");
  if (layer !== null) {
    add("hatched", "no entity");
    if (layer.under !== null && layer.under.some((label) => label > 0)) add("striped", "two masks overlap");
    if (layer === final()) add("bare", "filtered out");
    if (changing(layer))
      for (const word of Object.keys(layer.changed)) {
        add("ring", `${word} in this step`);
        parts[parts.length - 3].style.borderColor = `rgb(${viewer.data.marks[word].join(",")})`;
      }
  }
  byId("legend").replaceChildren(...parts);
}

// --- the times

function showTimes() {
  const { total, ...stages } = viewer.times[viewer.data.key] ?? {};
  const spent = Object.entries(stages).filter(([, seconds]) => seconds > 0);
  const most = Math.max(1e-9, ...spent.map(([, seconds]) => seconds));
  byId("seconds").textContent = total === undefined ? "" : `${total.toFixed(2)} s`;
  facts(byId("timings"), spent.map(([name, seconds]) => [name, `${seconds.toFixed(3)} s`]));
  byId("timings").querySelectorAll("dd").forEach((bar, k) => bar.style.setProperty("--share", spent[k][1] / most));
  const { mmg, gallery: guides, usr } = viewer.data.prompts;
  byId("prompts").textContent = mmg ? `Points asked: ${mmg} at first, ${guides} for guidance, ${usr} where nothing was found` : "";
}

// --- pointer and keys

// What lies under the pointer, in words; "" for nothing.
function told(event) {
  const layer = viewer.layers[viewer.at];
  if (layer === null || layer === final()) {
    const { label } = labelAt(event, byId("picture"), final());
    if (label === 0 || !passes(label)) return "";
    return `#${label}, score ${viewer.data.scores[label - 1].toFixed(3)}, ${percent(share(label))}`;
  }
  const { label, under } = labelAt(event, byId("picture"), layer);
  if (label === 0) return "";
  const what = Object.entries(layer.changed).filter(([, labels]) => labels.includes(label)).map(([word]) => `, ${word}`);
  return `Mask ${label}${under ? ` over mask ${under}` : ""}${what.join("")}`;
}

function entityAt(event) {
  const { label } = labelAt(event, byId("picture"), final());
  return label && passes(label) ? label : 0;
}

byId("picture").addEventListener("pointermove", (event) => {
  if (viewer.data === null || event.pointerType !== "mouse") return;
  const layer = viewer.layers[viewer.at];
  hover(layer === null || layer === final() ? entityAt(event) : 0);
  tip(told(event), event);
});
byId("picture").addEventListener("pointerleave", () => {
  tip("");
  if (viewer.data !== null) hover(0);
});
byId("picture").addEventListener("click", (event) => {
  if (viewer.data === null) return;
  const label = entityAt(event);
  select(label === viewer.selected ? 0 : label);
  tip(told(event), event); // a finger cannot hover
  if (viewer.selected) scrollRow(byId("entities"), byId("entities").children[label - 1]);
});
window.addEventListener("scroll", () => tip(""));
window.addEventListener("resize", () => {
  if (viewer.data !== null) repaint();
});

// Bring a row of a list into its view, and leave the page where it is.
function scrollRow(list, row) {
  const [outer, inner] = [list.getBoundingClientRect(), row.getBoundingClientRect()];
  if (inner.top < outer.top) list.scrollTop -= outer.top - inner.top;
  else if (inner.bottom > outer.bottom) list.scrollTop += inner.bottom - outer.bottom;
}

function go(step) {
  const { image } = neighbour(step);
  if (image !== undefined) location.replace(`#${image.key}`);
}
const leave = () => location.replace("#");

viewer.keys = (event) => {
  if (event.key === "Escape") return viewer.selected ? select(0) : leave();
  if (inField(event) && event.target.type !== "radio") return;
  if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
    go(event.key === "ArrowLeft" ? -1 : 1);
    event.preventDefault();
  } else if (viewer.data !== null && /^[0-9]$/.test(event.key) && event.key < viewer.layers.length)
    chooseStage(Number(event.key));
};

byId("back").addEventListener("click", leave);
byId("previous").addEventListener("click", () => go(-1));
byId("next").addEventListener("click", () => go(1));
