// Light or dark, as the notebook or page around a view is.

/** What the application says of itself, else what lies behind the element. */
function themeAround(host) {
  const { body, documentElement: root } = document;
  const vscode = body.className.match(/vscode-(high-contrast-light|high-contrast|light|dark)/);
  if (vscode) return vscode[1].endsWith("light") ? "light" : "dark";
  if (body.dataset.jpThemeLight) return body.dataset.jpThemeLight === "true" ? "light" : "dark";
  for (let element = host; element; element = element.parentElement ?? shadowHost(element)) {
    const parts = getComputedStyle(element).backgroundColor.match(/[\d.]+/g)?.map(Number) ?? [];
    const [red, green, blue, alpha = 1] = parts;
    if (parts.length >= 3 && alpha > 0.5) {
      return 0.299 * red + 0.587 * green + 0.114 * blue < 128 ? "dark" : "light";
    }
  }
  const adapts = getComputedStyle(root).colorScheme.includes("dark");
  return adapts && matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

function shadowHost(element) {
  const root = element.getRootNode();
  return root instanceof ShadowRoot ? root.host : null;
}

/** Call `changed` whenever the theme may have changed, as long as the element is on the page. */
function watchTheme(host, changed) {
  const media = matchMedia("(prefers-color-scheme: dark)");
  const observer = new MutationObserver(told);
  function told() {
    if (host.isConnected) return changed();
    observer.disconnect();
    media.removeEventListener("change", told);
  }
  for (const element of [document.documentElement, document.body]) {
    observer.observe(element, { attributeFilter: ["class", "style", "data-jp-theme-light", "theme"] });
  }
  media.addEventListener("change", told);
}
