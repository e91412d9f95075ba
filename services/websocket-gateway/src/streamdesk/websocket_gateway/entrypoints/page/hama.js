// The HAMA panel: the last state of each instrument, sorted and filtered by the reader.

import { cell, chip } from "./cells.js";
import { byId, el, meter, setText, symbolButton, symbolText } from "./dom.js";
import * as format from "./format.js";

const MAX_INSTRUMENTS = 10_000;
const MAX_ROWS = 400;
const FLASH_MS = 2400;
const CHIPS = { bullish: "buy", bearish: "sell", neutral: "" };
const TONES = { bullish: "up", bearish: "down", neutral: "dim" };
const RANKS = {
  bullish: 2,
  neutral: 1,
  bearish: 0,
  up: 2,
  flat: 1,
  down: 0,
  "cross-up": 2,
  "cross-down": 1,
  none: 0,
  expansion: 2,
  squeeze: 1,
  normal: 0,
};
const ARROWS = { up: ["↗", "up"], down: ["↘", "down"], flat: ["→", "dim"] };
const SIGNALS = { "cross-up": ["▲ up", "up"], "cross-down": ["▼ down", "down"] };
const BANDS = { squeeze: "warn", expansion: "accent" };
const NARROWED = {
  "": () => true,
  crossed: (item) => item.signal !== "none",
  squeeze: (item) => item.bollinger === "squeeze",
  expansion: (item) => item.bollinger === "expansion",
};
const ORDERS = {
  symbol: (a, b) => a.symbol.localeCompare(b.symbol, "en", { numeric: true }),
  state: (a, b) => RANKS[a.state] - RANKS[b.state] || a.score - b.score,
  score: (a, b) => a.score - b.score,
  trend: (a, b) => RANKS[a.trend] - RANKS[b.trend],
  signal: (a, b) => RANKS[a.signal] - RANKS[b.signal],
  bollinger: (a, b) => RANKS[a.bollinger] - RANKS[b.bollinger],
  when: (a, b) => a.asOf - b.asOf,
};

const note = (textContent, tone) => el("td", { className: `note ${tone}`, textContent });
/** What is typed, as symbols are spelled here: 0700.hk is 700.HK, brk-b is BRK.B. */
const spelled = (text) =>
  text
    .trim()
    .toUpperCase()
    .replace(/^0+(?=\d)/, "")
    .replaceAll("-", ".");
const nothing = () => note("–", "faint");

/** `hasChart(symbol)`: whether there are bars to show; then its name is a button. */
export class Hama {
  constructor({ hasChart }) {
    this.hasChart = hasChart;
    this.items = new Map(); // symbol -> its last state
    this.nodes = new Map(); // symbol -> its row
    this.changed = new Set();
    this.arrivals = 0;
    this.state = "";
    this.narrowed = "";
    this.search = "";
    this.sort = { by: "when", descending: true };
    this.body = byId("hama").tBodies[0];
    this.listen();
  }

  listen() {
    for (const button of byId("hama-states").children) {
      button.addEventListener("click", () => this.choose({ state: button.dataset.state }));
    }
    byId("hama-narrow").addEventListener("change", ({ target }) =>
      this.choose({ narrowed: target.value }),
    );
    byId("hama-search").addEventListener("input", ({ target }) =>
      this.choose({ search: spelled(target.value) }),
    );
    for (const button of byId("hama").tHead.querySelectorAll("button")) {
      button.addEventListener("click", () => this.sortBy(button.dataset.sort));
    }
    this.showChoices();
  }

  choose(choice) {
    Object.assign(this, choice);
    this.showChoices();
    this.order();
  }

  /** Sort by a column; the same column again reverses the order. */
  sortBy(by) {
    const descending = this.sort.by === by ? !this.sort.descending : by !== "symbol";
    this.sort = { by, descending };
    this.showChoices();
    this.order();
  }

  showChoices() {
    for (const button of byId("hama-states").children) {
      button.setAttribute("aria-pressed", String(button.dataset.state === this.state));
    }
    for (const button of byId("hama").tHead.querySelectorAll("button")) {
      const way = this.sort.descending ? "descending" : "ascending";
      button
        .closest("th")
        .setAttribute("aria-sort", button.dataset.sort === this.sort.by ? way : "none");
    }
  }

