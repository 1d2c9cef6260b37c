// From a file to the pixels that the segmenter takes.

// Pixels are those of the file: neither colour profiles nor alpha may change what the segmenter sees.
const AS_STORED = { colorSpaceConversion: "none", premultiplyAlpha: "none" };

export async function decode(file) {
  try {
    return await createImageBitmap(file, AS_STORED);
  } catch (error) {
    throw new Error(`${file.name || "What was given"} is not a picture that this browser can read.`, { cause: error });
  }
}

// Gives { image, pixels, width, height, fullWidth, fullHeight, notes }: the picture at working size as ImageData
// and as (height, width, channels) bytes.
export async function readPicture(file, about) {
  const bitmap = await decode(file);
  const { width: fullWidth, height: fullHeight } = bitmap;
  const { width, height } = workingSize(fullWidth, fullHeight, about.max_pixels);
  const { image, transparent } = draw(bitmap, width, height);
  bitmap.close();
  const notes = [];
  if (width !== fullWidth || height !== fullHeight) {
    const sizes = `${fullWidth} × ${fullHeight} to ${width} × ${height} pixels`;
    notes.push(`Scaled from ${sizes}, to save time and memory; the saved mask has full size.`);
  }
  if (transparent) notes.push("Transparent parts are seen as white; OnnxSegmenter in Python refuses such a picture.");
  const pixels = about.channels === 1 ? toGrey(image, notes) : toRgb(image);
  return { image, pixels, width, height, fullWidth, fullHeight, notes };
}

function workingSize(fullWidth, fullHeight, most) {
  const scale = Math.min(1, Math.sqrt(most / (fullWidth * fullHeight)));
  const scaled = (size) => Math.max(1, Math.floor(size * scale));
  return { width: scaled(fullWidth), height: scaled(fullHeight) };
}

function draw(bitmap, width, height) {
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  const image = context.getImageData(0, 0, width, height);
  if (!hasTransparency(image)) return { image, transparent: false };
  context.globalCompositeOperation = "destination-over";
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  return { image: context.getImageData(0, 0, width, height), transparent: true };
}

function hasTransparency({ data }) {
  for (let at = 3; at < data.length; at += 4) if (data[at] < 255) return true;
  return false;
}

function toRgb({ data }) {
  const rgb = new Uint8Array((data.length / 4) * 3);
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
    rgb[to] = data[from];
    rgb[to + 1] = data[from + 1];
    rgb[to + 2] = data[from + 2];
  }
  return rgb;
}

// Rec. 601 luma in the integers of Pillow's `convert("L")`.
function toGrey({ data }, notes) {
  const grey = new Uint8Array(data.length / 4);
  let coloured = false;
  for (let from = 0, to = 0; from < data.length; from += 4, to++) {
    const red = data[from], green = data[from + 1], blue = data[from + 2];
    coloured ||= red !== green || green !== blue;
    grey[to] = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;
  }
  if (coloured) notes.push("This segmenter takes grey pictures: the colours were turned into grey.");
  return grey;
}
