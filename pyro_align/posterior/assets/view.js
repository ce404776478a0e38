// The view of alignments: one object of this class for every element of the page that holds some.

const SMALLEST = 12;
const LARGEST = 30;
const PANEL = 58;
const SLANT = (55 * Math.PI) / 180;
const PAGE = 10;

const WIDE = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]/u;
const RIGHT_TO_LEFT = /[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Syriac}\p{Script=Thaana}]/u;

class View extends Frame {
  constructor(host, data) {
    super(host, data, "sentence");
    new ResizeObserver(() => this.resized()).observe(this.scroller);
  }

  build() {
    this.corner = element("div", { class: "corner" });
    this.head = element("div", { class: "head" });
    this.rows = element("div", { class: "rows" });
    this.canvas = element("canvas");
    this.cursor = element("div", { class: "cursor", hidden: "" });
    this.marks = element("div", { class: "marks" });
    this.matrix = element("div", { class: "matrix", tabindex: 0, role: "application" });
    this.matrix.append(this.canvas, element("div", { class: "lines" }), this.marks, this.cursor);
    this.panels = drawn("svg", { class: "panels", "aria-hidden": "true" });
    this.grid = element("div", { class: "grid" });
    this.grid.append(this.corner, this.head, this.rows, this.matrix, this.panels);
    this.scroller = element("div", { class: "scroller" }, this.grid);
    const isTall = this.data.concentrations.length || this.host.closest("[data-pyro-align-group]");
    const tall = isTall ? "readout tall" : "readout";
    this.readout = element("div", { class: tall });
    const top = element("div", { class: "top" }, this.heading(), this.picker());
    const controls = element("div", { class: "controls" }, this.switch(), this.legend(), this.tools());
    this.frame.append(top, controls, this.readout, this.scroller, this.live);
    this.matrix.addEventListener("pointermove", (event) => this.pointed(event));
    this.matrix.addEventListener("keydown", (event) => this.pressed(event));
    this.matrix.addEventListener("focus", () => this.at || this.point(0, this.column(0), true));
  }

  /** Source and target as text. */
  text({ source, target }) {
    return [source, target].map((tokens) => this.joined(tokens));
  }

  joined(tokens) {
    const inner = tokens.at(-1) === this.data.end ? tokens.slice(0, -1) : tokens;
    if (this.data.units === "words") return inner.join(" ");
    return inner.join("").replaceAll("▁", " ").trim();
  }

  legend() {
    const box = super.legend();
    if (this.data.sentences.some(({ gold }) => gold)) {
      const mark = (kind) => element("span", { class: `mark ${kind}` });
      box.append(mark("sure"), "gold link", mark("possible"), "possible link");
    }
    return box;
  }

  /** Whether sentence ends are shown, and buttons that save what is shown. */
  tools() {
    const box = element("div", { class: "tools" });
    const hasEnd = ({ source, target }) => [source, target].some((side) => side.at(-1) === this.data.end);
    if (this.data.sentences.some(hasEnd)) {
      this.hider = element("input", { type: "checkbox" });
      this.hider.addEventListener("change", () => {
        this.hideEnds(this.hider.checked);
        this.tell({ isHidden: this.hider.checked });
      });
      box.append(element("label", {}, this.hider, ` hide ${this.data.end}`));
    }
    for (const format of Object.keys(EXPORTS)) {
      const button = element("button", { type: "button", title: `save as ${format}` }, format);
      button.addEventListener("click", () => save(this, format));
      box.append(button);
    }
    return box;
  }

  hideEnds(isHidden) {
    this.hider.checked = isHidden;
    if (this.sentence) this.lay();
  }

  /** Tokens of a side that are shown. */
  visible(side) {
    const tokens = this.sentence[side];
    const isCut = this.hider?.checked && tokens.length > 1 && tokens.at(-1) === this.data.end;
    return isCut ? tokens.slice(0, -1) : tokens;
  }

  async follow(detail) {
    await super.follow(detail);
    const { cell, isHidden } = detail;
    if (isHidden !== undefined && this.hider) this.hideEnds(isHidden);
    if (cell && this.sentence) this.point(...cell);
  }

  choose(kind) {
    super.choose(kind);
    if (this.at) this.point(...this.at, true);
  }

  /** Labels, places and colours of the tokens that are shown. */
  lay() {
    const { source } = this.sentence;
    this.mirrored = 2 * source.filter((text) => RIGHT_TO_LEFT.test(text)).length > source.length;
    this.at = null;
    this.cursor.hidden = true;
    this.readout.replaceChildren(
      "Move the pointer over the matrix, or reach it with Tab and use the arrow keys.",
    );
    this.matrix.setAttribute(
      "aria-label",
      `sentence ${this.index + 1}: ${this.visible("source").length} source tokens across, ` +
        `${this.visible("target").length} target tokens down; arrow keys move`,
    );
    this.label();
    this.arrange();
    this.paint();
  }

