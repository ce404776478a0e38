// The view: one object of this class for every element of the page that holds a posterior.

const SMALLEST = 12;
const LARGEST = 30;
const PANEL = 58;
const SLANT = (55 * Math.PI) / 180;
const SEARCH_FROM = 10;
const PAGE = 10;

const WIDE = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]/u;
const RIGHT_TO_LEFT = /[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Syriac}\p{Script=Thaana}]/u;

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function drawn(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** A token in its own direction, whatever stands around it. */
function token(text, attributes = {}) {
  return element("bdi", { dir: "auto", ...attributes }, text);
}

class View {
  constructor(host, data) {
    this.host = host;
    this.data = data;
    this.measures = MEASURES.filter(([name]) => data.measures.includes(name));
    this.build(host.attachShadow({ mode: "open" }));
    host.dataset.lmSuppressShortcuts = "true"; // JupyterLab's, while the focus is in here
    host.addEventListener("pyro-align-show", ({ detail }) => this.go(detail.sentence));
    host.addEventListener("pyro-align-follow", ({ detail }) => this.follow(detail));
    watchTheme(host, () => this.retheme());
    new ResizeObserver(() => this.resized()).observe(this.scroller);
    this.retheme();
    this.show(0);
  }

  build(root) {
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
    this.live = element("div", { class: "unseen", "aria-live": "polite" });
    const top = element("div", { class: "top" }, this.heading(), this.picker());
    const controls = element("div", { class: "controls" }, this.switch(), this.legend(), this.tools());
    this.frame = element("div", { class: "frame", dir: "ltr" });
    this.frame.append(top, controls, this.readout, this.scroller, this.live);
    root.append(element("style", {}, this.data.style), this.frame);
    this.matrix.addEventListener("pointermove", (event) => this.pointed(event));
    this.matrix.addEventListener("keydown", (event) => this.pressed(event));
    this.matrix.addEventListener("focus", () => this.at || this.point(0, this.column(0), true));
  }

  heading() {
    return element("div", { class: "title" }, token(this.data.title));
  }

  picker() {
    const { sentences } = this.data;
    this.select = element("select", { "aria-label": "sentence" });
    this.select.addEventListener("change", () => this.go(Number(this.select.value)));
    const step = (name, sign, by) => {
      const button = element("button", { type: "button", "aria-label": `${name} sentence` }, sign);
      button.addEventListener("click", () => {
        const to = this.select.selectedIndex + by;
        const option = this.select.options[Math.min(this.select.length - 1, Math.max(0, to))];
        if (option) this.go(Number(option.value));
      });
      return button;
    };
    const box = element("div", { class: "picker" });
    if (sentences.length > SEARCH_FROM) {
      const search = element("input", { type: "search", placeholder: "search sentences" });
      search.setAttribute("aria-label", "search sentences");
      search.addEventListener("input", () => this.offer(search.value));
      box.append(search);
    }
    box.append(step("previous", "‹", -1), this.select, step("next", "›", 1));
    this.texts = sentences.map(({ source, target }) => [this.text(source), this.text(target)]);
    this.offer("");
    return box;
  }

  text(tokens) {
    const inner = tokens.at(-1) === this.data.end ? tokens.slice(0, -1) : tokens;
    if (this.data.units === "words") return inner.join(" ");
    return inner.join("").replaceAll("▁", " ").trim();
  }

  /** Fill the list with the sentences that hold a text; none of them is on show: show the first. */
  offer(wanted) {
    const found = this.texts.flatMap((sides, index) => {
      if (!sides.some((side) => side.toLowerCase().includes(wanted.toLowerCase()))) return [];
      const text = sides[0].length > 90 ? `${sides[0].slice(0, 90)}…` : sides[0];
      return [element("option", { value: index, dir: "auto" }, `${index + 1}. ${text}`)];
    });
    this.select.replaceChildren(...found);
    if (!found.length) return;
    if (found.some((option) => Number(option.value) === this.index)) this.select.value = this.index;
    else if (wanted) this.go(Number(found[0].value));
  }

  switch() {
    const { kinds } = this.data;
    const offered = kinds.map((kind) => [kind, ...KINDS[kind]]);
    for (const [name, more, less, label] of DIFFERENCES) {
      if (kinds.includes(more) && kinds.includes(less)) {
        offered.push([name, label, `difference, cell by cell: ${KINDS[more][0]} less ${KINDS[less][0]}`]);
      }
    }
    this.labels = Object.fromEntries(offered);
    this.kind = kinds.at(-1);
    this.inputs = {};
    const box = element("div", { class: "switch", role: "radiogroup", "aria-label": "shown" });
    for (const [name, label, explanation] of offered) {
      const input = element("input", { type: "radio", name: "kind", value: name });
      input.checked = name === this.kind;
      this.inputs[name] = input;
      input.addEventListener("change", () => {
        this.choose(name);
        this.tell({ kind: name });
      });
      box.append(element("label", { title: explanation }, input, element("span", {}, label)));
    }
    return box;
  }

  legend() {
    this.least = element("span");
    this.most = element("span");
    this.scale = element("canvas", { width: LEVELS, height: 1, "aria-hidden": "true" });
    const box = element("div", { class: "legend" }, this.least, this.scale, this.most);
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

  /** Show a sentence here and in the views beside this one. */
  go(index) {
    this.show(index);
    this.tell({ sentence: index });
  }

  /** Have the other views of a group do what was done here. */
  tell(detail) {
    const group = this.host.closest("[data-pyro-align-group]");
    for (const other of group?.querySelectorAll("[data-pyro-align]") ?? []) {
      if (other !== this.host) other.dispatchEvent(new CustomEvent("pyro-align-follow", { detail }));
    }
  }

  async follow({ sentence, kind, cell, isHidden }) {
    if (sentence !== undefined) await this.show(sentence);
    if (isHidden !== undefined && this.hider) this.hideEnds(isHidden);
    if (this.inputs[kind]) {
      this.inputs[kind].checked = true;
      this.choose(kind);
    }
    if (cell && this.sentence) this.point(...cell);
  }

  choose(kind) {
    this.kind = kind;
    this.paint();
    if (this.at) this.point(...this.at, true);
  }

  retheme() {
    this.theme = themeAround(this.host);
    this.frame.dataset.theme = this.theme;
    if (this.matrices) this.paint();
  }

  async show(index) {
    this.index = index;
    const sentence = this.data.sentences[index];
    const { matrices, measures, concentrations } = await unpacked(this.data, sentence);
    if (this.index !== index) return; // another was chosen in the meantime
    this.sentence = sentence;
    this.matrices = matrices;
    this.measured = measures;
    this.concentrations = concentrations;
    this.select.value = index;
    this.mirrored = 2 * sentence.source.filter((text) => RIGHT_TO_LEFT.test(text)).length
      > sentence.source.length;
    this.lay();
    this.host.dataset.sentence = index;
  }

  /** Labels, places and colours of the tokens that are shown. */
  lay() {
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

  /** Colours of a theme, the level of a value among them, and what stands at the ends of the scale. */
  scaled(theme) {
    const isDifference = this.kind.includes("-");
    const values = this.matrices[this.kind];
    const limit = isDifference ? values.reduce((most, v) => Math.max(most, Math.abs(v)), 0.05) : 1;
    const from = isDifference ? -limit : 0;
    const level = (value) =>
      Math.min(LEVELS - 1, Math.max(0, Math.round(((LEVELS - 1) * (value - from)) / (limit - from))));
    const ends = isDifference ? [-limit, limit].map(differenceText) : ["0", "1"];
    return { colours: colourScale(theme, isDifference), level, ends };
  }

  paint() {
    const { colours, level, ends } = this.scaled(this.theme);
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
    const scale = new ImageData(LEVELS, 1);
    colours.forEach((colour, i) => scale.data.set([...colour, 255], 4 * i));
    this.scale.getContext("2d").putImageData(scale, 0, 0);
    [this.least.textContent, this.most.textContent] = ends;
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
    const figure = (name, label, value) =>
      element("span", { class: name === this.kind ? "figure current" : "figure", "data-name": name },
        `${label} `, element("b", {}, value));
    const first = element("div", { class: "tokens" });
    first.append(token(source), element("span", { class: "quiet" }, " → "), token(target));
    first.append(...shown.map((name) => figure(name, this.labels[name], this.valueText(name))));
    if (gold) first.append(figure("gold", "gold", gold));
    const second = element("div", { class: "quiet" }, "nats:");
    for (const [name, heading] of this.measures) {
      const value = shownMeasure(name, this.measured[name][row]);
      second.append(figure(name, heading, Number.isFinite(value) ? value.toFixed(3) : "–"));
    }
    this.readout.replaceChildren(first, second);
    const intervals = this.data.concentrations.map((kind) => [kind, this.intervalText(kind)]);
    for (const [kind, text] of intervals) {
      const alpha = this.concentrations[kind][row * this.sentence.source.length + column];
      const line = element("div", { class: "quiet" }, `Dirichlet ${kind}, its mean above:`);
      line.append(
        figure(`${kind}-concentration`, "concentration", alpha.toPrecision(3)),
        figure(`${kind}-interval`, "95 % within", text),
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

// The notebook may have moved this script away from its element, and may hold several of them.
const around = document.currentScript?.getRootNode() ?? document;
for (const host of around.querySelectorAll("[data-pyro-align]:not([data-ready])")) {
  host.dataset.ready = "";
  const data = host.querySelector("script[type='application/json']").textContent;
  new View(host, JSON.parse(data));
}
