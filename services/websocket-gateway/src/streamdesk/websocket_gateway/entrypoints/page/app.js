// Starts the page: one socket whose events go to the panels, drawn at most once a frame.

import { EquityChart, PriceChart } from "./charts.js";
import { onColourScheme } from "./colours.js";
import { byId, setText } from "./dom.js";
import { seconds } from "./format.js";
import { Hama } from "./hama.js";
import { News } from "./news.js";
import { Orders } from "./orders.js";
import { Flow, Log, Portfolio, Queues } from "./panels.js";
import { Safety } from "./safety.js";
import { Signals } from "./signals.js";
import { Feed } from "./socket.js";
import { Tasks } from "./tasks.js";

const CHANNELS = [
  "events:market",
  "events:signals",
  "events:orders",
  "events:news",
  "events:tasks",
  "events:indicators",
  "events:system",
];
const LAG_SECONDS = 2;
const REMEMBERED = 20_000;
const HIDDEN_MS = 1000;

const signalTimes = new Map(); // signal id -> end of the bar that gave it
const seen = new Set();
const equity = new EquityChart();
const portfolio = new Portfolio();
const safety = new Safety();
const [signals, news, tasks, log, flow, queues] = [
  new Signals(),
  new News(),
  new Tasks(),
  new Log(),
  new Flow(),
  new Queues(),
];
const price = new PriceChart({ onSymbol: changeSymbol });
const hama = new Hama({ hasChart: (symbol) => price.bars.has(symbol) });
const orders = new Orders({
  // A fill is drawn on the bar whose signal caused it: its own time is the desk's clock, not market time.
  onFill: (fill) => price.mark(fill, signalTimes.get(fill.signal_id) ?? seconds(fill.timestamp)),
});

const HANDLERS = {
  BarClosed: (data) => price.add(data),
  SignalGenerated: (data, message) => {
    signalTimes.set(message.id, seconds(data.timestamp));
    if (signalTimes.size > REMEMBERED) signalTimes.delete(signalTimes.keys().next().value);
    signals.add(data, message);
  },
  PortfolioValued: (data) => {
    equity.add(data);
    portfolio.add(data);
    safety.valued(data);
    price.hold(data.positions);
  },
  NewsFiltered: (data, message) => news.add(data, message),
  HamaChanged: (data, message) => hama.add(data, message),
};
for (const kind of [
  "OrderSubmitted",
  "OrderAccepted",
  "OrderFilled",
  "OrderRejected",
  "OrderCanceled",
]) {
  HANDLERS[kind] = (data, message) => orders.add(kind, data, message);
}
for (const kind of ["TaskProgressed", "StockIndicatorsCompleted", "TaskCompleted"]) {
  HANDLERS[kind] = (data, message) => tasks.add(kind, data, message);
}
const LOGGED = ["SystemEvent", "StrategyUpdated"];
for (const kind of LOGGED) {
  HANDLERS[kind] = (data, message) => log.add(kind, data, message);
}

const LOGGED_AND_SHOWN = {
  RiskAlerted: (data) => safety.alert(data),
  EntriesLocked: (data) => safety.lock(data),
  EntriesUnlocked: (data) => safety.unlock(data),
};
for (const [kind, show] of Object.entries(LOGGED_AND_SHOWN)) {
  HANDLERS[kind] = (data, message) => {
    log.add(kind, data, message);
    show(data);
  };
}

function onEvent(message) {
  if (!message.replayed) flow.count(kindOf(message));
  const isBar = message.event === "BarClosed"; // many, and identified by their time
  if (!isBar && !isNew(message.id)) return;
  HANDLERS[message.event]?.(message.data, message);
  schedule();
}

const kindOf = ({ channels }) => channels.at(-1).split(":")[1];

/** Whether an event is new: after a reconnection the recent ones are replayed. */
function isNew(id) {
  if (seen.has(id)) return false;
  seen.add(id);
  if (seen.size > REMEMBERED) seen.delete(seen.values().next().value);
  return true;
}

let scheduled = null;
/** Draw at the next frame. A hidden page gets no frames, so a timer draws it once a second. */
function schedule() {
  scheduled ??= { frame: requestAnimationFrame(draw), timer: setTimeout(draw, HIDDEN_MS) };
}

function draw() {
  cancelAnimationFrame(scheduled.frame);
  clearTimeout(scheduled.timer);
  scheduled = null;
  for (const chart of [price, equity]) chart.draw();
  for (const panel of [portfolio, hama, tasks]) panel.render();
}

/** The chosen instrument's channel replays its history; the others need only their last bar. */
function changeSymbol(symbol, before) {
  if (before) feed.unsubscribe([`events:market:${before}`]);
  feed.subscribe([`events:market:${symbol}`]);
  schedule();
}

function onState(name, text) {
  const pill = byId("connection");
  pill.dataset.state = name;
  setText(pill, text);
}

/** The token from the address (`#token=…`, removed at once), or the one used earlier in this tab. */
function readToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem("token", given);
    history.replaceState(null, "", location.pathname + location.search);
  }
  return sessionStorage.getItem("token");
}

function askForToken(why) {
  setText(byId("sign-in-why"), feed.token ? why : "This desk requires a token.");
  if (!byId("sign-in").open) byId("sign-in").showModal();
}

const feed = new Feed({
  channels: CHANNELS,
  token: readToken(),
  onEvent,
  onState,
  onRefused: askForToken,
});

byId("sign-in").addEventListener("close", () => {
  feed.token = byId("token").value.trim();
  byId("token").value = "";
  sessionStorage.setItem("token", feed.token);
  feed.connect();
});

document.addEventListener("click", ({ target }) => {
  const symbol = target.closest?.("[data-symbol]")?.dataset.symbol;
  if (symbol && price.bars.has(symbol)) price.show(symbol);
});

onColourScheme(() => {
  for (const chart of [price, equity]) chart.recolour();
  schedule();
});

async function showLag() {
  if (document.hidden || feed.socket?.readyState !== WebSocket.OPEN) return;
  try {
    const headers = feed.token ? { Authorization: `Bearer ${feed.token}` } : {};
    const answer = await fetch("api/lag", { headers });
    if (answer.ok) queues.show(await answer.json());
  } catch {
    // The socket shows that the gateway is unreachable; the queues return with the next request.
  }
}

function showClock() {
  setText(byId("clock"), new Date().toLocaleTimeString(undefined, { hour12: false }));
}

setText(byId("zone"), Intl.DateTimeFormat().resolvedOptions().timeZone ?? "Local time");
feed.connect();
flow.tick();
showClock();
setInterval(() => flow.tick(), 1000);
setInterval(showClock, 1000);
setInterval(showLag, LAG_SECONDS * 1000);
setTimeout(showLag, 300);
