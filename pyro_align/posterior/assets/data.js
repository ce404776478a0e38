// What a view is made of: matrices and measures, packed by the sentence.

const POWER = 4;
const CODES = 65535;

/** One sentence's bytes; see `_packed` in html.py for their order. */
async function inflated(base64) {
  const packed = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Matrices (row by row), measures and concentrations of a sentence by name. */
async function unpacked(data, sentence) {
  const bytes = await inflated(sentence.data);
  const cells = sentence.source.length * sentence.target.length;
  const codes = cells * data.kinds.length;
  const matrices = {};
  data.kinds.forEach((kind, k) => {
    matrices[kind] = Float64Array.from({ length: cells }, (_, i) => {
      const code = 256 * bytes[k * cells + i] + bytes[codes + k * cells + i];
      return (code / CODES) ** POWER;
    });
  });
  for (const [name, more, less] of DIFFERENCES) {
    if (matrices[more] && matrices[less]) {
      matrices[name] = matrices[more].map((value, i) => value - matrices[less][i]);
    }
  }
  const floats = new DataView(bytes.buffer, 2 * codes);
  const rows = sentence.target.length;
  const measures = {};
  data.measures.forEach((name, m) => {
    const start = 4 * m * rows;
    measures[name] = Array.from({ length: rows }, (_, t) => floats.getFloat32(start + 4 * t, true));
  });
  const concentrations = {};
  data.concentrations.forEach((kind, k) => {
    const start = 4 * (data.measures.length * rows + k * cells);
    concentrations[kind] = Float64Array.from({ length: cells }, (_, i) =>
      floats.getFloat32(start + 4 * i, true));
  });
  return { matrices, measures, concentrations };
}

const KINDS = {
  prior: ["prior", "p(z | x, y before t): what the model expects before it sees the word"],
  guide: ["guide", "q(z | x, y): what the variational guide believes"],
  posterior: ["exact posterior", "p(z | x, y): what model and word together imply"],
};

const DIFFERENCES = [
  ["guide-prior", "guide", "prior", "guide − prior"],
  ["posterior-prior", "posterior", "prior", "posterior − prior"],
  ["guide-posterior", "guide", "posterior", "guide − posterior"],
];

/** Name, heading, explanation; those of one scale are drawn on one. */
const MEASURES = [
  ["prior_entropy", "H(prior)", "entropy of the prior, in nats", "entropy"],
  ["guide_entropy", "H(guide)", "entropy of the guide, in nats", "entropy"],
  ["posterior_entropy", "H(posterior)", "entropy of the exact posterior, in nats", "entropy"],
  ["kl", "KL(guide ‖ prior)", "divergence of the guide from the prior, in nats", "divergence"],
  ["gap", "KL(guide ‖ exact)", "divergence of the guide from the exact posterior, in nats", "divergence"],
  ["log_evidence", "surprisal", "−log p(y | x, y before t), alignments summed out, in nats", "surprisal"],
];

/** Measures as they are shown. */
function shownMeasure(name, value) {
  return name === "log_evidence" ? -value : value;
}

/** Three digits, as many as the packing keeps. */
function probabilityText(value) {
  if (value === 0) return "0";
  if (value < 1e-5) return "< 0.00001";
  return value >= 0.1 ? value.toFixed(3) : value.toPrecision(3);
}

function differenceText(value) {
  const text = Math.abs(value).toFixed(3);
  return text === "0.000" ? "0.000" : `${value < 0 ? "−" : "+"}${text}`;
}
