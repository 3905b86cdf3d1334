"use strict";
// What both pages share: labels unpacked, painted and outlined. No picture is ever read back: a page opened from the
// disk may not, so labels come as scripts.

const esam = {}; // the functions that data scripts call

const byId = (id) => document.getElementById(id);

function make(tag, text = "", attributes = {}) {
  const element = document.createElement(tag);
  element.textContent = text; // never HTML: names of files come from strangers
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

const count = (n, one, many) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
const entityCount = (n) => count(n, "entity", "entities");

// A label map from base64 of varints: code, pixels, code, pixels ...; a code of 0 repeats the labels of the row above,
// others are a label plus 1 (packing.py).
function unpack(text, width, height) {
  const bytes = atob(text);
  const labels = new Int32Array(width * height);
  let at = 0;
  const number = () => {
    let value = 0;
    for (let unit = 1; ; unit *= 128) {
      const byte = bytes.charCodeAt(at++);
      value += (byte & 127) * unit;
      if (byte < 128) return value;
    }
  };
  for (let i = 0; at < bytes.length; ) {
    const code = number();
    for (const end = i + number(); i < end; i++) labels[i] = code === 0 ? labels[i - width] : code - 1;
  }
  return labels;
}

// A layer with its label maps unpacked.
function opened(layer) {
  const { width, height } = layer;
  const under = layer.under === undefined ? null : unpack(layer.under, width, height);
  return { ...layer, labels: unpack(layer.labels, width, height), under };
}

const rgba = (r, g, b, a) => ((a << 24) | (b << 16) | (g << 8) | r) >>> 0; // as the bytes of a canvas lie
const WHITE = rgba(255, 255, 255, 255);
const CASING = rgba(0, 0, 0, 190);
const stripeWidth = (layer) => 4 * Math.max(1, Math.round(Math.max(layer.width, layer.height) / 700));

// Layer pixels to a pixel of the screen: lines are that many times as wide, or they would break when shrunk.
function layerPixels(canvas, layer) {
  const shown = canvas.closest(".picture").clientWidth * window.devicePixelRatio;
  return shown > 0 ? layer.width / shown : 1;
}

// Tint a layer onto a canvas: colours, stripes where masks overlap, hatching where there is no entity, borders.
// `alpha(label)` is the share of the label's colour, 0 to 1; null leaves the label's pixels bare.
function paint(canvas, layer, alpha) {
  const { width, height, labels, under } = layer;
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const picture = context.createImageData(width, height);
  const out = new Uint32Array(picture.data.buffer);
  const table = layer.colours.map(([r, g, b], label) => {
    const share = label === 0 ? null : alpha(label);
    return share === null ? 0 : rgba(r, g, b, Math.round(255 * share));
  });
  const hidden = layer.colours.map((_, label) => label > 0 && alpha(label) === null);
  const hatch = [rgba(18, 18, 18, 190), rgba(120, 120, 120, 190)];
  const step = stripeWidth(layer);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      const stripe = (((x + y) / step) | 0) & 1;
      const label = labels[i];
      if (label === 0) out[i] = hatch[stripe];
      else out[i] = table[under !== null && under[i] > 0 && stripe ? under[i] : label];
    }
  }
  const differ = (map, i, j) => map[i] !== map[j] && !(hidden[map[i]] && hidden[map[j]]);
  const apart = (i, j) => differ(labels, i, j) || (under !== null && differ(under, i, j));
  const line = new Uint8Array(width * height);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if ((x + 1 < width && apart(i, i + 1)) || (y + 1 < height && apart(i, i + width))) line[i] = 1;
    }
  }
  const wide = Math.max(1, Math.round(layerPixels(canvas, layer)));
  const stroke = (i, colour, from, to) => {
    const x = i % width, y = (i / width) | 0;
    for (let v = Math.max(0, y + from); v <= Math.min(height - 1, y + to); v++)
      out.fill(colour, v * width + Math.max(0, x + from), v * width + Math.min(width, x + to + 1));
  };
  for (let i = 0; i < line.length; i++) if (line[i]) stroke(i, CASING, -wide, 2 * wide - 1);
  for (let i = 0; i < line.length; i++) if (line[i]) stroke(i, WHITE, 0, wide - 1);
  context.putImageData(picture, 0, 0);
}

// Outline labels boldly on a canvas, within their borders: `colourOf(label)` is [r, g, b], or null for none.
function outline(canvas, layer, colourOf) {
  const { width, height, labels } = layer;
  canvas.width = width; // also clears it
  canvas.height = height;
  const colours = layer.colours.map((_, label) => {
    const colour = label > 0 ? colourOf(label) : null;
    return colour === null ? 0 : rgba(...colour, 255);
  });
  if (!colours.some((colour) => colour !== 0)) return;
  const context = canvas.getContext("2d");
  const picture = context.createImageData(width, height);
  const out = new Uint32Array(picture.data.buffer);
  const screen = layerPixels(canvas, layer);
  const reach = Math.max(2, 3.5 * screen);
  const around = [[1, 0], [-1, 0], [0, 1], [0, -1], [0.7, 0.7], [-0.7, 0.7], [0.7, -0.7], [-0.7, -0.7]];
  const near = around.map(([x, y]) => [Math.round(x * reach), Math.round(y * reach)]);
  const far = around.map(([x, y]) => [Math.round(x * (reach + 1.5 * screen)), Math.round(y * (reach + 1.5 * screen))]);
  const leaves = (x, y, label, steps) => {
    for (const [dx, dy] of steps) {
      const u = x + dx, v = y + dy;
      if (u < 0 || v < 0 || u >= width || v >= height || labels[v * width + u] !== label) return true;
    }
    return false;
  };
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      const label = labels[i];
      if (colours[label] === 0) continue;
      if (!leaves(x, y, label, far)) continue;
      out[i] = leaves(x, y, label, near) ? colours[label] : CASING;
    }
  }
  context.putImageData(picture, 0, 0);
}

// The label at a pointer's place over an element that shows the layer, and the place in layer pixels.
function labelAt(event, element, layer) {
  const box = element.getBoundingClientRect();
  const x = Math.floor(((event.clientX - box.left) / box.width) * layer.width);
  const y = Math.floor(((event.clientY - box.top) / box.height) * layer.height);
  if (x < 0 || y < 0 || x >= layer.width || y >= layer.height) return { label: 0, under: 0 };
  const i = y * layer.width + x;
  return { label: layer.labels[i], under: layer.under === null ? 0 : layer.under[i] };
}

// A short text beside the pointer; none hides it.
function tip(text, event) {
  const box = byId("tip");
  box.hidden = text === "";
  if (text === "") return;
  box.textContent = text;
  const left = Math.min(event.clientX + 14, window.innerWidth - box.offsetWidth - 8);
  const above = event.clientY + 18 + box.offsetHeight > window.innerHeight;
  box.style.left = `${Math.max(4, left)}px`;
  box.style.top = `${above ? event.clientY - box.offsetHeight - 10 : event.clientY + 18}px`;
}

const inField = (event) => event.target.matches("input, select, textarea");

// Fill a <dl> with pairs of texts.
function facts(list, pairs) {
  list.replaceChildren(...pairs.flatMap(([term, value]) => [make("dt", term), make("dd", value)]));
}

function swatch(colour) {
  const square = make("span", "", { class: "swatch", "aria-hidden": "true" });
  square.style.background = `rgb(${colour.join(",")})`;
  return square;
}
