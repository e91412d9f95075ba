// The orders and their fills.

import { cell, chip, number, side, tbody, timeOfDay } from "./cells.js";
import { byId, el, Rows, setText, symbolButton } from "./dom.js";
import * as format from "./format.js";

const STATUS = {
  submitted: ["submitted", "work"],
  accepted: ["working", "work"],
  partial: ["partly filled", "work"],
  filled: ["filled", "buy"],
  rejected: ["rejected", "bad"],
  canceled: ["cancelled", "warn"],
};

const ENDS = new Set(["filled", "rejected", "canceled"]);

/** The shares filled, and of how many where that is not all. */
function sharesOf({ quantity, filled }) {
  if (quantity === undefined) return "–"; // its submission has not arrived
  if (!filled || filled === quantity) return format.whole(quantity);
  return `${format.whole(filled)} / ${format.whole(quantity)}`;
}

/** The mean price of the fills, or the limit before the first. */
function priceOf({ filled, cost, limit }) {
  if (filled) return format.price(cost / filled);
  return limit ? format.price(limit) : "–";
}

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
  step(kind, data, order, arrival) {
    // Events of one order may arrive out of order: a late one does not undo a later state.
    const settled = ENDS.has(order.state) || order.filled > 0;
    switch (kind) {
      case "OrderSubmitted": {
        const state = settled ? {} : { state: "submitted" };
        return { quantity: data.quantity, limit: data.limit_price, ...state };
      }
      case "OrderAccepted":
        return settled ? {} : { state: "accepted" };
      case "OrderRejected":
        return { state: "rejected", why: data.reason };
      case "OrderCanceled":
        return { state: "canceled", why: data.reason };
      default:
        return this.fill(data, order, arrival);
    }
  }

  fill(data, order, { published, replayed }) {
    // A fill that is replayed after a reconnection counts once.
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
    const status = el("td", { className: "fill" }, chip(text, kind));
    if (order.why) status.append(el("span", { className: "dim", textContent: `  ${order.why}` }));
    status.title = order.why ?? "";
    return el(
      "tr",
      {},
      timeOfDay(order.at),
      cell(symbolButton(order.symbol)),
      side(order.side),
      number(sharesOf(order), order.filled ? "" : "dim"),
      number(priceOf(order), order.filled ? "" : "dim"),
      status,
    );
  }

  drawFill(fill) {
    const pnl = Number(fill.realized_pnl);
    return el(
      "tr",
      {},
      timeOfDay(fill.published),
      cell(symbolButton(fill.symbol)),
      side(fill.side),
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
