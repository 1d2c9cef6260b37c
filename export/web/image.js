// From a file to the pixels that the segmenter takes.

import { readHeader } from "./header.js";
import { drawUpright, uprightSize } from "./orientation.js";

// Pixels are those of the file: neither color profiles nor alpha may change what the segmenter sees.
const AS_STORED = { colorSpaceConversion: "none", premultiplyAlpha: "none" };
const PYTHON = "OnnxSegmenter in Python and keras-wsseg predict";
const STRIP = 64;

// Gives { bitmap, orientation } of the one opaque image in a file, for `drawUpright` to turn.
export async function decode(file) {
  const name = file.name || "The image";
  const refuse = (reason, cause) => {
    throw new Error(`${name} ${reason}.`, { cause });
  };
  const unreadable = (error) => refuse("is not an image that this browser can read", error);
  const bytes = new Uint8Array(await file.arrayBuffer().catch(unreadable));
  const header = await readHeader(bytes).catch(unreadable);
  if (!header) refuse(`is not a PNG, JPEG, WebP, GIF or BMP image; ${PYTHON} support more formats`);
  if (header.several) refuse("contains several images, but must contain one");
  if (header.deep) refuse(`has 16 bits per channel, which browsers truncate to 8; ${PYTHON} support it`);
  if (header.inks) refuse(`is a CMYK image, which browsers convert by color management; ${PYTHON} support it`);
  const bitmap = await createImageBitmap(new Blob([bytes], { type: file.type }), AS_STORED).catch(unreadable);
  if (!header.opaque && hasTransparency(bitmap)) refuse("has transparent pixels: flatten it onto a background first");
  return { bitmap, orientation: header.orientation };
}

// Gives { image, pixels, width, height, fullWidth, fullHeight, notes }: the image at working size as ImageData
// and as (height, width, channels) bytes.
export async function readImage(file, about) {
  const { bitmap, orientation } = await decode(file);
  const { width: fullWidth, height: fullHeight } = uprightSize(bitmap, orientation);
  const { width, height } = workingSize(fullWidth, fullHeight, about.max_pixels);
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  drawUpright(context, bitmap, orientation, width, height);
  bitmap.close();
  const image = context.getImageData(0, 0, width, height);
  const notes = [];
  if (width !== fullWidth || height !== fullHeight) {
    const sizes = `${fullWidth} × ${fullHeight} to ${width} × ${height} pixels`;
    notes.push(`Scaled from ${sizes}, to save time and memory; the saved mask is at full size.`);
  }
  const pixels = about.channels === 1 ? toGray(image, notes) : toRgb(image);
  return { image, pixels, width, height, fullWidth, fullHeight, notes };
}

function workingSize(fullWidth, fullHeight, most) {
  const scale = Math.min(1, Math.sqrt(most / (fullWidth * fullHeight)));
  const scaled = (size) => Math.max(1, Math.floor(size * scale));
  return { width: scaled(fullWidth), height: scaled(fullHeight) };
}

// At full size, since one transparent pixel is lost in an image that is scaled down; a few rows at once, since
// an image at full size takes memory.
function hasTransparency(bitmap) {
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, Math.min(STRIP, height)).getContext("2d", { willReadFrequently: true });
  context.globalCompositeOperation = "copy";
  for (let top = 0; top < height; top += STRIP) {
    context.drawImage(bitmap, 0, -top);
    const { data } = context.getImageData(0, 0, width, Math.min(STRIP, height - top));
    for (let at = 3; at < data.length; at += 4) if (data[at] < 255) return true;
  }
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
function toGray({ data }, notes) {
  const gray = new Uint8Array(data.length / 4);
  let colored = false;
  for (let from = 0, to = 0; from < data.length; from += 4, to++) {
    const red = data[from], green = data[from + 1], blue = data[from + 2];
    colored ||= red !== green || green !== blue;
    gray[to] = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;
  }
  if (colored) notes.push("This segmenter takes gray images: the colors were converted to gray.");
  return gray;
}
