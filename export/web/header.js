// What a browser's decoder keeps to itself: images beyond the first, values beyond 8 bits, inks, how the camera
// was held.

import { orientationOfXmp, takeOrientation } from "./orientation.js";

const LATIN = new TextDecoder("latin1");
const READERS = [
  [/^.PNG\r\n/s, readPng],
  [/^\xff\xd8\xff/, readJpeg],
  [/^RIFF....WEBP/s, readWebp],
  [/^GIF8[79]a/, readGif],
  [/^BM/, () => ({})],
];
const XMP_OF_JPEG = "http://ns.adobe.com/xap/1.0/\0";

// Gives { several, deep, inks, opaque, orientation }, or undefined for other kinds than PNG, JPEG, WebP, GIF and BMP.
// The bytes lose their orientation, so that whoever decodes them gives what is stored: decoders skip a chunk of PNG
// whose checksum no longer fits.
export async function readHeader(bytes) {
  const start = LATIN.decode(bytes.subarray(0, 12));
  const [, read] = READERS.find(([signature]) => signature.test(start)) ?? [];
  if (!read) return undefined;
  const { exif, xmp, ...header } = await read(bytes);
  const orientation = exif ?? (xmp && orientationOfXmp(xmp));
  return { ...header, orientation: orientation >= 1 && orientation <= 8 ? orientation : 1 };
}

async function readPng(bytes) {
  const header = {};
  let frames = 0, profile, before = true, animated = false;
  for (const { kind, data } of chunksOfPng(bytes)) {
    if (kind === "IHDR") header.deep = data[8] === 16;
    else if (kind === "IDAT") before = false;
    else if (kind === "acTL" && before) frames = number(data, 0);
    else if (kind === "fcTL" && before) animated = true;
    else if (kind === "eXIf") header.exif = takeOrientation(data);
    else if (/^(tEXt|zTXt|iTXt)$/.test(kind)) {
      const keyword = LATIN.decode(data.subarray(0, data.indexOf(0)));
      if (keyword === "XML:com.adobe.xmp") header.xmp = await textOfPng(kind, data);
      if (keyword === "Raw profile type exif") profile = await textOfPng(kind, data);
    }
  }
  // An image that is not part of its own animation is one more.
  header.several = frames > 1 || (frames === 1 && !animated);
  if (profile) header.exif ??= takeOrientation(bytesOfProfile(profile));
  return header;
}

function* chunksOfPng(bytes) {
  for (let at = 8, kind; kind !== "IEND" && at + 8 <= bytes.length; ) {
    const end = at + 8 + number(bytes, at);
    kind = LATIN.decode(bytes.subarray(at + 4, at + 8));
    yield { kind, data: bytes.subarray(at + 8, end) };
    at = end + 4;
  }
}

async function textOfPng(kind, data) {
  let at = data.indexOf(0) + 1;
  let packed = kind === "zTXt";
  if (packed) at += 1;
  if (kind === "iTXt") {
    packed = data[at] === 1;
    // Behind the compression come a language and a translated keyword.
    at = data.indexOf(0, data.indexOf(0, at + 2) + 1) + 1;
  }
  const text = data.subarray(at);
  if (!packed) return text;
  const stream = new Blob([text]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// ImageMagick writes a name, a length and lines of hexadecimal digits.
function bytesOfProfile(profile) {
  const digits = LATIN.decode(profile).split("\n").slice(3).join("");
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

function readJpeg(bytes) {
  const header = { opaque: true };
  for (const { marker, data } of segmentsOfJpeg(bytes)) {
    if (marker === 0xe1) {
      if (startsWith(data, "Exif\0\0")) {
        const orientation = takeOrientation(data);
        header.exif ??= orientation;
      } else if (startsWith(data, XMP_OF_JPEG)) header.xmp = data;
      // Frames of all processes, between which lie tables and what is reserved.
    } else if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      header.inks = data[5] === 4;
    }
  }
  if (header.inks === undefined) throw new Error("It has no frame.");
  return header;
}

function* segmentsOfJpeg(bytes) {
  for (let at = 2; at + 4 <= bytes.length && bytes[at] === 0xff; ) {
    const marker = bytes[at + 1];
    if (marker === 0xda) return;
    if (marker === 0xff) {
      at++;
      continue;
    }
    const end = at + 2 + ((bytes[at + 2] << 8) | bytes[at + 3]);
    yield { marker, data: bytes.subarray(at + 4, end) };
    at = end;
  }
}

function readWebp(bytes) {
  const header = {};
  let frames = 0;
  for (const { kind, data } of chunksOfRiff(bytes)) {
    if (kind === "ANMF") frames++;
    else if (kind === "EXIF") header.exif = takeOrientation(data);
    else if (kind === "XMP ") header.xmp = data;
  }
  return { ...header, several: frames > 1 };
}

function* chunksOfRiff(bytes) {
  for (let at = 12; at + 8 <= bytes.length; ) {
    const length = number(bytes, at + 4, true);
    yield { kind: LATIN.decode(bytes.subarray(at, at + 4)), data: bytes.subarray(at + 8, at + 8 + length) };
    at += 8 + length + (length % 2);
  }
}

function readGif(bytes) {
  const lengthOfColors = (flags) => (flags & 0x80 ? 6 << (flags & 7) : 0);
  let frames = 0;
  for (let at = 13 + lengthOfColors(bytes[10]); frames < 2; ) {
    if (bytes[at] === 0x2c) {
      frames++;
      at += 11 + lengthOfColors(bytes[at + 9]);
    } else if (bytes[at] === 0x21) at += 2;
    else break;
    while (bytes[at]) at += 1 + bytes[at];
    at++;
  }
  return { several: frames > 1 };
}

function number(bytes, at, little = false) {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, little);
}

function startsWith(bytes, text) {
  return LATIN.decode(bytes.subarray(0, text.length)) === text;
}