  /** From the place of a column on the screen to its source position, and back. */
  column(place) {
    return this.mirrored ? this.visible("source").length - 1 - place : place;
  }

  label() {
    const named = (text, kind) => token(text, { class: kind, title: text });
    this.sources = this.visible("source").map((text) =>
      named(text, WIDE.test(text) ? "column upright" : "column"));
    this.targets = this.visible("target").map((text) => named(text, "row"));
    this.headings = this.measures.map(([, heading, explanation]) =>
      element("span", { class: "column heading", title: explanation }, heading));
    this.head.replaceChildren(...this.sources, ...this.headings);
    this.rows.replaceChildren(...this.targets);
  }

  resized() {
    if (!this.sentence || this.scroller.clientWidth === this.width) return;
    this.arrange();
    if (this.at) this.point(...this.at);
  }

  /** Sizes and places of everything, for the width there is. */
  arrange() {
    this.width = this.scroller.clientWidth;
    const columns = this.sources.length;
    const panels = PANEL * this.measures.length;
    const room = (this.width - this.rows.offsetWidth - panels - 40) / columns;
    this.cell = Math.max(SMALLEST, Math.min(LARGEST, Math.floor(room)));
    const matrix = this.cell * columns;
    const height = this.cell * this.targets.length;
    this.grid.style.setProperty("--cell", `${this.cell}px`);
    this.grid.classList.toggle("small", this.cell < 19);
    this.grid.classList.toggle("tiny", this.cell < 14);
    Object.assign(this.matrix.style, { width: `${matrix}px`, height: `${height}px` });
    const gap = panels ? 16 : 0;
    const middles = this.sources.map((_, s) => this.cell * (this.column(s) + 0.5));
    this.headings.forEach((_, m) => middles.push(matrix + gap + PANEL * m + 14));
    const labels = [...this.sources, ...this.headings];
    const sizes = labels.map((label) => [label.offsetWidth, label.offsetHeight]);
    let tallest = 0;
    let widest = matrix + gap + panels;
    labels.forEach((label, i) => {
      const [width, tall] = sizes[i];
      const upright = label.classList.contains("upright");
      label.style.left = `${middles[i] + (upright ? -width / 2 : (tall * Math.sin(SLANT)) / 2)}px`;
      const up = upright ? tall : width * Math.sin(SLANT) + tall * Math.cos(SLANT);
      tallest = Math.max(tallest, up + 10);
      if (!upright) widest = Math.max(widest, middles[i] + width * Math.cos(SLANT) + tall);
    });
    Object.assign(this.head.style, { width: `${widest}px`, height: `${tallest}px` });
    this.scroller.style.scrollPadding = `${tallest}px 0 0 ${this.rows.offsetWidth}px`;
    this.panels.style.marginLeft = `${gap}px`;
    this.bars(panels, height);
    this.mark();
  }

  /** Bars of each measure beside the rows. */
  bars(width, height) {
    for (const [key, value] of Object.entries({ width, height })) this.panels.setAttribute(key, value);
    this.panels.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const largest = {};
    for (const [name, , , scale] of this.measures) {
      const values = this.measured[name].map((value) => shownMeasure(name, value));
      largest[scale] = Math.max(largest[scale] ?? 1e-9, ...values.filter(Number.isFinite));
    }
    this.panels.replaceChildren();
    this.measures.forEach(([name, , , scale], m) => {
      const bars = this.measured[name].slice(0, this.targets.length).map((value, t) => {
        const part = Math.max(0, shownMeasure(name, value) / largest[scale]) || 0;
        const [top, tall] = [this.cell * (t + 0.2), this.cell * 0.6];
        return `M${PANEL * m} ${top}h${(Math.min(1, part) * (PANEL - 14)).toFixed(2)}v${tall}H${PANEL * m}z`;
      });
      this.panels.append(
        drawn("path", { class: `bar ${scale}`, d: bars.join("") }),
        drawn("path", { class: "axis", d: `M${PANEL * m} 0V${height}` }),
      );
    });
  }

  /** Rings around the gold links. */
  mark() {
    const { sure = [], possible = [] } = this.sentence.gold ?? {};
    const ring = (kind) => ([s, t]) => {
      const made = element("span", { class: `mark ${kind}` });
      made.style.transform = `translate(${this.cell * this.column(s)}px, ${this.cell * t}px)`;
      return made;
    };
    this.marks.replaceChildren(...possible.map(ring("possible")), ...sure.map(ring("sure")));
  }

  value(kind, row, column) {
    return this.matrices[kind][row * this.sentence.source.length + column];
  }

