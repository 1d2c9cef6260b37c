// Runs the segmenter beside the page, so that the page stays responsive meanwhile.

import { cut, runWindows } from "./windows.js";

let ort, session, about;

self.onmessage = async ({ data }) => {
  const { id, kind } = data;
  try {
    const answer = kind === "load" ? await load(data.about) : await run(data);
    self.postMessage({ id, answer }, Object.values(answer).flatMap((value) => value?.buffer ?? []));
  } catch (error) {
    self.postMessage({ id, error: inWords(error) });
  }
};

async function load(description) {
  about = description;
  const { module, wasm, integrity } = about.runtime;
  ort = await importModule(module, integrity?.module);
  // Threads share memory, which browsers allow to pages alone that are isolated from other origins.
  const threads = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, 8) : 1;
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmBinary = (await fetchBytes(wasm, "ONNX Runtime", integrity?.wasm)).buffer;
  ort.env.logLevel = "error";
  const model = await fetchBytes(about.file, "the segmenter");
  self.postMessage({ progress: { what: "Preparing the segmenter" } });
  session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  return { version: ort.env.versions.web, threads };
}

async function run({ pixels, width, height }) {
  const started = performance.now();
  const values = about.input.type === "uint8" ? pixels : scaled(pixels);
  const windows = cut(height, width, about.input, session.outputNames.includes("probabilities"));
  const whole = windows.rows.whole && windows.columns.whole;
  const made = whole ? await runOnce(values, height, width) : await runInWindows(values, windows);
  const probabilities = made.probabilities ?? null;
  const classes = made.classes ?? mostProbable(probabilities, about.class_names.length);
  return { classes, probabilities, seconds: (performance.now() - started) / 1000 };
}

async function runOnce(values, height, width, outputs = session.outputNames) {
  const image = new ort.Tensor(about.input.type, values, [1, height, width, about.channels]);
  const made = await session.run({ image }, outputs);
  return Object.fromEntries(outputs.map((name) => [name, made[name].data]));
}

// Probabilities are blended where the file gives them, and the classes are read from what comes out.
async function runInWindows(values, { rows, columns }) {
  const blend = session.outputNames.includes("probabilities");
  const [output, depth] = blend ? ["probabilities", about.class_names.length] : ["classes", 1];
  const result = new (blend ? Float32Array : Int32Array)(rows.size * columns.size * depth);
  const total = rows.starts.length * columns.starts.length;
  let done = 0;
  await runWindows({ rows, columns }, values, about.channels, result, depth, async (window) => {
    self.postMessage({ progress: { what: `Segmenting window ${done + 1} of ${total}`, done: done++, total } });
    return (await runOnce(window, rows.length, columns.length, [output]))[output];
  });
  return { [output]: result };
}

// A browser's images have 0 to 255; the segmenter's may have another range.
function scaled(pixels) {
  const [low, high] = about.value_range;
  const table = Float32Array.from({ length: 256 }, (_, value) => low + (value * (high - low)) / 255);
  return Float32Array.from(pixels, (value) => table[value]);
}

function mostProbable(probabilities, count) {
  const classes = new Int32Array(probabilities.length / count);
  for (let pixel = 0, start = 0; pixel < classes.length; pixel++, start += count) {
    let best = 0;
    for (let number = 1; number < count; number++) {
      if (probabilities[start + number] > probabilities[start + best]) best = number;
    }
    classes[pixel] = best;
  }
  return classes;
}

async function importModule(url, integrity) {
  if (!integrity) return import(new URL(url, self.location));
  // `import` knows no checksums, `fetch` does.
  const bytes = await fetchBytes(url, "ONNX Runtime", integrity);
  const checked = URL.createObjectURL(new Blob([bytes], { type: "text/javascript" }));
  return import(checked);
}

async function fetchBytes(url, what, integrity = "") {
  const address = new URL(url, self.location);
  let response;
  try {
    // A segmenter exported again under the same name is to be seen at once.
    response = await fetch(address, { cache: "no-cache", integrity });
  } catch (error) {
    throw new Error(`${address} cannot be fetched${integrity ? " or has a wrong checksum" : ""}`, { cause: error });
  }
  if (!response.ok) throw new Error(`${address} cannot be fetched: the server returned status ${response.status}`);
  const total = Number(response.headers.get("content-length")) || 0;
  const parts = [];
  let loaded = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    loaded += value.length;
    const size = total ? `${megabytes(loaded)} of ${megabytes(total)}` : megabytes(loaded);
    self.postMessage({ progress: { what: `Loading ${what}: ${size}`, done: loaded, total } });
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function inWords(error) {
  const said = String(error?.message ?? error);
  if (/bad_alloc|out of memory|allocation failed/i.test(said)) return "it needs more memory than the browser provides";
  return said.trim().split("\n")[0].replace(/^.*ERROR_MESSAGE: /, "").replace(/\.+$/, "");
}
