// The portfolio, the desk's log, the flow of events and the queues.

import { cell, number, tbody } from "./cells.js";
import { byId, el, Rows, setText, sparkline, symbolButton } from "./dom.js";
import * as format from "./format.js";

export class Portfolio {
  constructor() {
    this.rows = new Rows(tbody("positions"), 1000, (position) => this.draw(position));
  }

  add(valued) {
    this.valued = valued;
    this.dirty = true;
  }

  render() {
    if (!this.dirty) return;
    this.dirty = false;
    const {
      equity,
      cash,
      positions_value: invested,
      realized_pnl: realised,
      fx_gain: fx = 0,
      currency,
      positions,
      balances = [],
    } = this.valued;
    const open = positions.reduce((sum, position) => sum + Number(position.unrealized_pnl), 0);
    // With a rate that is too old the equity is an estimate.
    const about = balances.some((balance) => balance.rate_is_known === false) ? "≈ " : "";
    setText(byId("equity"), `${about}${format.price(equity)} ${currency}`);
    setText(byId("cash"), format.price(cash));
    setText(
      byId("invested"),
      `${format.price(invested)} · ${((100 * Number(invested)) / Number(equity)).toFixed(0)}%`,
    );
    for (const [id, value] of [
      ["open-pnl", open],
      ["realised-pnl", Number(realised)],
      ["fx-gain", Number(fx)],
    ]) {
      setText(byId(id), format.signed(value, format.price));
      byId(id).className = format.tone(value);
    }
    byId("fx").hidden = Number(fx) === 0;
    const held = positions.filter((position) => position.quantity !== 0);
    setText(
      byId("positions-note"),
      held.length ? `${held.length} open, value and P&L in ${currency}` : "",
    );
    held.sort((a, b) => Number(b.market_value) - Number(a.market_value));
    this.rows.replace(held.map((position) => [position.symbol, position]));
  }

  draw(position) {
    const pnl = Number(position.unrealized_pnl);
    const share = Number(position.market_price) / Number(position.average_price) - 1;
    return el(
      "tr",
      {},
      cell(symbolButton(position.symbol)),
      number(format.whole(position.quantity)),
      number(format.price(position.average_price), "dim"),
      number(format.price(position.market_price)),
      number(format.whole(position.market_value), "wide"),
      number(format.signed(pnl, format.price), format.tone(pnl)),
      number(format.percent(share), format.tone(share)),
    );
  }
}

export class Log {
  constructor() {
    this.rows = new Rows(byId("log"), 60, (entry) => this.draw(entry));
  }

  add(_kind, data, { id, at: published, replayed }) {
    const severity = data.severity ?? "info";
    // Alerts of risk, and locks of entries, name no service: the order-executor alone has them.
    const source = data.service ?? data.strategy ?? "risk";
    this.rows.put(id, { severity, source, text: data.message, published }, { fresh: !replayed });
  }

  draw({ severity, source, text, published }) {
    return el(
      "li",
      {},
      el("span", { className: "dim", textContent: format.time(published) }),
      el("span", { className: `dot ${severity}`, title: severity }),
      el("span", {}, el("b", { className: "strong", textContent: `${source}  ` }), text),
    );
  }
}

const KINDS = [
  ["Bars", "market"],
  ["Signals", "signals"],
  ["Orders", "orders"],
  ["News", "news"],
  ["States", "indicators"],
  ["Tasks", "tasks"],
  ["Desk", "system"],
];
const SECONDS = 60;

/** Events a second by kind, and in all. */
export class Flow {
  constructor() {
    this.bins = new Map(KINDS.map(([, kind]) => [kind, Array(SECONDS).fill(0)]));
    this.now = new Map(KINDS.map(([, kind]) => [kind, 0]));
  }

  count(kind) {
    if (this.now.has(kind)) this.now.set(kind, this.now.get(kind) + 1);
  }

  /** Called once a second. */
  tick() {
    let all = 0;
    const rows = KINDS.map(([name, kind]) => {
      const bins = this.bins.get(kind);
      bins.push(this.now.get(kind));
      bins.shift();
      this.now.set(kind, 0);
      const mean = bins.slice(-10).reduce((sum, count) => sum + count, 0) / 10;
      all += mean;
      return el(
        "tr",
        {},
        cell(name, "dim"),
        number(format.rate(mean), mean ? "strong" : "dim"),
        cell(sparkline(bins, { width: 165 })),
      );
    });
    tbody("flow").replaceChildren(...rows);
    setText(byId("rate"), format.rate(all));
  }
}

/** Each consumer group's lag, with the backlog of the last two minutes. */
export class Queues {
  constructor() {
    this.backlogs = new Map();
    this.rows = new Rows(tbody("queues"), 50, (group) => this.draw(group));
  }

  show({ groups, stale }) {
    setText(byId("queues-note"), stale ? "last known" : "");
    byId("queues-note").className = `aside ${stale ? "warn" : ""}`;
    for (const { topic, group, waiting, pending, delayed } of groups) {
      const backlog = this.backlogs.get(`${topic} ${group}`) ?? Array(60).fill(0);
      this.backlogs.set(`${topic} ${group}`, [...backlog, waiting + pending + delayed].slice(-60));
    }
    this.rows.replace(groups.map((group) => [group.group, group]));
  }

  draw({ topic, group, waiting, pending, delayed, dead, consumers }) {
    const quiet = (value) => (value ? "" : "dim");
    const title = `${group} on ${topic}: ${consumers} consumer${consumers === 1 ? "" : "s"}`;
    const orphaned = !consumers && waiting + pending + delayed > 0;
    return el(
      "tr",
      { title },
      el("td", { className: "fill" }, el("span", { className: "strong", textContent: group })),
      number(format.whole(waiting), quiet(waiting)),
      number(format.whole(pending), quiet(pending)),
      number(format.whole(delayed), delayed ? "warn" : "dim"),
      number(format.whole(dead), dead ? "down strong" : "dim"),
      cell(
        sparkline(this.backlogs.get(`${topic} ${group}`), {
          width: 46,
          className: orphaned ? "warn" : "",
        }),
        "wide",
      ),
    );
  }
}
