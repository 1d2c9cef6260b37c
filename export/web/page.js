// Wires the page: images in, mask, legend and files out.

import { Legend, percent } from "./legend.js";
import { drawUpright } from "./orientation.js";
import { decode, readImage } from "./image.js";
import { encodeMask } from "./png.js";
import { Segmenter } from "./segmenter.js";

const $ = (id) => document.getElementById(id);
const FAINT = 40;
const LIMITS = [100_000, 250_000, 500_000, 1_000_000, 2_000_000, 4_000_000, 8_000_000];

let about, segmenter, legend, file, shown;
// Images come faster than masks: only what belongs to the newest one is shown.
let newest = 0;

$("unserved").remove();
listen();
const described = describe();
described.then(load).catch((error) => fail(error.message));

async function describe() {
  const response = await fetch("segmenter.json", { cache: "no-cache" });
  if (!response.ok) throw new Error(`segmenter.json: the server returned status ${response.status}.`);
  about = await response.json();
  document.title = $("title").textContent = about.title;
  listFacts();
  listLimits();
  legend = new Legend(about, paint);
  segmenter = new Segmenter(about, showProgress);
}

async function load() {
  const { version, threads } = await segmenter.load();
  const provider = `ONNX Runtime Web ${version}, WebAssembly, ${threads === 1 ? "1 thread" : `${threads} threads`}`;
  if (!newest) idle(`Ready: ${provider}.`);
  return provider;
}

function listen() {
  $("file").addEventListener("change", () => {
    take([...$("file").files]);
    // The same file chosen again is a change too.
    $("file").value = "";
  });
  document.addEventListener("paste", (event) => event.clipboardData.files.length && take([...event.clipboardData.files]));
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dragging");
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget ?? document.body.classList.remove("dragging"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dragging");
    if (event.dataTransfer.files.length) take([...event.dataTransfer.files]);
    else showError("Only files can be dropped: save the image first.");
  });
  $("stop").addEventListener("click", stop);
  $("limit").addEventListener("change", () => {
    about.max_pixels = Number($("limit").value);
    if (file) take([file]);
  });
  $("opacity").addEventListener("input", showOpacity);
  $("save-mask").addEventListener("click", () => save("mask", (result) => encodeMask(result, about.palette)));
  $("save-overlay").addEventListener("click", () => save("overlay", encodeOverlay));
  $("stage").addEventListener("pointermove", pointAt);
  $("stage").addEventListener("pointerleave", () => ($("pointer").textContent = ""));
  showOpacity();
}

async function take([first, ...more]) {
  if (!first) return;
  const turn = ++newest;
  segmenter?.stop();
  file = first;
  clear();
  try {
    await described;
    const image = await readImage(first, about);
    if (turn !== newest) return;
    showImage(image);
    if (more.length) image.notes.push(`Only the first of ${more.length + 1} files is shown, ${first.name}.`);
    showNotes(image.notes);
    const provider = await load();
    if (turn !== newest) return;
    working(`Segmenting ${image.width} × ${image.height} pixels`);
    $("stop").hidden = false;
    const made = await segmenter.run(image);
    if (turn !== newest) return;
    showMask(image, made);
    idle(`${image.width} × ${image.height} pixels in ${made.seconds.toFixed(2)} s: ${provider}.`);
  } catch (error) {
    if (turn === newest) fail(error.message);
  }
}

function showImage({ image, width, height, fullWidth, fullHeight }) {
  document.body.classList.add("has-image");
  $("drop").querySelector("strong").textContent = "Choose another image";
  $("stage").hidden = false;
  $("stage").style.setProperty("--ratio", fullWidth / fullHeight);
  for (const canvas of [$("image"), $("mask")]) Object.assign(canvas, { width, height });
  $("image").getContext("2d").putImageData(image, 0, 0);
}

function showMask({ width, height, fullWidth, fullHeight }, { classes, probabilities }) {
  shown = { classes, probabilities, width, height, fullWidth, fullHeight };
  const counts = new Array(about.class_names.length).fill(0);
  for (const number of classes) counts[number]++;
  legend.showShares(counts);
  $("controls").disabled = false;
  paint();
  // For scripts of pages that embed this one.
  window.segmenterResult = shown;
}

function paint() {
  if (!shown) return;
  const context = $("mask").getContext("2d");
  context.putImageData(color(shown), 0, 0);
}

