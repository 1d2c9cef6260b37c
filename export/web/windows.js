// A file of fixed size runs every image in overlapping windows of its size, placed and put together as
// OnnxSegmenter does, so that masks are the same.

const LARGEST_OVERLAP = 256;

// The windows along the height or the width of an image. Neighbors share a strip of `ramp` pixels in the middle
// of their overlap, in which the weight goes over linearly from one to the other.
class Axis {
  constructor(size, length, overlap, blend) {
    const span = Math.max(0, size - length);
    const gaps = Math.ceil(span / (length - overlap));
    const starts = Array.from({ length: gaps + 1 }, (_, number) => (gaps ? Math.floor((number * span) / gaps) : 0));
    const smallest = Math.min(...starts.slice(1).map((start, before) => start - starts[before]));
    const ramp = blend && gaps ? 2 * Math.floor(Math.min(Math.floor(overlap / 2), smallest) / 2) : 0;
    Object.assign(this, { size, length, starts, ramp });
  }

  get whole() {
    return this.size === this.length;
  }

  // How much each pixel of a window counts; 0 beyond the image and where another window knows more.
  weights(number) {
    const { starts, length, size, ramp } = this;
    const last = number === starts.length - 1;
    const first = number ? this.#middle(number - 1) - ramp / 2 : 0;
    const end = last ? size : this.#middle(number) + ramp / 2;
    return Float32Array.from({ length }, (_, at) => {
      const pixel = starts[number] + at;
      if (pixel < first || pixel >= end) return 0;
      if (number && pixel < first + ramp) return (pixel - first + 0.5) / ramp;
      return !last && pixel >= end - ramp ? (end - pixel - 0.5) / ramp : 1;
    });
  }

  // The place in the image of each pixel of a window; beyond its end the image is mirrored.
  places(number) {
    const period = Math.max(1, 2 * (this.size - 1));
    return Uint32Array.from({ length: this.length }, (_, at) => {
      const place = (this.starts[number] + at) % period;
      return Math.min(place, period - place);
    });
  }

  #middle(number) {
    return Math.floor((this.starts[number] + this.starts[number + 1] + this.length) / 2);
  }
}

// Where the windows of an image lie, { rows, columns }, one over all of it where the file takes any size.
// Classes have no in-between: without `blend` each pixel is taken from one window.
export function cut(height, width, input, blend) {
  const fixed = [input.height, input.width].filter((size) => size !== null);
  const overlap = Math.min(LARGEST_OVERLAP, ...fixed.map((size) => Math.floor(size / 4)));
  return {
    rows: new Axis(height, input.height ?? height, overlap, blend),
    columns: new Axis(width, input.width ?? width, overlap, blend),
  };
}

// Gives `run` the values of each window in turn, and adds up what it says of them in `result`.
export async function runWindows({ rows, columns }, values, channels, result, depth, run) {
  for (const row of rows.starts.keys()) {
    for (const column of columns.starts.keys()) {
      const said = await run(crop(values, channels, rows.places(row), columns.places(column), columns.size));
      const at = { top: rows.starts[row], left: columns.starts[column], width: columns.size };
      add(result, said, depth, rows.weights(row), columns.weights(column), at);
    }
  }
}

function crop(values, channels, rows, columns, width) {
  const window = new values.constructor(rows.length * columns.length * channels);
  let to = 0;
  for (const y of rows) {
    for (const x of columns) {
      const from = (y * width + x) * channels;
      for (let channel = 0; channel < channels; channel++) window[to++] = values[from + channel];
    }
  }
  return window;
}

function add(result, said, depth, down, along, { top, left, width }) {
  for (let y = 0; y < down.length; y++) {
    for (let x = 0; x < along.length; x++) {
      const weight = down[y] * along[x];
      if (weight === 0) continue;
      const from = (y * along.length + x) * depth;
      const to = ((top + y) * width + left + x) * depth;
      for (let number = 0; number < depth; number++) result[to + number] += weight * said[from + number];
    }
  }
}
