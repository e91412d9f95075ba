// The tables and lists: each takes events and draws them.

import { byId, el, meter, Rows, setText, sparkline, symbolButton } from "./dom.js";
import * as format from "./format.js";

const number = (text, className = "") =>
  el("td", { className: `number ${className}`, textContent: text });
const at = (iso) => el("td", { className: "dim", textContent: format.time(iso) });
const cell = (child, className = "") => el("td", { className }, child);
const chip = (text, kind) => el("span", { className: `chip ${kind}`, textContent: text });
// rsi -> RSI, volume_ratio -> Volume ratio: names of up to four letters are abbreviations.
const label = (name) =>
  name.length <= 4
    ? name.toUpperCase()
    : name[0].toUpperCase() + name.slice(1).replaceAll("_", " ");
const points = (value) => format.signed(value, (size) => size.toFixed(1));
const word = (name) => name.toLowerCase().replaceAll("_", " ");
const tbody = (id) => byId(id).tBodies[0];

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
      title: "Show each indicator's part",
      attrs: { "aria-expanded": String(this.open.has(signal.id)) },
    });
    more.addEventListener("click", () => this.toggle(signal));
    const row = el(
      "tr",
      {},
      at(signal.published),
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

const STATUS = {
  submitted: ["submitted", "work"],
  accepted: ["working", "work"],
  partial: ["partly filled", "work"],
  filled: ["filled", "buy"],
  rejected: ["rejected", "bad"],
  canceled: ["cancelled", "warn"],
};

export class Orders {
  constructor({ onFill }) {
    this.onFill = onFill;
    this.orders = new Map();
    this.fillCount = 0;
    this.orderCount = 0;
    this.rows = new Rows(tbody("orders"), 80, (order) => this.draw(order));
    this.fills = new Rows(tbody("fills"), 80, (fill) => this.drawFill(fill));
    tabs(["tab-orders", "tab-fills"]);
  }

  add(kind, data, { at: published, replayed }) {
    const id = data.client_order_id;
    const order = this.orders.get(id) ?? { at: published, filled: 0, cost: 0, trades: new Set() };
    if (!this.orders.has(id)) this.orderCount += 1;
    this.orders.set(id, {
      ...order,
      symbol: data.symbol,
      side: data.side,
      ...this.step(kind, data, order, { published, replayed }),
    });
    while (this.orders.size > 500) this.orders.delete(this.orders.keys().next().value);
    this.rows.put(id, this.orders.get(id), { fresh: !replayed });
    setText(byId("orders-count"), format.whole(this.orderCount));
  }

  /** What an event changes on its order. */
  step(kind, data, order, { published, replayed }) {
    const done =
      order.state === "filled" || order.state === "rejected" || order.state === "canceled";
    if (kind === "OrderSubmitted") {
      const known = done || order.filled ? {} : { state: "submitted" };
      return { quantity: data.quantity, limit: data.limit_price, ...known };
    }
    if (kind === "OrderAccepted") return done || order.filled ? {} : { state: "accepted" };
    if (kind === "OrderRejected") return { state: "rejected", why: data.reason };
    if (kind === "OrderCanceled") return { state: "canceled", why: data.reason };
    if (order.trades.has(data.trade_id)) return {};
    order.trades.add(data.trade_id);
    this.fillCount += 1;
    setText(byId("fills-count"), format.whole(this.fillCount));
    this.fills.put(data.trade_id, { ...data, published }, { fresh: !replayed });
    this.onFill(data);
    const filled = Math.max(order.filled, data.cumulative_quantity);
    return {
      filled,
      quantity: data.order_quantity,
      cost: order.cost + data.quantity * Number(data.price),
      state: filled >= data.order_quantity ? "filled" : "partial",
    };
  }

  draw(order) {
    const [text, kind] = STATUS[order.state ?? "submitted"];
    const shares =
      order.quantity === undefined
        ? "–"
        : order.filled === order.quantity || !order.filled
          ? format.whole(order.quantity)
          : `${format.whole(order.filled)} / ${format.whole(order.quantity)}`;
    const mean = order.filled
      ? format.price(order.cost / order.filled)
      : order.limit
        ? format.price(order.limit)
        : "–";
    const status = el("td", { className: "fill" }, chip(text, kind));
    if (order.why) status.append(el("span", { className: "dim", textContent: `  ${order.why}` }));
    status.title = order.why ?? "";
    return el(
      "tr",
      {},
      at(order.at),
      cell(symbolButton(order.symbol)),
      cell(order.side === "BUY" ? "Buy" : "Sell", order.side === "BUY" ? "up" : "down"),
      number(shares, order.filled ? "" : "dim"),
      number(mean, order.filled ? "" : "dim"),
      status,
    );
  }

  drawFill(fill) {
    const pnl = Number(fill.realized_pnl);
    return el(
      "tr",
      {},
      at(fill.published),
      cell(symbolButton(fill.symbol)),
      cell(fill.side === "BUY" ? "Buy" : "Sell", fill.side === "BUY" ? "up" : "down"),
      number(format.whole(fill.quantity)),
      number(format.price(fill.price)),
      number(format.price(fill.fee), "dim"),
      number(pnl ? format.signed(pnl, format.price) : "–", format.tone(pnl)),
    );
  }
}

function tabs(ids) {
  const buttons = ids.map(byId);
  const choose = (chosen) => {
    for (const button of buttons) {
      button.setAttribute("aria-selected", String(button === chosen));
      button.tabIndex = button === chosen ? 0 : -1;
      byId(button.getAttribute("aria-controls")).hidden = button !== chosen;
    }
  };
  for (const [i, button] of buttons.entries()) {
    button.addEventListener("click", () => choose(button));
    button.addEventListener("keydown", ({ key }) => {
      if (key !== "ArrowLeft" && key !== "ArrowRight") return;
      const next = buttons[(i + 1) % buttons.length];
      choose(next);
      next.focus();
    });
  }
}

export class Portfolio {
  constructor() {
    this.rows = new Rows(tbody("positions"), 1000, (position) => this.draw(position));
  }

  add(valued) {
    if (this.valued && Date.parse(valued.timestamp) < Date.parse(this.valued.timestamp) - 3_600_000)
      this.valued = null;
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
      currency,
      positions,
    } = this.valued;
    const open = positions.reduce((sum, position) => sum + Number(position.unrealized_pnl), 0);
    setText(byId("equity"), `${format.price(equity)} ${currency}`);
    setText(byId("cash"), format.price(cash));
    setText(
      byId("invested"),
      `${format.price(invested)} · ${((100 * Number(invested)) / Number(equity)).toFixed(0)}%`,
    );
    for (const [id, value] of [
      ["open-pnl", open],
      ["realised-pnl", Number(realised)],
    ]) {
      setText(byId(id), format.signed(value, format.price));
      byId(id).className = format.tone(value);
    }
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

  add(kind, data, { id, at: published, replayed }) {
    const severity = data.severity ?? "info";
    const source =
      kind === "RiskAlerted" ? "risk" : kind === "StrategyUpdated" ? data.strategy : data.service;
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
