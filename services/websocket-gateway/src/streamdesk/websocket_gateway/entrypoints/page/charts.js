// The two plots, drawn by TradingView's Lightweight Charts (window.LightweightCharts).

import { palette } from "./colours.js";
import { byId, setText } from "./dom.js";
import * as format from "./format.js";

const MAX_BARS = 600;
const MAX_POINTS = 5000;
const BARS_SHOWN = 110;
const DAY = 86_400;

const local = (seconds, options) =>
  new Intl.DateTimeFormat(undefined, options).format(new Date(seconds * 1000));
const CLOCK = { hour: "2-digit", minute: "2-digit", hour12: false };
const CLOCK_SECONDS = { ...CLOCK, second: "2-digit" };
const DATE = { day: "numeric", month: "short" };

const chartColours = () => ({
  layout: { background: { color: palette.back }, textColor: palette.text },
  grid: { vertLines: { color: palette.grid }, horzLines: { color: palette.grid } },
  rightPriceScale: { borderColor: palette.border },
  timeScale: { borderColor: palette.border },
});

function makeChart(id, priceFormatter) {
  const chart = window.LightweightCharts.createChart(byId(id), {
    autoSize: true,
    layout: {
      fontSize: 11,
      fontFamily: getComputedStyle(document.body).fontFamily,
    },
    timeScale: {
      timeVisible: true,
      secondsVisible: true,
      rightOffset: 3,
      // Ticks of years, months and days (types 0 to 2) are dates, the others times. Bars shorter
      // than a minute (type 4) differ only in their seconds.
      tickMarkFormatter: (time, type) =>
        local(time, type <= 2 ? DATE : type === 4 ? CLOCK_SECONDS : CLOCK),
    },
    crosshair: { mode: window.LightweightCharts.CrosshairMode.Normal },
    localization: {
      priceFormatter,
      timeFormatter: (time) => local(time, { ...DATE, ...CLOCK_SECONDS }),
    },
  });
  chart.applyOptions(chartColours());
  return chart;
}

const candleColours = () => ({
  upColor: palette.up,
  downColor: palette.down,
  wickUpColor: palette.up,
  wickDownColor: palette.down,
});

/** Candles and volume of one instrument, its fills, and the levels of its position. */
export class PriceChart {
  constructor({ onSymbol }) {
    this.chart = makeChart("price-chart", format.price);
    this.candles = this.chart.addCandlestickSeries({
      ...candleColours(),
      borderVisible: false,
    });
    this.volume = this.chart.addHistogramSeries({
      priceScaleId: "volume",
      priceFormat: { type: "volume" },
      lastValueVisible: false,
      priceLineVisible: false,
    });
    this.chart.priceScale("volume").applyOptions({ scaleMargins: { top: 0.84, bottom: 0 } });
    this.candles.priceScale().applyOptions({ scaleMargins: { top: 0.08, bottom: 0.2 } });
    this.bars = new Map(); // symbol -> Map of time -> bar
    this.marks = new Map(); // symbol -> marks, by trade id
    this.positions = new Map();
    this.levels = [];
    this.onSymbol = onSymbol;
    this.select = byId("symbol");
    this.select.addEventListener("change", () => this.show(this.select.value));
    this.chart.subscribeCrosshairMove((move) => this.caption(move.time));
  }

  add(bar) {
    if (!this.bars.has(bar.symbol)) this.addSymbol(bar.symbol);
    const bars = this.bars.get(bar.symbol);
    const time = format.seconds(bar.timestamp);
    const known = bars.size;
    bars.set(time, { ...bar, time });
    if (bars.size > 2 * MAX_BARS) this.trim(bar.symbol);
    if (bar.symbol !== this.symbol) return;
    // One newer bar is an update; anything else (history, a filled gap) redraws the chart.
    if (bars.size === known + 1 && time > this.lastTime && !this.dirty) {
      this.pending = (this.pending ?? []).concat(bars.get(time));
      this.lastTime = time;
    } else this.dirty = true;
  }

  /** Drop old bars, so that the page can stay open for days. */
  trim(symbol) {
    const bars = [...this.bars.get(symbol).values()]
      .sort((a, b) => a.time - b.time)
      .slice(-MAX_BARS);
    this.bars.set(symbol, new Map(bars.map((bar) => [bar.time, bar])));
    this.dirty ||= symbol === this.symbol;
    return bars;
  }

  addSymbol(symbol) {
    this.bars.set(symbol, new Map());
    const symbols = [...this.bars.keys()].sort();
    this.select.replaceChildren(
      ...symbols.map((name) => new Option(name, name, false, name === this.symbol)),
    );
    this.select.disabled = false;
    if (!this.symbol) this.show(symbol);
  }

  mark(fill, time) {
    const marks = this.marks.get(fill.symbol) ?? new Map();
    this.marks.set(
      fill.symbol,
      marks.set(fill.trade_id, { time, side: fill.side, quantity: fill.quantity }),
    );
    this.dirty ||= fill.symbol === this.symbol;
  }

  hold(positions) {
    this.positions = new Map(positions.map((position) => [position.symbol, position]));
    const now = JSON.stringify(this.levelsOf(this.symbol));
    this.dirty ||= now !== this.levelsShown;
  }

  show(symbol) {
    const before = this.symbol;
    if (before === symbol) return;
    this.symbol = symbol;
    this.select.value = symbol;
    this.dirty = true;
    this.fit = true;
    this.onSymbol(symbol, before);
  }

