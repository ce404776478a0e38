// The view of questions: an image whose regions are shaded by their probability, and the answers.

const VEIL = 0.62;
const DETAIL = 320;
const TAGGED = 3;
const TAGGED_FROM = 0.05;
const SVG_WIDTH = 1000;

/** Colour behind an image, as red, green and blue. */
const BEHIND = { light: "255 255 255", dark: "16 18 23" };

const REGION_KINDS = {
  prior: ["prior", "p(z | image, question): the region that the model expects to need"],
  guide: ["guide", "q(z | image, question, answer): what the variational guide believes"],
  posterior: ["exact posterior", "p(z | image, question, answer): what question and answer imply"],
};

class AnswerView extends Frame {
  constructor(host, data) {
    super(host, data, "question");
  }

  build() {
    this.image = element("img", { draggable: "false" });
    this.canvas = element("canvas");
    this.frames = drawn("svg", { class: "regions", "aria-hidden": "true" });
    this.tags = element("div", { class: "tags", "aria-hidden": "true" });
    this.stage = element("div", { class: "stage", tabindex: 0, role: "application" });
    this.stage.append(this.image, this.canvas, this.frames, this.tags);
    this.question = element("p", { class: "question" });
    this.verdict = element("p", { class: "quiet verdict" });
    this.answers = element("ol", { class: "answers" });
    this.condition = element("p", { class: "quiet" });
    this.rows = element("tbody");
    this.table = element("table", {}, element("caption", {}, "regions, largest value first"));
    const head = ["region", ...this.data.kinds, "gold"];
    const cells = head.map((name) => element("th", { scope: "col" }, name));
    this.table.append(element("thead", {}, element("tr", {}, ...cells)), this.rows);
    this.readout = element("div", { class: "readout tall" });
    const scrolled = element("div", { class: "scrolled", tabindex: 0, role: "group", "aria-label": "table of regions" });
    scrolled.append(this.table);
    const beside = element("div", { class: "beside" }, this.question, this.verdict, this.answers, this.condition, scrolled);
    const left = element("div", { class: "left" }, this.stage, this.readout);
    const top = element("div", { class: "top" }, this.heading(), this.picker());
    const controls = element("div", { class: "controls" }, this.switch(REGION_KINDS), this.legend());
    this.frame.append(top, controls, element("div", { class: "scene" }, left, beside), this.live);
    this.stage.addEventListener("pointermove", (event) => this.pointed(event));
    this.stage.addEventListener("keydown", (event) => this.pressed(event));
    this.stage.addEventListener("focus", () => this.at ?? this.point(this.ranked()[0], true));
  }

  /** The list of questions, with a choice of its order. */
  picker() {
    const box = super.picker();
    const { orders } = this.data;
    const order = element("select", { class: "order", "aria-label": "order of questions" });
    order.append(...orders.map(([name, label]) => element("option", { value: name }, label)));
    order.addEventListener("change", () => {
      [, , this.listed] = orders.find(([name]) => name === order.value);
      this.offer(this.wanted);
      if (this.select.options.length) this.go(Number(this.select.options[0].value));
    });
    box.prepend(order);
    return box;
  }

  text({ text, answer, answers, id }) {
    return [text, answer ?? "", answers[0][0], id];
  }

  legend() {
    const box = super.legend();
    if (this.data.sentences.some(({ gold }) => gold)) {
      box.append(element("span", { class: "mark sure" }), "gold region");
    }
    return box;
  }

  async follow(detail) {
    await super.follow(detail);
    if (detail.region !== undefined && this.sentence) this.point(detail.region);
  }

  choose(kind) {
    super.choose(kind);
    if (this.at !== null) this.point(this.at, true);
  }

  /** Show another question: its image, answers and table. */
  lay() {
    this.at = null;
    const { text, id, kind, image } = this.sentence;
    this.scene = this.data.images[image];
    const { width, height, url } = this.scene;
    const limit = `min(100%, 490px, ${((65 * width) / height).toFixed(2)}vh)`;
    Object.assign(this.stage.style, { aspectRatio: `${width} / ${height}`, width: limit });
    this.image.hidden = !url;
    if (url) this.image.src = url;
    this.image.alt = "";
    this.gold = new Set((this.sentence.gold?.sure ?? []).map(([region]) => region));
    this.question.replaceChildren(token(text), " ", element("span", { class: "quiet" }, token([kind, id].filter(Boolean).join(", "))));
    this.readout.replaceChildren(
      "Move the pointer over the image, or reach it with Tab: the arrow keys move to a neighbour, " +
        "Page Up and Page Down to a more or less probable region, Home to the most probable one.",
    );
    const named = `question ${this.index + 1}: image with ${this.sentence.source.length} regions`;
    this.stage.setAttribute("aria-label", `${named}; arrow keys move`);
    this.layAnswers();
    this.paint();
  }

