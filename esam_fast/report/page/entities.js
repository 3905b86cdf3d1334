"use strict";
// The entities of the opened image: filters, their list, and the one that is selected with its cut-out.

// --- filters

function setLimits() {
  const { scores } = viewer.data;
  const least = scores.length ? Math.floor(100 * Math.min(1, ...scores)) : 0;
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

byId("close").addEventListener("click", () => select(0));
for (const id of ["area", "score"]) byId(id).addEventListener("input", filter);
byId("alpha").addEventListener("input", () => {
  repaint();
  showFiltered();
});
