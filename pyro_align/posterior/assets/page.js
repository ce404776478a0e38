// Buttons that name a sentence show it in the view.
for (const button of document.querySelectorAll("button[data-sentence]")) {
  button.addEventListener("click", () => {
    const view = document.querySelector("[data-pyro-align]");
    const detail = { sentence: Number(button.dataset.sentence) };
    view.dispatchEvent(new CustomEvent("pyro-align-show", { detail }));
    view.scrollIntoView({ behavior: "smooth", block: "start" });
  });
}
