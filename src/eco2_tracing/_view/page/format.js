// Durations, times and numbers as texts.

/** Return milliseconds with three digits: `400 µs`, `12.4 ms`, `1.24 s`, `75.0 s`. */
export function duration(ms) {
  if (ms < 0.9995) return `${(ms * 1000).toFixed(0)} µs`;
  if (ms < 9.995) return `${ms.toFixed(2)} ms`;
  if (ms < 99.95) return `${ms.toFixed(1)} ms`;
  if (ms < 999.5) return `${ms.toFixed(0)} ms`;
  if (ms < 9995) return `${(ms / 1000).toFixed(2)} s`;
  return ms < 99950 ? `${(ms / 1000).toFixed(1)} s` : `${(ms / 1000).toFixed(0)} s`;
}

/** Return milliseconds with two digits or so, for small places: `8.3 ms`, `30 ms`. */
export function brief(ms) {
  if (ms < 0.9995) return `${Math.round(ms * 1000)} µs`;
  if (ms < 999.5) return `${ms < 9.95 ? Number(ms.toFixed(1)) : ms.toFixed(0)} ms`;
  return `${ms < 9950 ? Number((ms / 1000).toFixed(1)) : (ms / 1000).toFixed(0)} s`;
}

/** Return a change of milliseconds with its sign. */
export function change(ms) {
  return `${ms < 0 ? "−" : "+"}${duration(Math.abs(ms))}`;
}

/** Return the milliseconds since the epoch of nanoseconds that are given as a text. */
export function milliseconds(nanoseconds) {
  return Number(BigInt(nanoseconds) / 1000n) / 1000;
}

const DAY = new Intl.DateTimeFormat("en-CA", { dateStyle: "short" });

/** Return the local time of the day with milliseconds; before today with the date. */
export function clock(ms) {
  const at = new Date(ms);
  const two = (number) => String(number).padStart(2, "0");
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${String(at.getMilliseconds()).padStart(3, "0")}`;
  return at.toDateString() === new Date().toDateString() ? time : `${DAY.format(at)} ${time}`;
}

const NUMBER = new Intl.NumberFormat("en-US");

/** Return a number with separators of thousands. */
export function count(number) {
  return NUMBER.format(number);
}

/** Return a number with its noun: `1 span`, `2 spans`. */
export function several(number, noun) {
  return `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
}

/** Return an amount of a second with its unit: `0.25/s`, `12/s`. */
export function rate(perSecond) {
  if (perSecond > 0 && perSecond < 0.01) return `${(perSecond * 60).toPrecision(2)}/min`;
  return `${perSecond < 9.95 ? Number(perSecond.toPrecision(2)) : count(Math.round(perSecond))}/s`;
}

/** Return bytes: `640 KiB`, `12.4 MiB`. */
export function bytes(number) {
  if (number < 1024 * 1024) return `${Math.ceil(number / 1024)} KiB`;
  return `${Number((number / 1024 / 1024).toFixed(1))} MiB`;
}

/** Return a share as per cent. */
export function percent(share) {
  const value = share * 100;
  return `${value > 0 && value < 1 ? value.toFixed(2) : value.toFixed(0)} %`;
}
