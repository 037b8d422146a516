/** The drawing pad, and what turns a drawing into an image like those of MNIST. */

export const SIDE = 28;
/** MNIST digits fit a box of this size, centred by their centre of mass. */
const BOX = 20;

export interface Pad {
  /** Grey values 0..255, [28][28]; undefined while the pad is empty. */
  image(): Uint8Array | undefined;
  clear(): void;
  /** Shows a 28 x 28 image as if it had been drawn. */
  show(image: Uint8Array): void;
}

export function createPad(canvas: HTMLCanvasElement, onChange: () => void): Pad {
  const context = canvas.getContext('2d', { willReadFrequently: true })!;
  let shown: Uint8Array | undefined;
  let drawn = false;
  let last: { x: number; y: number } | undefined;

  const clear = (): void => {
    context.fillStyle = '#000';
    context.fillRect(0, 0, canvas.width, canvas.height);
    shown = undefined;
    drawn = false;
  };
  const at = (event: PointerEvent): { x: number; y: number } => {
    const box = canvas.getBoundingClientRect();
    return {
      x: ((event.clientX - box.left) / box.width) * canvas.width,
      y: ((event.clientY - box.top) / box.height) * canvas.height,
    };
  };
  const stroke = (to: { x: number; y: number }): void => {
    const from = last ?? to;
    context.strokeStyle = '#fff';
    context.lineWidth = canvas.width / 13;
    context.lineCap = 'round';
    context.lineJoin = 'round';
    context.beginPath();
    context.moveTo(from.x, from.y);
    context.lineTo(to.x + 0.01, to.y);
    context.stroke();
    last = to;
    drawn = true;
    onChange();
  };

  canvas.addEventListener('pointerdown', (event) => {
    if (shown) clear();
    canvas.setPointerCapture(event.pointerId);
    last = undefined;
    stroke(at(event));
  });
  canvas.addEventListener('pointermove', (event) => {
    if (last && event.buttons) for (const part of event.getCoalescedEvents?.() ?? [event]) stroke(at(part));
  });
  const stop = (): void => void (last = undefined);
  canvas.addEventListener('pointerup', stop);
  canvas.addEventListener('pointercancel', stop);
  clear();

  return {
    image() {
      if (shown) return shown;
      return drawn ? likeMnist(context.getImageData(0, 0, canvas.width, canvas.height)) : undefined;
    },
    clear,
    show(image) {
      clear();
      shown = image;
      const pixels = new ImageData(SIDE, SIDE);
      for (let i = 0; i < image.length; i++) pixels.data.set([image[i]!, image[i]!, image[i]!, 255], 4 * i);
      const small = new OffscreenCanvas(SIDE, SIDE);
      small.getContext('2d')!.putImageData(pixels, 0, 0);
      context.imageSmoothingEnabled = false;
      context.drawImage(small, 0, 0, canvas.width, canvas.height);
    },
  };
}

/** Scales the drawing's bounding box into 20 x 20 and puts its centre of mass in the middle of 28 x 28. */
export function likeMnist(drawing: ImageData): Uint8Array | undefined {
  const { width, height, data } = drawing;
  let [left, top, right, bottom] = [width, height, -1, -1];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (data[4 * (y * width + x)]! < 40) continue;
      left = Math.min(left, x);
      right = Math.max(right, x);
      top = Math.min(top, y);
      bottom = Math.max(bottom, y);
    }
  }
  if (right < left) return undefined;
  const scale = BOX / Math.max(right - left + 1, bottom - top + 1);
  // Area averages: each source pixel is spread over the target pixels that it covers.
  const grey = new Float64Array(SIDE * SIDE);
  let [mass, massX, massY] = [0, 0, 0];
  const spread = (toX: number, toY: number): void => {
    grey.fill(0);
    for (let y = top; y <= bottom; y++) {
      for (let x = left; x <= right; x++) {
        const value = data[4 * (y * width + x)]! / 255;
        if (value === 0) continue;
        const u = (x - left) * scale + toX;
        const v = (y - top) * scale + toY;
        for (let j = Math.floor(v); j < v + scale; j++) {
          for (let i = Math.floor(u); i < u + scale; i++) {
            if (i < 0 || j < 0 || i >= SIDE || j >= SIDE) continue;
            const covered =
              (Math.min(i + 1, u + scale) - Math.max(i, u)) * (Math.min(j + 1, v + scale) - Math.max(j, v));
            grey[j * SIDE + i]! += value * covered;
          }
        }
      }
    }
  };
  spread((SIDE - (right - left + 1) * scale) / 2, (SIDE - (bottom - top + 1) * scale) / 2);
  for (let j = 0; j < SIDE; j++) {
    for (let i = 0; i < SIDE; i++) {
      mass += grey[j * SIDE + i]!;
      massX += grey[j * SIDE + i]! * (i + 0.5);
      massY += grey[j * SIDE + i]! * (j + 0.5);
    }
  }
  spread(
    (SIDE - (right - left + 1) * scale) / 2 + SIDE / 2 - massX / mass,
    (SIDE - (bottom - top + 1) * scale) / 2 + SIDE / 2 - massY / mass,
  );
  return Uint8Array.from(grey, (value) => Math.min(255, Math.round(255 * value)));
}
