// Colour scales whose neighbours are equally far apart to the eye: distances are those of OKLab
// (Ottosson 2020).

const LEVELS = 256;

/** Control points (lightness, chroma, hue in degrees), from 0 to the end of a scale. */
const ARMS = {
  light: {
    probability: [[0.97, 0.006, 250], [0.8, 0.09, 232], [0.56, 0.15, 258], [0.27, 0.12, 280]],
    more: [[0.97, 0, 250], [0.8, 0.09, 240], [0.56, 0.15, 258], [0.38, 0.14, 266]],
    less: [[0.97, 0, 40], [0.8, 0.09, 45], [0.56, 0.15, 35], [0.38, 0.13, 28]],
  },
  dark: {
    probability: [[0.25, 0.018, 265], [0.45, 0.13, 264], [0.7, 0.12, 232], [0.95, 0.06, 195]],
    more: [[0.25, 0, 262], [0.45, 0.12, 262], [0.7, 0.12, 240], [0.87, 0.07, 225]],
    less: [[0.25, 0, 20], [0.45, 0.12, 28], [0.7, 0.13, 45], [0.87, 0.08, 60]],
  },
};

function mix(from, to, part) {
  return from.map((value, i) => value + (to[i] - value) * part);
}

function oklab([lightness, chroma, hue]) {
  const angle = (hue * Math.PI) / 180;
  return [lightness, chroma * Math.cos(angle), chroma * Math.sin(angle)];
}

function srgb([lightness, a, b]) {
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ].map((value) => {
    const inside = Math.min(1, Math.max(0, value));
    const coded = inside <= 0.0031308 ? 12.92 * inside : 1.055 * inside ** (1 / 2.4) - 0.055;
    return Math.round(255 * coded);
  });
}

/** Points at equal distances along the path through the control points. */
function evenly(points, count) {
  const fine = [];
  const parts = 200;
  for (let i = 0; i + 1 < points.length; i += 1) {
    for (let k = 0; k < parts; k += 1) fine.push(oklab(mix(points[i], points[i + 1], k / parts)));
  }
  fine.push(oklab(points.at(-1)));
  const along = [0];
  for (let i = 1; i < fine.length; i += 1) {
    along.push(along[i - 1] + Math.hypot(...fine[i].map((value, k) => value - fine[i - 1][k])));
  }
  let i = 0;
  return Array.from({ length: count }, (_, k) => {
    const wanted = (along.at(-1) * k) / (count - 1);
    while (i + 2 < along.length && along[i + 1] < wanted) i += 1;
    return mix(fine[i], fine[i + 1], (wanted - along[i]) / (along[i + 1] - along[i]));
  });
}

/** Red, green and blue of each level: from 0 to 1, or for differences from −1 to 1. */
function colourScale(theme, isDifference) {
  const arms = ARMS[theme];
  if (!isDifference) return evenly(arms.probability, LEVELS).map(srgb);
  const half = LEVELS / 2;
  return [...evenly(arms.less, half).reverse(), ...evenly(arms.more, half)].map(srgb);
}
