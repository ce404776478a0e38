// Credible intervals of a Dirichlet's weights: the marginal of a weight is a Beta. Browsers have no
// incomplete beta function; tests compare this one with SciPy's.

const HALVINGS = 60;
const TERMS = 2000;
const LEVEL = 0.95;

/** log Γ(x) for x > 0, by Stirling's series above 8 and the recurrence below. */
function logGamma(x) {
  let shift = 0;
  let y = x;
  for (; y < 8; y += 1) shift += Math.log(y);
  const z = 1 / (y * y);
  const series = 1 / 12 - z * (1 / 360 - z * (1 / 1260 - z * (1 / 1680 - z * (1 / 1188 - (z * 691) / 360360))));
  return (y - 0.5) * Math.log(y) - y + 0.5 * Math.log(2 * Math.PI) + series / y - shift;
}

/** Distribution function of Beta(a, b) by its continued fraction (DLMF 8.17.22). */
function betaCdf(x, a, b) {
  if (x > (a + 1) / (a + b + 2)) return 1 - betaCdf(1 - x, b, a);
  if (x <= 0) return 0;
  const away = (value) => (Math.abs(value) < 1e-300 ? 1e-300 : value);
  let [value, ratio, inverse] = [1, 1, 0];
  for (let term = 1; term < TERMS; term += 1) {
    const m = Math.floor(term / 2);
    const step = term % 2
      ? (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1))
      : (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    inverse = 1 / away(1 + step * inverse);
    ratio = away(1 + step / ratio);
    value *= ratio * inverse;
    if (Math.abs(ratio * inverse - 1) < 1e-14) break;
  }
  const front = a * Math.log(x) + b * Math.log1p(-x) + logGamma(a + b) - logGamma(a) - logGamma(b);
  return Math.exp(front - Math.log(a)) / value;
}

function betaQuantile(probability, a, b) {
  if (b <= 0) return 1;
  let [low, high] = [0, 1];
  for (let i = 0; i < HALVINGS; i += 1) {
    const middle = (low + high) / 2;
    if (betaCdf(middle, a, b) < probability) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** Central interval of one weight, given its concentration and the sum of all others. */
function credibleInterval(concentration, others) {
  const tail = (1 - LEVEL) / 2;
  return [tail, 1 - tail].map((probability) => betaQuantile(probability, concentration, others));
}