  paint() {
    const { colours, level, ends } = this.scaled(this.theme);
    this.paintScale({ colours, ends });
    const [columns, rows] = [this.sources.length, this.targets.length];
    const image = new ImageData(columns, rows);
    for (let row = 0; row < rows; row += 1) {
      for (let column = 0; column < columns; column += 1) {
        const place = row * columns + this.column(column);
        image.data.set([...colours[level(this.value(this.kind, row, column))], 255], 4 * place);
      }
    }
    Object.assign(this.canvas, { width: columns, height: rows });
    this.canvas.getContext("2d").putImageData(image, 0, 0);
  }

  pointed(event) {
    const box = this.canvas.getBoundingClientRect();
    const place = Math.floor((event.clientX - box.left) / this.cell);
    const row = Math.floor((event.clientY - box.top) / this.cell);
    if (place < 0 || row < 0 || place >= this.sources.length || row >= this.targets.length) return;
    const column = this.column(place);
    if (this.at?.[0] === row && this.at?.[1] === column) return;
    this.point(row, column);
    this.tell({ cell: this.at });
  }

  pressed(event) {
    const [row, column] = this.at ?? [0, this.column(0)];
    const place = this.column(column);
    const [lastRow, lastPlace] = [this.targets.length - 1, this.sources.length - 1];
    const moves = {
      ArrowLeft: [row, place - 1],
      ArrowRight: [row, place + 1],
      ArrowUp: [row - 1, place],
      ArrowDown: [row + 1, place],
      Home: [event.ctrlKey ? 0 : row, 0],
      End: [event.ctrlKey ? lastRow : row, lastPlace],
      PageUp: [row - PAGE, place],
      PageDown: [row + PAGE, place],
    };
    if (!Object.hasOwn(moves, event.key) || event.altKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    const within = (value, last) => Math.min(last, Math.max(0, value));
    const [toRow, toPlace] = moves[event.key];
    this.point(within(toRow, lastRow), this.column(within(toPlace, lastPlace)), true);
    this.tell({ cell: this.at });
    this.cursor.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  /** Make a cell the current one; when keys brought us there it is also spoken. */
  point(row, column, isSpoken = false) {
    if (this.at) {
      this.targets[this.at[0]].classList.remove("current");
      this.sources[this.at[1]].classList.remove("current");
    }
    this.at = [row, column];
    this.targets[row].classList.add("current");
    this.sources[column].classList.add("current");
    this.cursor.hidden = false;
    const [x, y] = [this.cell * this.column(column), this.cell * row];
    this.cursor.style.transform = `translate(${x}px, ${y}px)`;
    const [source, target] = [this.sentence.source[column], this.sentence.target[row]];
    const gold = this.goldOf(column, row);
    const shown = this.data.kinds.includes(this.kind)
      ? this.data.kinds
      : [...this.data.kinds, this.kind];
    const first = element("div", { class: "tokens" });
    first.append(token(source), element("span", { class: "quiet" }, " → "), token(target));
    first.append(...shown.map((name) => this.figure(name, this.labels[name], this.valueText(name))));
    if (gold) first.append(this.figure("gold", "gold", gold));
    this.readout.replaceChildren(first, this.figures(row));
    const intervals = this.data.concentrations.map((kind) => [kind, this.intervalText(kind)]);
    for (const [kind, text] of intervals) {
      const alpha = this.concentrations[kind][row * this.sentence.source.length + column];
      const line = element("div", { class: "quiet" }, `Dirichlet ${kind}, its mean above:`);
      line.append(
        this.figure(`${kind}-concentration`, "concentration", alpha.toPrecision(3)),
        this.figure(`${kind}-interval`, "95 % within", text),
      );
      this.readout.append(line);
    }
    if (isSpoken) {
      const interval = Object.fromEntries(intervals)[this.kind];
      this.live.textContent = `source ${source}, target ${target}: ${this.labels[this.kind]} ` +
        `${this.valueText(this.kind)}${interval ? `, 95 % within ${interval}` : ""}` +
        `${gold ? `, gold ${gold}` : ""}`;
    }
  }

  /** Credible interval of the current cell's weight. */
  intervalText(kind) {
    const [row, column] = this.at;
    const columns = this.sentence.source.length;
    const all = this.concentrations[kind].subarray(row * columns, (row + 1) * columns);
    // Summed without the weight itself: with one source position nothing may remain of it.
    const others = all.reduce((sum, value, s) => (s === column ? sum : sum + value), 0);
    return credibleInterval(all[column], others).map(probabilityText).join(" and ");
  }

  valueText(name) {
    const value = this.value(name, ...this.at);
    return name.includes("-") ? differenceText(value) : probabilityText(value);
  }

  goldOf(column, row) {
    const among = (links) => links.some(([s, t]) => s === column && t === row);
    if (!this.sentence.gold) return "";
    if (among(this.sentence.gold.sure)) return "sure";
    return among(this.sentence.gold.possible) ? "possible" : "none";
  }
}

start(View, "alignments");
