"use strict";
// One image: its picture under a label map, the stages in the same place, and the list of its entities.

const FAINT = 0.35; // share of the colour left to what a stage did not change; as in render/drawing.py
const ACCENT = [255, 225, 0];

// `layers` holds null for the bare image, the stages, and the result; `at` is the one shown, `title` its title, which
// stays from image to image. `kept` holds the data of the images that were opened last.
const viewer = {
  image: null, data: null, layers: [], at: 0, title: "Result", hovered: 0, selected: 0, kept: new Map(),
};

// An image's script calls this; `load` waits for it.
esam.image = (data) => viewer.kept.set(data.key, data);

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
  drawOutline();
}

// What the stage changed, or the entity that is hovered over and the one that is selected.
function drawOutline() {
  const layer = viewer.layers[viewer.at];
  const chosen = (label) => (label === viewer.selected || label === viewer.hovered ? ACCENT : null);
  if (layer !== null && changing(layer) && viewer.selected === 0) {
    const colours = new Map();
    for (const [word, labels] of Object.entries(layer.changed))
      for (const label of labels) colours.set(label, viewer.data.marks[word]);
    outline(byId("outline"), layer, (label) => colours.get(label) ?? null);
  } else outline(byId("outline"), final(), chosen);
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

// --- filters

function setLimits() {
  const { scores } = viewer.data;
  const least = Math.floor(100 * Math.min(1, ...scores));
  byId("score").min = least;
  byId("score").max = Math.ceil(100 * Math.max(0, ...scores)) || 100;
  byId("score").value = least;
  byId("area").value = 0;
}

// The area slider is logarithmic: from the smallest entity to the largest.
function areaLimit() {
  const { areas } = viewer.data;
  const at = Number(byId("area").value);
  if (at === 0 || areas.length === 0) return 0;
  const [least, most] = [Math.min(...areas), Math.max(...areas)];
  return Math.min(most, Math.round(least * (most / least) ** (at / 100)));
}

function passes(label) {
  const { areas, scores } = viewer.data;
  const least = byId("score").value === byId("score").min ? -Infinity : Number(byId("score").value) / 100;
  return areas[label - 1] >= areaLimit() && scores[label - 1] >= least;
}

function filter() {
  if (viewer.at !== viewer.layers.length - 1) chooseStage(viewer.layers.length - 1);
  else repaint();
  showFiltered();
}

function showFiltered() {
  byId("area-value").textContent = `${areaLimit().toLocaleString("en")} px`;
  byId("score-value").textContent = (Number(byId("score").value) / 100).toFixed(2);
  byId("alpha-value").textContent = `${byId("alpha").value} %`;
  const rows = [...byId("entities").children];
  rows.forEach((row) => (row.hidden = !passes(Number(row.dataset.label))));
  const shown = rows.filter((row) => !row.hidden).length;
  byId("shown").textContent = shown === rows.length ? `${shown}` : `${shown} of ${rows.length}`;
  if (viewer.selected && !passes(viewer.selected)) select(0);
}

// --- entities

const share = (label) => (100 * viewer.data.areas[label - 1]) / (viewer.data.width * viewer.data.height);
const percent = (value) => `${value < 0.1 ? value.toFixed(3) : value.toFixed(1)} %`;

function listEntities() {
  const { scores, map } = viewer.data;
  const rows = scores.map((score, k) => {
    const row = make("li", "", { "data-label": k + 1 });
    const button = make("button", "", { type: "button", "aria-pressed": "false" });
    const name = make("span", `#${k + 1}`, { class: "number" });
    button.append(swatch(map.colours[k + 1]), name, make("span", score.toFixed(3)), make("span", percent(share(k + 1))));
    button.setAttribute("aria-label", `Entity ${k + 1}, score ${score.toFixed(3)}, area ${percent(share(k + 1))}`);
    button.addEventListener("click", () => select(viewer.selected === k + 1 ? 0 : k + 1));
    button.addEventListener("pointerenter", () => hover(k + 1));
    button.addEventListener("pointerleave", () => hover(0));
    row.append(button);
    return row;
  });
  byId("entities").replaceChildren(...rows);
  select(0);
  showFiltered();
}

function hover(label) {
  if (label === viewer.hovered) return;
  viewer.hovered = label;
  drawOutline();
}

function select(label) {
  viewer.selected = label;
  viewer.hovered = 0;
  for (const row of byId("entities").children)
    row.firstChild.setAttribute("aria-pressed", Number(row.dataset.label) === label);
  byId("entity").hidden = label === 0;
  if (label !== 0) {
    const { areas, scores, stability, boxes } = viewer.data;
    const [x0, y0, x1, y1] = boxes[label - 1];
    byId("entity-name").textContent = `Entity ${label}`;
    facts(byId("entity-facts"), [
      ["score", scores[label - 1].toFixed(4)],
      ["stability", stability[label - 1].toFixed(4)],
      ["area", `${areas[label - 1].toLocaleString("en")} px, ${percent(share(label))}`],
      ["box", `${x1 - x0} x ${y1 - y0} px at ${x0}, ${y0}`],
    ]);
    cutOut(label);
  }
  drawOutline();
}

// The entity alone: its mask, and the picture drawn only where the mask is.
function cutOut(label) {
  const canvas = byId("cutout");
  const { width, height, labels } = final();
  const scale = width / viewer.data.width;
  const box = viewer.data.boxes[label - 1].map((edge) => edge * scale);
  const [x0, y0] = [Math.floor(box[0]), Math.floor(box[1])];
  const [x1, y1] = [Math.min(width, Math.ceil(box[2])), Math.min(height, Math.ceil(box[3]))];
  canvas.width = Math.max(1, x1 - x0);
  canvas.height = Math.max(1, y1 - y0);
  canvas.setAttribute("aria-label", `Cut-out of entity ${label}`);
  const context = canvas.getContext("2d");
  const mask = context.createImageData(canvas.width, canvas.height);
  const out = new Uint32Array(mask.data.buffer);
  for (let y = y0; y < y1; y++)
    for (let x = x0; x < x1; x++) if (labels[y * width + x] === label) out[(y - y0) * canvas.width + x - x0] = 0xff000000;
  context.putImageData(mask, 0, 0);
  context.globalCompositeOperation = "source-in";
  const draw = () => {
    if (viewer.selected === label) context.drawImage(byId("photo"), -x0, -y0, width, height);
  };
  if (byId("photo").complete) draw();
  else byId("photo").addEventListener("load", draw, { once: true });
}

function showTimes() {
  const { total, ...stages } = viewer.data.timings;
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
byId("close").addEventListener("click", () => select(0));
for (const id of ["area", "score"]) byId(id).addEventListener("input", filter);
byId("alpha").addEventListener("input", () => {
  repaint();
  showFiltered();
});
