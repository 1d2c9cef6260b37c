// The page's end of the worker that runs the segmenter.

export class Segmenter {
  #worker;
  #ready;
  #waiting = new Map();
  #next = 0;
  #running;

  constructor(about, onProgress) {
    this.about = about;
    this.onProgress = onProgress;
  }

  // Resolves to { version, threads } of the runtime once the file is loaded.
  load() {
    if (!this.#ready) {
      this.#start();
      this.#ready = this.#ask({ kind: "load", about: this.about }).catch((error) => {
        // The next call tries again.
        this.#stop();
        throw new Error(`The segmenter could not be loaded: ${error.message}.`, { cause: error });
      });
    }
    return this.#ready;
  }

  // Resolves to { classes, probabilities, seconds } of an image { pixels, width, height }.
  async run({ pixels, width, height }) {
    await this.load();
    const worker = (this.#running = this.#worker);
    try {
      return await this.#ask({ kind: "run", pixels, width, height });
    } catch (error) {
      // WebAssembly gives no memory back, be it all that there is: a fresh runtime starts with little.
      if (worker === this.#worker) this.#stop();
      const size = `${width} × ${height} pixels`;
      throw new Error(`The segmenter failed on this image of ${size}: ${error.message}.`, { cause: error });
    } finally {
      if (worker === this.#running) this.#running = undefined;
    }
  }

  // Gives up the image at work: the runtime knows no other way than to be started afresh.
  stop() {
    if (this.#running) this.#stop();
  }

  #start() {
    this.#worker = new Worker("worker.js", { type: "module" });
    this.#worker.onmessage = ({ data }) => {
      if (data.progress) {
        this.onProgress(data.progress);
        return;
      }
      const { resolve, reject } = this.#waiting.get(data.id);
      this.#waiting.delete(data.id);
      if (data.error) reject(new Error(data.error));
      else resolve(data.answer);
    };
    this.#worker.onerror = (event) => this.#rejectAll(event.message || "worker.js cannot be loaded");
  }

  #stop() {
    this.#worker.terminate();
    this.#ready = undefined;
    this.#rejectAll("it was stopped");
  }

  #rejectAll(reason) {
    for (const { reject } of this.#waiting.values()) reject(new Error(reason));
    this.#waiting.clear();
  }

  #ask(message) {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ ...message, id });
    });
  }
}
