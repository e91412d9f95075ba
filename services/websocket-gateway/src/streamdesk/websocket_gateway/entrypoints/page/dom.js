// Builds the page. All text is set through textContent: nothing received is ever parsed as HTML.

/** An element with properties, attributes (`attrs`) and children (nodes or text). */
export function el(tag, properties = {}, ...children) {
  const { attrs = {}, ...rest } = properties;
  const node = Object.assign(document.createElement(tag), rest);
  for (const [name, value] of Object.entries(attrs)) node.setAttribute(name, value);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export const byId = (id) => document.getElementById(id);

/** Change text only where it differs, which keeps selections and spares screen readers. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const SVG = "http://www.w3.org/2000/svg";

export function svg(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** A horizontal bar with its value beside it. `share` runs from 0 to 1, `tone` is a colour class. */
export function meter(share, text, tone, width = 54) {
  const length = Math.max(0, Math.min(1, share)) * width;
  const bar = svg(
    "svg",
    { width, height: 6, "aria-hidden": "true" },
    svg("rect", { width: length, height: 6, class: tone }),
  );
  return el("span", { className: "meter" }, bar, el("b", { textContent: text }));
}

/** A line of recent values, scaled to its own largest. */
export function sparkline(values, { width = 74, height = 16, className = "" } = {}) {
  const top = Math.max(1e-9, ...values);
  const step = width / Math.max(1, values.length - 1);
  const points = values
    .map(
      (value, i) =>
        `${(i * step).toFixed(1)},${(height - 1 - (value / top) * (height - 2)).toFixed(1)}`,
    )
    .join(" ");
  return svg(
    "svg",
    { width, height, class: `spark ${className}`, "aria-hidden": "true" },
    svg("polyline", { points }),
  );
}

const PAIR = /^(.+?)(USDT|USDC|BTC|ETH|EUR|USD)$/;

/** AAPL.US -> AAPL, .US; BTCUSDT -> BTC, USDT. */
function symbolParts(symbol) {
  const dot = symbol.lastIndexOf(".");
  if (dot >= 0) return [symbol.slice(0, dot), symbol.slice(dot)];
  return PAIR.exec(symbol)?.slice(1) ?? [symbol, ""];
}

const symbolNodes = (symbol) => {
  const [name, rest] = symbolParts(symbol);
  return [name, el("small", { textContent: rest })];
};

/** A symbol as a button that shows its chart; the market is in small print. */
export function symbolButton(symbol) {
  return el(
    "button",
    {
      className: "symbol",
      type: "button",
      title: `Show ${symbol}`,
      attrs: { "data-symbol": symbol },
    },
    ...symbolNodes(symbol),
  );
}

/** A symbol without a chart. */
export function symbolText(symbol) {
  return el("span", { className: "symbol" }, ...symbolNodes(symbol));
}

function flash(node) {
  node.classList.add("fresh");
  setTimeout(() => node.classList.remove("fresh"), 1600);
}

/**
 * Rows (or list items) by key, newest first, at most `max`. `draw(item)` gives one node or several;
 * a known key is redrawn in its place.
 */
export class Rows {
  constructor(parent, max, draw) {
    this.parent = parent;
    this.max = max;
    this.draw = draw;
    this.nodes = new Map();
    this.empty = parent.closest(".body").querySelector(".empty");
  }

  put(key, item, { fresh = true } = {}) {
    const nodes = [this.draw(item)].flat();
    const known = this.nodes.get(key);
    if (known) {
      known[0].before(...nodes);
      for (const node of known) node.remove();
    } else {
      if (fresh) flash(nodes[0]);
      this.parent.prepend(...nodes);
    }
    this.nodes.set(key, nodes);
    while (this.nodes.size > this.max) this.drop(this.nodes.keys().next().value);
    this.empty.hidden = true;
  }

  drop(key) {
    for (const node of this.nodes.get(key)) node.remove();
    this.nodes.delete(key);
    this.empty.hidden = this.nodes.size > 0;
  }

  /** Exactly these, in this order: for tables that show a state rather than a history. */
  replace(entries) {
    const nodes = entries.flatMap(([, item]) => this.draw(item));
    this.parent.replaceChildren(...nodes);
    this.empty.hidden = nodes.length > 0;
  }
}
