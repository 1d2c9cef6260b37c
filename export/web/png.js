// Class maps as PNG files that hold class numbers, which a canvas cannot write.

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];

// One byte a pixel with the palette for up to 256 classes, else 16 bits without colors.
export async function encodeMask({ classes, width, height, fullWidth, fullHeight }, palette) {
  const indexed = palette.length <= 256;
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, fullWidth);
  header.setUint32(4, fullHeight);
  header.setUint8(8, indexed ? 8 : 16);
  header.setUint8(9, indexed ? 3 : 0);
  return new Blob(
    [
      Uint8Array.from(SIGNATURE),
      chunk("IHDR", new Uint8Array(header.buffer)),
      ...(indexed ? [chunk("PLTE", Uint8Array.from(palette.flat()))] : []),
      chunk("IDAT", await compress(rows(classes, width, height, fullWidth, fullHeight, indexed ? 1 : 2))),
      chunk("IEND", new Uint8Array()),
    ],
    { type: "image/png" },
  );
}

// Each pixel of the full size takes the class of the nearest one of the map; a row opens with its filter, none.
function rows(classes, width, height, fullWidth, fullHeight, bytes) {
  const stride = 1 + fullWidth * bytes;
  const data = new Uint8Array(stride * fullHeight);
  const columns = Uint32Array.from({ length: fullWidth }, (_, x) => Math.floor(((x + 0.5) * width) / fullWidth));
  for (let y = 0; y < fullHeight; y++) {
    const source = Math.floor(((y + 0.5) * height) / fullHeight) * width;
    let to = y * stride + 1;
    for (const column of columns) {
      const number = classes[source + column];
      if (bytes === 2) data[to++] = number >> 8;
      data[to++] = number & 255;
    }
  }
  return data;
}

async function compress(bytes) {
  const zlib = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(zlib).arrayBuffer());
}

function chunk(kind, data) {
  const bytes = new Uint8Array(data.length + 12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set(new TextEncoder().encode(kind), 4);
  bytes.set(data, 8);
  view.setUint32(data.length + 8, crc32(bytes.subarray(4, data.length + 8)));
  return bytes;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, value) => {
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}
