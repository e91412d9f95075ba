// The charts' colours. Charts are drawn on a canvas, which style sheets do not reach, so they take
// their colours from the style sheet's custom properties; no script has a colour of its own.

const PROPERTIES = {
  up: "--up",
  down: "--down",
  accent: "--accent",
  warn: "--warn",
  text: "--dim",
  border: "--line",
  grid: "--chart-grid",
  back: "--chart-back",
  upVolume: "--up-volume",
  downVolume: "--down-volume",
  areaTop: "--area-top",
  areaBottom: "--area-bottom",
};

const probe = document.createElement("i");
probe.hidden = true;
document.body.append(probe);

/** The colours as `rgb(…)` or `rgba(…)`, whatever notation the style sheet uses. */
export const palette = {};

function read() {
  for (const [name, property] of Object.entries(PROPERTIES)) {
    probe.style.color = `var(${property})`;
    palette[name] = getComputedStyle(probe).color;
  }
}

/** Call `changed` whenever the reader's system switches its colour scheme. */
export function onColourScheme(changed) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    read();
    changed();
  });
}

read();