  /** Bars of the answers; the correct one is outlined. */
  layAnswers() {
    const { answers, answer, given, target } = this.sentence;
    const bars = answers.map(([text, probability], place) => {
      const isGold = text === answer;
      const bar = element("div", { class: "part", style: `width: ${(100 * probability).toFixed(2)}%` });
      const line = element("li", { class: isGold ? "gold" : "" });
      line.append(element("div", { class: "bar" }, bar), token(text), element("b", {}, probabilityText(probability)));
      const notes = [given[text] > 1 && `given ${given[text]} times`, isGold && "correct", place === 0 && "most probable"];
      line.title = notes.filter(Boolean).join(", ");
      if (isGold) line.append(element("span", { class: "unseen" }, "(correct answer)"));
      return line;
    });
    this.answers.replaceChildren(...bars);
    const rest = 1 - answers.reduce((sum, [, probability]) => sum + probability, 0);
    const verdict = answer === null ? "" : answers[0][0] === answer ? "✓ right" : "✗ wrong";
    this.verdict.replaceChildren(element("b", { class: verdict.slice(2) }, verdict));
    if (verdict.endsWith("wrong")) this.verdict.append(", the correct answer is ", token(answer));
    if (rest > 0.0005) this.verdict.append(`${verdict ? "; " : ""}all other answers: ${probabilityText(rest)}`);
    const later = this.data.kinds.slice(1).map((kind) => REGION_KINDS[kind][0]).join(" and ");
    this.condition.replaceChildren(`${later}: given the answer `, token(target[0]));
    this.condition.hidden = this.data.kinds.length < 2;
  }

  value(kind, region) {
    return this.matrices[kind][region];
  }

  valueText(kind, region) {
    const value = this.value(kind, region);
    return kind.includes("-") ? differenceText(value) : probabilityText(value);
  }

  /** Regions by the value on show, the largest first; in the order of their numbers if equal. */
  ranked() {
    const values = this.matrices[this.kind];
    return [...values.keys()].sort((a, b) => values[b] - values[a] || a - b);
  }

  paint() {
    const scale = this.scaled(this.theme);
    this.paintScale(scale);
    const { source } = this.sentence;
    const size = source.map((_, region) => Math.abs(this.value(this.kind, region)) / scale.limit);
    // Where regions overlap, that of the largest value is on top.
    const upwards = [...source.keys()].sort((a, b) => size[a] - size[b] || b - a);
    const colours = source.map((_, region) => `rgb(${scale.colours[scale.level(this.value(this.kind, region))].join(" ")})`);
    this.shade(upwards, size, colours);
    this.outline(upwards, size, colours);
    this.list(colours);
  }

  /** The less probable a region, the more it is veiled; without a picture it has its colour. */
  shade(upwards, size, colours) {
    const { width, height, boxes, url } = this.scene;
    const detail = DETAIL / Math.max(width, height);
    const [across, down] = [width, height].map((side) => Math.max(1, Math.round(side * detail)));
    Object.assign(this.canvas, { width: across, height: down });
    const pen = this.canvas.getContext("2d");
    const veil = (part) => `rgb(${BEHIND[this.theme]} / ${VEIL * (1 - part)})`;
    if (url) {
      pen.fillStyle = veil(0);
      pen.fillRect(0, 0, across, down);
    }
    for (const region of upwards) {
      const [left, top, right, bottom] = boxes[region].map((edge, i) => Math.round(edge * (i % 2 ? down : across)));
      const box = [left, top, Math.max(1, right - left), Math.max(1, bottom - top)];
      pen.clearRect(...box);
      pen.fillStyle = url ? veil(size[region]) : colours[region];
      pen.fillRect(...box);
    }
  }

  /** Left, top, width and height of a region on the drawing, widened by a margin. */
  place(region, margin = 0) {
    const tall = (SVG_WIDTH * this.scene.height) / this.scene.width;
    const [left, top, right, bottom] = this.scene.boxes[region];
    const [x, y] = [left * SVG_WIDTH - margin, top * tall - margin];
    return { x, y, width: (right - left) * SVG_WIDTH + 2 * margin, height: (bottom - top) * tall + 2 * margin };
  }

  /** Frames of the regions in the colours of the scale; gold regions and the current one. */
  outline(upwards, size, colours) {
    const tall = (SVG_WIDTH * this.scene.height) / this.scene.width;
    this.frames.setAttribute("viewBox", `0 0 ${SVG_WIDTH} ${tall}`);
    const frames = upwards.flatMap((region) => {
      const opacity = Math.min(1, 0.35 + 2 * size[region]);
      const colour = { "data-region": region, style: `stroke: ${colours[region]}; stroke-opacity: ${opacity}` };
      const halo = drawn("rect", { class: "halo", ...this.place(region), "stroke-opacity": opacity });
      const frame = drawn("rect", { class: "region", ...this.place(region), ...colour });
      return this.scene.url ? [halo, frame] : [frame];
    });
    const gold = [...this.gold].flatMap((region) =>
      ["gold-edge", "gold"].map((kind) => drawn("rect", { class: kind, ...this.place(region, 8), rx: 6 })));
    this.cursor = ["here-edge", "here"].map((kind) => drawn("rect", { class: kind, visibility: "hidden" }));
    this.frames.replaceChildren(...frames, ...gold, ...this.cursor);
    this.surround();
    const tagged = this.ranked().filter((region) => size[region] >= TAGGED_FROM).slice(0, TAGGED);
    this.tags.replaceChildren(...tagged.map((region) => {
      const [left, top] = this.scene.boxes[region];
      const style = `left: ${100 * left}%; top: ${100 * top}%`;
      return element("span", { style }, this.valueText(this.kind, region));
    }));
  }

