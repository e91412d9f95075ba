// Cells of tables.

import { byId, el } from "./dom.js";
import * as format from "./format.js";

export const tbody = (id) => byId(id).tBodies[0];
export const cell = (child, className = "") => el("td", { className }, child);
export const number = (text, className = "") =>
  el("td", { className: `number ${className}`, textContent: text });
export const timeOfDay = (iso) => el("td", { className: "dim", textContent: format.time(iso) });
export const chip = (text, kind) => el("span", { className: `chip ${kind}`, textContent: text });
export const side = (name) => cell(name === "BUY" ? "Buy" : "Sell", name === "BUY" ? "up" : "down");
