// The signals, each with its reasons.

import { cell, chip, number, tbody, timeOfDay } from "./cells.js";
import { byId, el, meter, Rows, setText, symbolButton } from "./dom.js";
import * as format from "./format.js";

// rsi -> RSI, volume_ratio -> Volume ratio: names of up to four letters are abbreviations.
const label = (name) =>
  name.length <= 4
    ? name.toUpperCase()
    : name[0].toUpperCase() + name.slice(1).replaceAll("_", " ");
const points = (value) => format.signed(value, (size) => size.toFixed(1));
const word = (name) => name.toLowerCase().replaceAll("_", " ");

export class Signals {
  constructor() {
    this.open = new Set();
    this.total = 0;
    this.rows = new Rows(tbody("signals"), 80, (signal) => this.draw(signal));
  }

  add(signal, { id, at: published, replayed }) {
    this.total += 1;
    setText(byId("signals-note"), `${format.whole(this.total)} received`);
    this.rows.put(id, { ...signal, id, published }, { fresh: !replayed });
  }

  draw(signal) {
    const sell = signal.side === "SELL";
    const best = [...signal.reasons].sort(
      (a, b) => Math.abs(b.contribution) - Math.abs(a.contribution),
    );
    const summary = best
      .map(({ indicator, contribution }) => `${label(indicator)} ${points(contribution)}`)
      .join("   ");
    const more = el("button", {
      className: "more",
      type: "button",
      textContent: summary,
      title: "Show each indicator's contribution",
      attrs: { "aria-expanded": String(this.open.has(signal.id)) },
    });
    more.addEventListener("click", () => this.toggle(signal));
    const row = el(
      "tr",
      {},
      timeOfDay(signal.published),
      cell(symbolButton(signal.symbol)),
      cell(chip(word(signal.type), signal.type.toLowerCase().replace("_", "-"))),
      cell(meter(signal.score / 100, signal.score.toFixed(0), sell ? "down" : "up")),
      number(format.price(signal.price), "roomy"),
      number(signal.stop_loss ? format.price(signal.stop_loss) : "–", "wide dim"),
      number(signal.take_profit ? format.price(signal.take_profit) : "–", "wide dim"),
      cell(more, "fill"),
    );
    return this.open.has(signal.id) ? [row, this.detail(signal, best)] : [row];
  }

  toggle(signal) {
    if (!this.open.delete(signal.id)) this.open.add(signal.id);
    this.rows.put(signal.id, signal);
    this.rows.nodes.get(signal.id)[0].querySelector(".more").focus();
  }

  detail(signal, reasons) {
    const top = Math.max(1, ...reasons.map((reason) => Math.abs(reason.contribution)));
    const items = reasons.map(({ indicator, contribution, text }) =>
      el(
        "li",
        {},
        el("span", { className: "strong", textContent: label(indicator) }),
        meter(
          Math.abs(contribution) / top,
          points(contribution),
          contribution < 0 ? "down" : "accent",
          70,
        ),
        el("span", { textContent: text }),
      ),
    );
    const levels =
      signal.stop_loss && signal.take_profit
        ? `stop ${format.price(signal.stop_loss)}   target ${format.price(signal.take_profit)}`
        : "";
    const values = Object.entries(signal.indicators)
      .map(([name, value]) => `${name} ${value.toFixed(2)}`)
      .join("   ");
    return el(
      "tr",
      { className: "detail" },
      el(
        "td",
        { colSpan: 8 },
        el("ul", { className: "reasons" }, ...items),
        el("p", {
          className: "values",
          textContent: [signal.strategy, levels, values].filter(Boolean).join("   "),
        }),
      ),
    );
  }
}