  surround() {
    if (this.at === null) return;
    for (const part of this.cursor) {
      for (const [name, value] of Object.entries(this.place(this.at))) part.setAttribute(name, value);
      part.removeAttribute("visibility");
    }
  }

  /** The table: a row for each region. */
  list(colours) {
    this.lines = {};
    const rows = this.ranked().map((region) => {
      const name = element("th", { scope: "row" });
      name.append(element("span", { class: "patch", style: `background: ${colours[region]}` }), token(this.sentence.source[region]));
      const cells = this.data.kinds.map((kind) =>
        element("td", { class: kind === this.kind ? "current" : "" }, probabilityText(this.value(kind, region))));
      const row = element("tr", { "data-region": region }, name, ...cells, element("td", {}, this.gold.has(region) ? "gold" : ""));
      row.addEventListener("pointerenter", () => this.reach(region));
      this.lines[region] = row;
      return row;
    });
    this.rows.replaceChildren(...rows);
    if (this.at !== null) this.lines[this.at].classList.add("chosen");
  }

  /** The smallest region under the pointer. */
  pointed(event) {
    const frame = this.canvas.getBoundingClientRect();
    const x = (event.clientX - frame.left) / frame.width;
    const y = (event.clientY - frame.top) / frame.height;
    const area = ([left, top, right, bottom]) => (right - left) * (bottom - top);
    let found = null;
    this.scene.boxes.forEach((box, region) => {
      const [left, top, right, bottom] = box;
      if (x < left || x > right || y < top || y > bottom) return;
      if (found === null || area(box) < area(this.scene.boxes[found])) found = region;
    });
    if (found !== null) this.reach(found);
  }

  /** Make a region the current one, here and in the views beside this one. */
  reach(region, isSpoken = false) {
    if (region === this.at) return;
    this.point(region, isSpoken);
    this.tell({ region });
  }

  pressed(event) {
    const ranked = this.ranked();
    const [at, last] = [this.at ?? ranked[0], ranked.length - 1];
    const rank = ranked.indexOf(at);
    const moves = {
      ArrowLeft: () => this.neighbour(at, -1, 0),
      ArrowRight: () => this.neighbour(at, 1, 0),
      ArrowUp: () => this.neighbour(at, 0, -1),
      ArrowDown: () => this.neighbour(at, 0, 1),
      Home: () => ranked[0],
      End: () => ranked[last],
      PageUp: () => ranked[Math.max(0, rank - 1)],
      PageDown: () => ranked[Math.min(last, rank + 1)],
    };
    if (!Object.hasOwn(moves, event.key) || event.altKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    this.reach(moves[event.key](), true);
    this.lines[this.at].scrollIntoView({ block: "nearest" });
  }

  /** The nearest region in a direction by its centre, itself if there is none. */
  neighbour(from, across, down) {
    const { width, height, boxes } = this.scene;
    const centre = ([left, top, right, bottom]) => [((left + right) / 2) * width, ((top + bottom) / 2) * height];
    const [x, y] = centre(boxes[from]);
    let [found, least] = [from, Infinity];
    boxes.forEach((box, region) => {
      const [dx, dy] = centre(box).map((value, i) => value - [x, y][i]);
      const along = dx * across + dy * down;
      const cost = along + 2 * Math.abs(dx * down + dy * across);
      if (along > 1e-6 * width && cost < least) [found, least] = [region, cost];
    });
    return found;
  }

  /** Show the figures of a region; when keys brought us there they are also spoken. */
  point(region, isSpoken = false) {
    if (this.at !== null) this.lines[this.at].classList.remove("chosen");
    this.at = region;
    this.lines[region].classList.add("chosen");
    this.surround();
    const name = this.sentence.source[region];
    const { kinds } = this.data;
    const listed = kinds.includes(this.kind) ? kinds : [...kinds, this.kind];
    const first = element("div", { class: "tokens" }, token(name));
    first.append(...listed.map((kind) => this.figure(kind, this.labels[kind], this.valueText(kind, region))));
    const gold = this.sentence.gold ? (this.gold.has(region) ? "yes" : "no") : "";
    if (gold) first.append(this.figure("gold", "gold", gold));
    this.readout.replaceChildren(first, this.figures(0));
    if (isSpoken) {
      this.live.textContent = `${name}: ${this.labels[this.kind]} ${this.valueText(this.kind, region)}` +
        `${gold === "yes" ? ", gold region" : ""}`;
    }
  }
}

start(AnswerView, "answers");
