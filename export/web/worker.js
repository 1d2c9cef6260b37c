// Runs the segmenter beside the page, so that the page stays responsive meanwhile.

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
  const image = new ort.Tensor(about.input.type, values, [1, height, width, about.channels]);
  const made = await session.run({ image });
  const probabilities = made.probabilities?.data ?? null;
  const classes = made.classes?.data ?? mostProbable(probabilities, about.class_names.length);
  return { classes, probabilities, seconds: (performance.now() - started) / 1000 };
}

// A browser's pictures have 0 to 255; the segmenter's may have another range.
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
    throw new Error(`${address} cannot be fetched${integrity ? " or is not what it should be" : ""}`, { cause: error });
  }
  if (!response.ok) throw new Error(`${address} answers with status ${response.status}`);
  const total = Number(response.headers.get("content-length")) || 0;
  const parts = [];
  let loaded = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    loaded += value.length;
    self.postMessage({ progress: { what: `Loading ${what}`, loaded, total } });
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

function inWords(error) {
  const said = String(error?.message ?? error);
  if (/bad_alloc|out of memory|allocation failed/i.test(said)) return "it takes more memory than the browser has";
  return said.trim().split("\n")[0].replace(/^.*ERROR_MESSAGE: /, "").replace(/\.+$/, "");
}