  /** Apply the palette again; bars and marks follow at the next `draw`. */
  recolour() {
    this.chart.applyOptions(chartColours());
    this.candles.applyOptions(candleColours());
    this.dirty = true;
  }

  draw() {
    if (!this.symbol) return;
    byId("price-empty").hidden = true;
    if (this.dirty) this.redraw();
    for (const bar of this.pending ?? []) {
      this.candles.update(candle(bar));
      this.volume.update(volume(bar));
    }
    this.pending = [];
    this.caption();
  }

  redraw() {
    const bars = this.trim(this.symbol);
    this.candles.setData(bars.map(candle));
    this.volume.setData(bars.map(volume));
    this.lastTime = bars.at(-1)?.time ?? 0;
    this.pending = [];
    this.drawMarks(bars);
    this.drawLevels();
    this.dirty = false;
    if (this.fit && bars.length) {
      // The newest bars at a fixed width, however many there are: history may still be arriving.
      this.chart
        .timeScale()
        .setVisibleLogicalRange({ from: bars.length - BARS_SHOWN, to: bars.length + 3 });
      this.fit = false;
    }
  }

  drawMarks(bars) {
    const first = bars[0]?.time ?? 0;
    const perBar = new Map(); // partial fills of one bar and side become one mark
    for (const { time, side, quantity } of this.marks.get(this.symbol)?.values() ?? []) {
      if (time < first) continue;
      const key = `${time} ${side}`;
      perBar.set(key, { time, side, quantity: quantity + (perBar.get(key)?.quantity ?? 0) });
    }
    this.candles.setMarkers(
      [...perBar.values()]
        .sort((a, b) => a.time - b.time)
        .map(({ time, side, quantity }) => ({
          time,
          text: `${side === "BUY" ? "Buy" : "Sell"} ${quantity}`,
          position: side === "BUY" ? "belowBar" : "aboveBar",
          shape: side === "BUY" ? "arrowUp" : "arrowDown",
          color: side === "BUY" ? palette.accent : palette.warn,
        })),
    );
  }

  levelsOf(symbol) {
    const held = this.positions.get(symbol);
    return [
      [held?.average_price, "cost", palette.accent],
      [held?.stop_loss, "stop", palette.down],
      [held?.take_profit, "target", palette.up],
    ].filter(([price]) => price);
  }

  drawLevels() {
    for (const line of this.levels) this.candles.removePriceLine(line);
    const levels = this.levelsOf(this.symbol);
    this.levels = levels.map(([price, title, color]) =>
      this.candles.createPriceLine({
        price: Number(price),
        title,
        color,
        lineWidth: 1,
        axisLabelVisible: false,
        lineStyle: window.LightweightCharts.LineStyle.Dashed,
      }),
    );
    this.levelsShown = JSON.stringify(levels);
  }

  caption(time) {
    const bars = this.bars.get(this.symbol);
    const last = bars?.get(this.lastTime);
    if (!last) return;
    const first = bars.values().next().value;
    const change = last.close / first.open - 1;
    setText(byId("last"), format.price(last.close));
    setText(byId("change"), `${format.percent(change)}`);
    byId("change").title = "Since the first bar shown";
    byId("change").className = `number ${format.tone(change)}`;
    const bar = bars.get(time) ?? last;
    setText(
      byId("ohlc"),
      `O ${format.price(bar.open)}  H ${format.price(bar.high)}  L ${format.price(bar.low)}  C ${format.price(bar.close)}  Vol ${format.whole(bar.volume)}`,
    );
  }
}

const candle = ({ time, open, high, low, close }) => ({ time, open, high, low, close });
const volume = ({ time, open, close, volume: value }) => ({
  time,
  value,
  color: close >= open ? palette.upVolume : palette.downVolume,
});

const areaColours = () => ({
  lineColor: palette.accent,
  topColor: palette.areaTop,
  bottomColor: palette.areaBottom,
});

/** Equity over time, from the portfolio's valuations. */
export class EquityChart {
  constructor() {
    this.chart = makeChart("equity-chart", (value) => format.whole(value));
    this.area = this.chart.addAreaSeries({ ...areaColours(), lineWidth: 2 });
    this.points = [];
  }

  /** Apply the palette again. */
  recolour() {
    this.chart.applyOptions(chartColours());
    this.area.applyOptions(areaColours());
  }

  add(valued) {
    const time = format.seconds(valued.timestamp);
    // A time before the last one means that the desk was restarted: its new run replaces the old.
    while (this.points.length && this.points.at(-1).time >= time) this.points.pop();
    this.points.push({ time, value: Number(valued.equity) });
    if (this.points.length > MAX_POINTS) this.points.splice(0, MAX_POINTS / 10);
    this.dirty = true;
  }

  draw() {
    if (!this.dirty) return;
    this.dirty = false;
    byId("equity-empty").hidden = true;
    this.area.setData(this.points);
    const [first, last] = [this.points[0], this.points.at(-1)];
    this.chart.timeScale().fitContent();
    const change = last.value - first.value;
    const span = last.time - first.time;
    const since = local(first.time, span > DAY ? { ...DATE, ...CLOCK } : CLOCK);
    setText(
      byId("equity-note"),
      `${format.signed(change)} (${format.percent(change / first.value)}) since ${since}`,
    );
    byId("equity-note").className = `aside ${format.tone(change)}`;
  }
}
