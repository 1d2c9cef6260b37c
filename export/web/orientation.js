// How a camera was held. Browsers obey it in some kinds of file and not in others, and cannot be told to leave it.

const TAG = 0x0112;
const LONG = 4;
const LATIN = new TextDecoder("latin1");
// By number: what `setTransform` takes, the last two as shares of width and height.
const TURNS = [
  [1, 0, 0, 1, 0, 0],
  [-1, 0, 0, 1, 1, 0],
  [-1, 0, 0, -1, 1, 1],
  [1, 0, 0, -1, 0, 1],
  [0, 1, 1, 0, 0, 0],
  [0, 1, -1, 0, 1, 0],
  [0, -1, -1, 0, 1, 1],
  [0, -1, 1, 0, 0, 1],
];

// The orientation in the bytes of an EXIF block, or undefined; they say 1 from then on, so that nobody else turns.
export function takeOrientation(exif) {
  while (LATIN.decode(exif.subarray(0, 6)) === "Exif\0\0") exif = exif.subarray(6);
  const view = new DataView(exif.buffer, exif.byteOffset, exif.length);
  try {
    const little = view.getUint16(0) === 0x4949;
    const directory = view.getUint32(4, little);
    const end = directory + 2 + 12 * view.getUint16(directory, little);
    for (let at = directory + 2; at < end; at += 12) {
      if (view.getUint16(at, little) !== TAG) continue;
      const place = at + 8 + (view.getUint16(at + 2, little) === LONG && !little ? 2 : 0);
      const number = view.getUint16(place, little);
      view.setUint16(place, 1, little);
      return number;
    }
  } catch (error) {
    // A block that is cut off says nothing.
    if (!(error instanceof RangeError)) throw error;
  }
  return undefined;
}

// What editors that write XMP say, or undefined.
export function orientationOfXmp(xmp) {
  const found = /tiff:Orientation(?:="|>)([0-9])/.exec(LATIN.decode(xmp));
  return found ? Number(found[1]) : undefined;
}

export function uprightSize({ width, height }, orientation) {
  return orientation > 4 ? { width: height, height: width } : { width, height };
}

// Draws an image as it is seen, `width` and `height` being what it takes up then.
export function drawUpright(context, image, orientation, width, height) {
  const [a, b, c, d, right, down] = TURNS[orientation - 1];
  const stored = uprightSize({ width, height }, orientation);
  context.setTransform(a, b, c, d, right * width, down * height);
  context.drawImage(image, 0, 0, stored.width, stored.height);
  context.resetTransform();
}