  add(data, { at, replayed }) {
    const before = this.items.get(data.symbol);
    const asOf = Date.parse(data.timestamp);
    if (before && replayed && before.asOf > asOf) return;
    this.arrivals += 1;
    this.items.set(data.symbol, { ...data, at, asOf, arrival: this.arrivals, fresh: !replayed });
    this.changed.add(data.symbol);
    if (this.items.size > MAX_INSTRUMENTS) this.forget(this.items.keys().next().value);
  }

  forget(symbol) {
    this.items.delete(symbol);
    this.nodes.delete(symbol);
    this.changed.delete(symbol);
  }

  /** Draw what changed since the last time; called once a frame. */
  render() {
    if (!this.changed.size) return;
    const today = new Date().toDateString();
    if (today !== this.today) for (const symbol of this.items.keys()) this.changed.add(symbol); // times become dates
    this.today = today;
    for (const symbol of this.changed) this.nodes.set(symbol, this.draw(this.items.get(symbol)));
    this.changed.clear();
    this.count();
    this.order();
  }

  count() {
    const counts = { "": this.items.size, bullish: 0, neutral: 0, bearish: 0 };
    for (const { state } of this.items.values()) counts[state] += 1;
    for (const button of byId("hama-states").children) {
      setText(button.querySelector("b"), format.whole(counts[button.dataset.state]));
    }
    for (const part of byId("hama-share").children)
      part.style.flexGrow = counts[part.dataset.state];
    const { preset, interval_seconds: seconds } = [...this.items.values()].at(-1);
    setText(byId("hama-note"), `${preset}, bars of ${format.span(seconds)}`);
  }

  /** Show the matching rows in the chosen order. */
  order() {
    const compare = ORDERS[this.sort.by];
    const sign = this.sort.descending ? -1 : 1;
    const matching = [...this.items.values()]
      .filter((item) => this.matches(item))
      .sort((a, b) => sign * compare(a, b) || b.arrival - a.arrival);
    const nodes = matching
      .slice(0, MAX_ROWS)
      .map(({ symbol }) => this.nodes.get(symbol))
      .filter(Boolean);
    const held = this.body.contains(document.activeElement)
      ? document.activeElement.dataset.symbol
      : null;
    this.body.replaceChildren(...nodes);
    if (held)
      this.body
        .querySelector(`[data-symbol="${CSS.escape(held)}"]`)
        ?.focus({ preventScroll: true });
    const empty = byId("hama-empty");
    empty.hidden = nodes.length > 0;
    if (this.items.size) setText(empty, "No instrument matches.");
    byId("hama-more").hidden = matching.length <= MAX_ROWS;
    setText(
      byId("hama-more"),
      `and ${format.whole(matching.length - MAX_ROWS)} more: narrow the filter`,
    );
  }

  matches(item) {
    return (
      (!this.state || item.state === this.state) &&
      NARROWED[this.narrowed](item) &&
      item.symbol.includes(this.search)
    );
  }

  draw(item) {
    const [arrow, tone] = ARROWS[item.trend];
    const turned = item.previous_state && item.previous_state !== item.state;
    const row = el(
      "tr",
      { attrs: { "data-hama": item.symbol } },
      cell(this.name(item)),
      el(
        "td",
        { title: turned ? `was ${item.previous_state}` : "" },
        chip(item.state, CHIPS[item.state]),
      ),
      cell(meter(item.score / 100, item.score.toFixed(0), TONES[item.state], 26)),
      el("td", { className: `centred ${tone}`, textContent: arrow, title: `trend ${item.trend}` }),
      SIGNALS[item.signal] ? note(...SIGNALS[item.signal]) : nothing(),
      BANDS[item.bollinger] ? note(item.bollinger, BANDS[item.bollinger]) : nothing(),
      el("td", { className: "number close", textContent: format.quote(item.close) }),
      el("td", {
        className: "number dim",
        textContent: format.shortTime(item.timestamp),
        title: `bars until ${format.moment(item.timestamp)}, published ${format.moment(item.at)}`,
      }),
    );
    if (item.fresh) this.flash(row, turned ? `turned-${item.state}` : "fresh");
    return row;
  }

  name({ symbol, colour }) {
    const text = this.hasChart(symbol) ? symbolButton(symbol) : symbolText(symbol);
    return el(
      "span",
      { className: "named" },
      el("i", { className: `candle ${colour}`, title: `last candle ${colour}` }),
      text,
    );
  }

  flash(row, kind) {
    row.classList.add(kind);
    setTimeout(() => row.classList.remove(kind), FLASH_MS);
  }
}
