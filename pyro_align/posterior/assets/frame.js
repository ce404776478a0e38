// What every view has: a heading, a list of items, a switch of distributions, a colour scale, a theme.

const SEARCH_FROM = 10;

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

/**
 * Base class of views. A subclass has the methods `build(root)`, which makes its elements; `lay()`,
 * which shows another item; `paint()`, which colours it; and `text(item)`, what is searched.
 */
class Frame {
  constructor(host, data, noun) {
    this.host = host;
    this.data = data;
    this.noun = noun;
    this.measures = MEASURES.filter(([name]) => data.measures.includes(name));
    this.live = element("div", { class: "unseen", "aria-live": "polite" });
    this.frame = element("div", { class: "frame", dir: "ltr" });
    const root = host.attachShadow({ mode: "open" });
    root.append(element("style", {}, data.style), this.frame);
    this.build();
    host.dataset.lmSuppressShortcuts = "true"; // JupyterLab's, while the focus is in here
    host.addEventListener("pyro-align-show", ({ detail }) => this.go(detail.sentence));
    host.addEventListener("pyro-align-follow", ({ detail }) => this.follow(detail));
    watchTheme(host, () => this.retheme());
    this.retheme();
    this.show(0);
  }

  heading() {
    return element("div", { class: "title" }, token(this.data.title));
  }

  /** A list of the items with a search, and buttons for the previous and next one. */
  picker() {
    const { sentences } = this.data;
    this.select = element("select", { "aria-label": this.noun });
    this.select.addEventListener("change", () => this.go(Number(this.select.value)));
    const step = (name, sign, by) => {
      const label = { "aria-label": `${name} ${this.noun}` };
      const button = element("button", { type: "button", ...label }, sign);
      button.addEventListener("click", () => {
        const to = this.select.selectedIndex + by;
        const option = this.select.options[Math.min(this.select.length - 1, Math.max(0, to))];
        if (option) this.go(Number(option.value));
      });
      return button;
    };
    const box = element("div", { class: "picker" });
    if (sentences.length > SEARCH_FROM) {
      const search = element("input", { type: "search", placeholder: `search ${this.noun}s` });
      search.setAttribute("aria-label", `search ${this.noun}s`);
      search.addEventListener("input", () => this.offer(search.value));
      box.append(search);
    }
    box.append(step("previous", "‹", -1), this.select, step("next", "›", 1));
    this.texts = sentences.map((sentence) => this.text(sentence));
    this.listed = sentences.map((_, index) => index);
    this.offer("");
    return box;
  }

  /** Fill the list with the items that hold a text; none of them is on show: show the first. */
  offer(wanted) {
    this.wanted = wanted;
    const found = this.listed.flatMap((index) => {
      const sides = this.texts[index];
      if (!sides.some((side) => side.toLowerCase().includes(wanted.toLowerCase()))) return [];
      const text = sides[0].length > 90 ? `${sides[0].slice(0, 90)}…` : sides[0];
      return [element("option", { value: index, dir: "auto" }, `${index + 1}. ${text}`)];
    });
    this.select.replaceChildren(...found);
    if (!found.length) return;
    if (found.some((option) => Number(option.value) === this.index)) this.select.value = this.index;
    else if (wanted) this.go(Number(found[0].value));
  }

  /** Which distribution or difference is shown, given what each distribution is. */
  switch(explained = KINDS) {
    const { kinds } = this.data;
    const offered = kinds.map((kind) => [kind, ...explained[kind]]);
    for (const [name, more, less, label] of DIFFERENCES) {
      if (kinds.includes(more) && kinds.includes(less)) {
        offered.push([name, label, `difference, one by one: ${KINDS[more][0]} less ${KINDS[less][0]}`]);
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

  /** The colour scale and what stands at its ends. */
  legend() {
    this.least = element("span");
    this.most = element("span");
    this.scale = element("canvas", { width: LEVELS, height: 1, "aria-hidden": "true" });
    return element("div", { class: "legend" }, this.least, this.scale, this.most);
  }

  /** Show an item here and in the views beside this one. */
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

  async follow({ sentence, kind }) {
    if (sentence !== undefined) await this.show(sentence);
    if (this.inputs[kind]) {
      this.inputs[kind].checked = true;
      this.choose(kind);
    }
  }

  choose(kind) {
    this.kind = kind;
    this.paint();
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
    this.lay();
    this.host.dataset.sentence = index;
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
    return { colours: colourScale(theme, isDifference), level, ends, limit };
  }

  paintScale({ colours, ends }) {
    const scale = new ImageData(LEVELS, 1);
    colours.forEach((colour, i) => scale.data.set([...colour, 255], 4 * i));
    this.scale.getContext("2d").putImageData(scale, 0, 0);
    [this.least.textContent, this.most.textContent] = ends;
  }

  /** A name and its figure; that of the distribution on show stands out. */
  figure(name, label, value) {
    const kind = name === this.kind ? "figure current" : "figure";
    return element("span", { class: kind, "data-name": name }, `${label} `, element("b", {}, value));
  }

  /** Figures of the measures of one target position. */
  figures(row) {
    const line = element("div", { class: "quiet" }, "nats:");
    for (const [name, heading] of this.measures) {
      const value = shownMeasure(name, this.measured[name][row]);
      line.append(this.figure(name, heading, Number.isFinite(value) ? value.toFixed(3) : "–"));
    }
    return line;
  }
}

/** Make a view of every element on the page that has this kind of posterior and no view yet. */
function start(View, kind) {
  // The notebook may have moved this script away from its element, and may hold several of them.
  const around = document.currentScript?.getRootNode() ?? document;
  for (const host of around.querySelectorAll(`[data-pyro-align='${kind}']:not([data-ready])`)) {
    host.dataset.ready = "";
    new View(host, JSON.parse(host.querySelector("script[type='application/json']").textContent));
  }
}