function color({ classes, width, height }) {
  const image = new ImageData(width, height);
  const colors = new Uint32Array(about.palette.map((rgb, number) => packed(rgb, strength(number))));
  const pixels = new Uint32Array(image.data.buffer);
  for (let at = 0; at < pixels.length; at++) pixels[at] = colors[classes[at]];
  return image;
}

function strength(number) {
  if (legend.highlighted !== null) return legend.highlighted === number ? 255 : FAINT;
  return legend.hidden.has(number) ? 0 : 255;
}

function packed(rgb, alpha) {
  return new Uint32Array(Uint8Array.of(...rgb, alpha).buffer)[0];
}

async function encodeOverlay({ fullWidth, fullHeight }) {
  const { bitmap, orientation } = await decode(file);
  const canvas = new OffscreenCanvas(fullWidth, fullHeight);
  const context = canvas.getContext("2d");
  drawUpright(context, bitmap, orientation, fullWidth, fullHeight);
  bitmap.close();
  context.globalAlpha = $("opacity").value / 100;
  context.imageSmoothingEnabled = false;
  context.drawImage($("mask"), 0, 0, fullWidth, fullHeight);
  return canvas.convertToBlob({ type: "image/png" });
}

async function save(what, encode) {
  try {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await encode(shown));
    link.download = `${(file.name || "image").replace(/\.[^.]*$/, "")}_${what}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  } catch (error) {
    showError(`The ${what} could not be saved: ${error.message}.`);
  }
}

// Says what lies under the pointer.
function pointAt(event) {
  if (!shown) return;
  const box = $("mask").getBoundingClientRect();
  const x = Math.floor(((event.clientX - box.left) / box.width) * shown.width);
  const y = Math.floor(((event.clientY - box.top) / box.height) * shown.height);
  if (x < 0 || y < 0 || x >= shown.width || y >= shown.height) return;
  const pixel = y * shown.width + x;
  const number = shown.classes[pixel];
  const probability = shown.probabilities?.[pixel * about.class_names.length + number];
  const sure = probability === undefined ? "" : `, probability ${percent(probability)}`;
  $("pointer").textContent = `${about.class_names[number]}${sure}`;
}

function showOpacity() {
  const { value } = $("opacity");
  $("opacity-value").textContent = `${value} %`;
  $("mask").style.setProperty("--opacity", value / 100);
}

function showProgress({ what, done, total }) {
  working(what);
  if (total) Object.assign($("progress"), { max: total, value: Math.min(done, total) });
}

function listFacts() {
  const { input, value_range: range, channels } = about;
  const size = `${input.width ?? "any width"} × ${input.height ?? "any height"}`;
  const facts = {
    Classes: about.class_names.length,
    Images: `${channels === 1 ? "gray" : "RGB"}, ${input.height || input.width ? `in windows of ${size}` : "of any size"}`,
    Values: `${input.type}, ${range[0]} to ${range[1]}`,
    ...about.metadata,
  };
  for (const [name, value] of Object.entries(facts)) {
    $("about").appendChild(document.createElement("dt")).textContent = name;
    $("about").appendChild(document.createElement("dd")).textContent = value;
  }
}

function listLimits() {
  const limits = [...new Set([...LIMITS, about.max_pixels])].sort((one, other) => one - other);
  for (const limit of limits) {
    $("limit").add(new Option(limit < 1e5 ? `${limit} pixels` : `${+(limit / 1e6).toFixed(2)} megapixels`, limit));
  }
  $("limit").value = about.max_pixels;
  $("limit-row").hidden = false;
}

function clear() {
  shown = window.segmenterResult = undefined;
  legend?.forgetShares();
  $("controls").disabled = true;
  $("error").hidden = $("notes").hidden = true;
  $("stage").hidden = true;
  $("pointer").textContent = "";
  working("Reading the image");
}

function working(what) {
  $("status").textContent = what;
  $("progress").hidden = false;
  $("progress").removeAttribute("value");
}

function idle(what) {
  // A hidden button loses the focus, and with it whoever works by keyboard the place on the page.
  if (document.activeElement === $("stop")) $("file").focus({ preventScroll: true });
  $("status").textContent = what;
  $("progress").hidden = $("stop").hidden = true;
}

function stop() {
  newest++;
  segmenter.stop();
  idle("Stopped.");
}

function fail(what) {
  showError(what);
  idle("");
}

function showError(what) {
  $("error").textContent = what;
  $("error").hidden = false;
}

function showNotes(notes) {
  const items = notes.map((note) => Object.assign(document.createElement("li"), { textContent: note }));
  $("notes").replaceChildren(...items);
  $("notes").hidden = items.length === 0;
}
