// Numbers and times as a person reads them.

const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const WHOLE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const CENTS = new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });

export const time = (iso) => TIME.format(new Date(iso));
export const whole = (value) => WHOLE.format(value);
export const price = (value) => CENTS.format(value);
export const seconds = (iso) => Math.floor(Date.parse(iso) / 1000);

/** With its sign, and a real minus. */
export function signed(value, format = whole) {
  const text = format(Math.abs(value));
  if (value > 0) return `+${text}`;
  return value < 0 ? `−${text}` : text;
}

export const percent = (share) => `${signed(share * 100, price)}%`;
export const tone = (value) => (value > 0 ? "up" : value < 0 ? "down" : "");

/** A rate a second: precise while small. */
export function rate(value) {
  if (value === 0) return "0";
  return value < 10 ? value.toFixed(1) : whole(value);
}
