// What a view shows as a file: a picture (SVG, PNG) or the numbers (CSV).

const INK = "#1d2433";
const FONT = "13px system-ui, sans-serif";
const SIDE = 20;
const MARGIN = 12;
const DENSITY = 2;

/** Something to draw on that becomes an SVG file. */
class SvgSurface {
  constructor(width, height) {
    this.svg = drawn("svg", { width, height, viewBox: `0 0 ${width} ${height}` });
    this.svg.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    this.svg.setAttribute("style", `font: ${FONT}`);
    this.rect(0, 0, width, height, "#ffffff");
  }

  rect(x, y, width, height, fill) {
    this.svg.append(drawn("rect", { x, y, width, height, fill }));
  }

  frame(x, y, side, colour, dashes) {
    const style = { fill: "none", stroke: colour, "stroke-width": 2, "stroke-dasharray": dashes.join(" ") };
    this.svg.append(drawn("rect", { x, y, width: side, height: side, ...style }));
  }

  text(x, y, text, anchor = "start", angle = 0) {
    const made = drawn("text", { "text-anchor": anchor, fill: INK });
    made.setAttribute("transform", `translate(${x} ${y}) rotate(${angle})`);
    made.textContent = text;
    this.svg.append(made);
  }

  blob() {
    return new Blob([new XMLSerializer().serializeToString(this.svg)], { type: "image/svg+xml" });
  }
}

/** Something to draw on that becomes a PNG file. */
class PngSurface {
  constructor(width, height) {
    this.canvas = element("canvas", { width: DENSITY * width, height: DENSITY * height });
    this.pen = this.canvas.getContext("2d");
    this.pen.scale(DENSITY, DENSITY);
    this.pen.font = FONT;
    this.rect(0, 0, width, height, "#ffffff");
  }

  rect(x, y, width, height, fill) {
    this.pen.fillStyle = fill;
    this.pen.fillRect(x, y, width, height);
  }

  frame(x, y, side, colour, dashes) {
    Object.assign(this.pen, { strokeStyle: colour, lineWidth: 2 });
    this.pen.setLineDash(dashes);
    this.pen.strokeRect(x, y, side, side);
  }

  text(x, y, text, anchor = "start", angle = 0) {
    this.pen.save();
    this.pen.translate(x, y);
    this.pen.rotate((angle * Math.PI) / 180);
    this.pen.textAlign = anchor;
    this.pen.fillStyle = INK;
    this.pen.fillText(text, 0, 0);
    this.pen.restore();
  }

  blob() {
    return new Promise((done) => this.canvas.toBlob(done, "image/png"));
  }
}

/** The heatmap that a view shows, in light colours, with labels, gold links and scale. */
function picture(view, Surface) {
  const [sources, targets] = [view.visible("source"), view.visible("target")];
  const pen = element("canvas").getContext("2d");
  pen.font = FONT;
  const widest = (texts) => Math.max(...texts.map((text) => pen.measureText(text).width));
  const heading = `${view.data.title}: ${view.labels[view.kind]}`;
  const left = MARGIN + widest(targets) + 6;
  const top = MARGIN + 24 + widest(sources) * Math.sin(SLANT) + 14;
  const overhang = widest(sources) * Math.cos(SLANT) + 10;
  const width = Math.ceil(Math.max(left + SIDE * sources.length + overhang, widest([heading]) + MARGIN) + MARGIN);
  const bottom = top + SIDE * targets.length;
  const surface = new Surface(width, Math.ceil(bottom + 40));
  surface.text(MARGIN, MARGIN + 13, heading);
  const { colours, level, ends } = view.scaled("light");
  const colour = (number) => `rgb(${colours[number].join(" ")})`;
  sources.forEach((text, s) => {
    surface.text(left + SIDE * (view.column(s) + 0.5) + 4, top - 5, text, "start", -55);
  });
  targets.forEach((text, t) => {
    const y = top + SIDE * t;
    surface.text(left - 6, y + 15, text, "end");
    sources.forEach((_, s) => {
      surface.rect(left + SIDE * view.column(s), y, SIDE - 1, SIDE - 1, colour(level(view.value(view.kind, t, s))));
    });
  });
  const { sure = [], possible = [] } = view.sentence.gold ?? {};
  for (const [links, dashes] of [[possible, [2, 2]], [sure, []]]) {
    for (const [s, t] of links) {
      surface.frame(left + SIDE * view.column(s) + 1, top + SIDE * t + 1, SIDE - 3, "#f2b200", dashes);
    }
  }
  const steps = 50;
  for (let i = 0; i < steps; i += 1) {
    surface.rect(left + 40 + 2 * i, bottom + 14, 2, 10, colour(Math.round(((LEVELS - 1) * i) / (steps - 1))));
  }
  surface.text(left + 34, bottom + 24, ends[0], "end");
  surface.text(left + 46 + 2 * steps, bottom + 24, ends[1]);
  return surface.blob();
}

/** All distributions of the sentence on show, with the columns of `AlignmentPosterior.to_frame`. */
function table(view) {
  const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const { kinds } = view.data;
  const gold = view.sentence.gold ? ["gold"] : [];
  const head = ["sentence", "target_position", "target_token", "source_position", "source_token"];
  const rows = [[...head, ...kinds, ...gold]];
  view.visible("target").forEach((target, t) => {
    view.visible("source").forEach((source, s) => {
      const values = kinds.map((kind) => Number(view.value(kind, t, s).toPrecision(4)));
      rows.push([view.index, t, quoted(target), s, quoted(source), ...values, ...gold.map(() => view.goldOf(s, t))]);
    });
  });
  return new Blob([rows.map((row) => `${row.join(",")}\n`).join("")], { type: "text/csv" });
}

const EXPORTS = {
  SVG: (view) => picture(view, SvgSurface),
  PNG: (view) => picture(view, PngSurface),
  CSV: table,
};

/** Let the browser save what a view shows. */
async function save(view, format) {
  const address = URL.createObjectURL(await EXPORTS[format](view));
  const name = `alignment-${view.index + 1}-${view.kind}.${format.toLowerCase()}`;
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
