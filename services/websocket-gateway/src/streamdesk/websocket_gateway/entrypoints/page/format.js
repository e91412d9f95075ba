// Formats numbers and times.

const TIME = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hour12: false,
});
const WHOLE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const CENTS = new Intl.NumberFormat("en-US", {
  minimumFractionDigits: 2,
  maximumFractionDigits: 2,
});

const SHORT = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  hour12: false,
});
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const MOMENT = new Intl.DateTimeFormat(undefined, {
  dateStyle: "medium",
  timeStyle: "medium",
  hour12: false,
});
const DIGITS = new Intl.NumberFormat("en-US", {
  minimumSignificantDigits: 4,
  maximumSignificantDigits: 4,
});

export const time = (iso) => TIME.format(new Date(iso));
export const whole = (value) => WHOLE.format(value);
export const price = (value) => CENTS.format(value);
/** A price of any instrument: with cents, or four significant digits below one. */
export const quote = (value) => (value < 1 ? DIGITS : CENTS).format(value);
export const moment = (iso) => MOMENT.format(new Date(iso));
/** The time of day; for another day than today the date. */
export const shortTime = (iso) => {
  const date = new Date(iso);
  return (date.toDateString() === new Date().toDateString() ? SHORT : DAY).format(date);
};
/** A length of time in its largest unit. */
export const span = (seconds) => {
  for (const [size, unit] of [
    [86_400, "d"],
    [3_600, "h"],
    [60, "min"],
  ]) {
    if (seconds >= size) return `${Math.round(seconds / size)} ${unit}`;
  }
  return `${Math.round(seconds)} s`;
};
export const seconds = (iso) => Math.floor(Date.parse(iso) / 1000);

/** With its sign, and a typographic minus. */
export function signed(value, format = whole) {
  const text = format(Math.abs(value));
  if (value > 0) return `+${text}`;
  return value < 0 ? `−${text}` : text;
}

export const percent = (share) => `${signed(share * 100, price)}%`;
export const tone = (value) => (value > 0 ? "up" : value < 0 ? "down" : "");

/** A rate per second, with a decimal below ten. */
export function rate(value) {
  if (value === 0) return "0";
  return value < 10 ? value.toFixed(1) : whole(value);
}
