// What may be sent to the broker, and what keeps entries out.

import { byId, setText } from "./dom.js";

const STATES = {
  ACTIVE: ["open", "up"],
  REDUCING: ["exits only", "warn"],
  HALTED: ["halted", "down"],
};

const CODES = {
  TRADING_HALTED: "HALTED",
  TRADING_REDUCING: "REDUCING",
  TRADING_RESUMED: "ACTIVE",
};

/** The state of the kill switch and the locks of entries, as far as events say. */
export class Safety {
  constructor() {
    this.at = 0;
    this.locks = new Map(); // number -> text; empty once it has ended
  }

  /** An event that may change the state; one that is older than the last changes nothing. */
  change(state, { timestamp }, why = "") {
    const known = STATES[state];
    const at = Date.parse(timestamp);
    if (!known || at < this.at) return;
    this.at = at;
    const [text, tone] = known;
    setText(byId("trading"), text);
    byId("trading").className = tone;
    byId("trading").title = why;
  }

  alert(data) {
    this.change(CODES[data.code], data, data.message);
  }

  valued(data) {
    if (STATES[data.trading_state]?.[0] === byId("trading").textContent) return; // keeps its reason
    this.change(data.trading_state, data);
  }

  lock({ lock_id: id, message }) {
    // The end of a lock may arrive before its beginning.
    if (!this.locks.has(id)) this.locks.set(id, message);
    this.show();
  }

  unlock({ lock_id: id }) {
    this.locks.set(id, "");
    this.show();
  }

  show() {
    const inForce = [...this.locks.values()].filter(Boolean);
    byId("locks-figure").hidden = inForce.length === 0;
    setText(byId("locks"), String(inForce.length));
    byId("locks").title = inForce.join("\n");
  }
}
