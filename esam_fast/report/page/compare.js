"use strict";
// Two results on one image: a divider swiped over the picture, a on its left and b on its right, and what changed.

const ACCENT = [255, 225, 0];
const WORDS = {
  split: "split in b",
  merged: "merged in b",
  resized: "grew or shrank",
  came: "came: only in b",
  went: "went: only in a",
  kept: "kept",
};

const view = { sides: [], chosen: { a: [], b: [] } };

esam.compare = (data) => {
  view.sides = data.sides.map(opened);
  document.title = `${data.sides[0].name} and ${data.sides[1].name}`;
  byId("summary").textContent = data.sides.map((side, k) => `${"ab"[k]}: ${entityCount(side.areas.length)}`).join(", ");
  const { width, height } = view.sides[0];
  byId("picture").style.aspectRatio = `${width} / ${height}`;
  byId("picture").style.setProperty("--ratio", width / height);
  view.sides.forEach((side, k) => (byId(`name-${"ab"[k]}`).textContent = `${"ab"[k]}: ${side.name}`));
  byId("legend").replaceChildren(make("span", "", { class: "key hatched", "aria-hidden": "true" }), "no entity");
  byId("changes").replaceChildren(...Object.keys(WORDS).map((kind) => group(kind, data.changes[kind])));
  swipe();
  repaint();
  document.body.setAttribute("data-state", "ready");
};

function repaint() {
  view.sides.forEach((side, k) => paint(canvasOf(k, "tint"), side, () => 0.5));
  outlineBoth(view.chosen);
}

const canvasOf = (k, name) => byId(`side-${"ab"[k]}`).querySelector(`.${name}`);

function group(kind, entries) {
  const box = make("details", "", { class: `group ${kind}` });
  box.open = kind !== "kept" && entries.length > 0;
  box.append(make("summary", `${entries.length} ${WORDS[kind]}`));
  const list = make("ol", "", { class: "rows" });
  for (const entry of entries) {
    const button = make("button", "", { type: "button", "aria-pressed": "false" });
    button.append(...marks(0, entry.a), ...(entry.a.length && entry.b.length ? [" → "] : []), ...marks(1, entry.b));
    if (entry.iou !== undefined) button.append(make("span", `IoU ${entry.iou.toFixed(3)}`, { class: "end" }));
    button.addEventListener("click", () => {
      const again = button.getAttribute("aria-pressed") === "true";
      choose(again ? { a: [], b: [] } : entry);
      if (!again) button.setAttribute("aria-pressed", "true");
    });
    button.addEventListener("pointerenter", () => outlineBoth(entry));
    button.addEventListener("pointerleave", () => outlineBoth(view.chosen));
    const item = make("li");
    item.append(button);
    list.append(item);
  }
  box.append(list);
  return box;
}

const marks = (k, labels) => labels.flatMap((label) => [swatch(view.sides[k].colours[label]), `${"ab"[k]}${label} `]);

function choose(entry) {
  view.chosen = entry;
  for (const button of byId("changes").querySelectorAll("button")) button.setAttribute("aria-pressed", "false");
  outlineBoth(entry);
}

function outlineBoth(entry) {
  view.sides.forEach((side, k) => {
    const labels = new Set(entry["ab"[k]]);
    outline(canvasOf(k, "outline"), side, (label) => (labels.has(label) ? ACCENT : null));
  });
}

function swipe() {
  const at = Number(byId("swipe").value);
  byId("side-a").style.clipPath = `inset(0 ${100 - at}% 0 0)`;
  byId("side-b").style.clipPath = `inset(0 0 0 ${at}%)`;
  byId("divider").style.left = `${at}%`;
}

function swipeTo(event) {
  const box = byId("picture").getBoundingClientRect();
  byId("swipe").value = (100 * (event.clientX - box.left)) / box.width;
  swipe();
}

byId("swipe").addEventListener("input", swipe);
byId("picture").addEventListener("pointerdown", (event) => {
  byId("picture").setPointerCapture(event.pointerId);
  swipeTo(event);
});
byId("picture").addEventListener("pointermove", (event) => {
  if (view.sides.length === 0) return;
  if (event.buttons) swipeTo(event);
  if (event.pointerType !== "mouse") return;
  const box = byId("picture").getBoundingClientRect();
  const k = event.clientX - box.left < (box.width * byId("swipe").value) / 100 ? 0 : 1;
  const { label } = labelAt(event, byId("picture"), view.sides[k]);
  tip(label ? `${"ab"[k]}${label}, ${view.sides[k].areas[label - 1].toLocaleString("en")} px` : "", event);
});
byId("picture").addEventListener("pointerleave", () => tip(""));
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") choose({ a: [], b: [] });
  if (inField(event) || event.altKey || event.ctrlKey || event.metaKey) return;
  const step = { ArrowLeft: -2, ArrowRight: 2 }[event.key];
  if (step === undefined) return;
  byId("swipe").value = Number(byId("swipe").value) + step;
  swipe();
  event.preventDefault();
});
window.addEventListener("resize", repaint);
