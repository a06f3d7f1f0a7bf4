// Numbers in words, and words in the document: as text, whatever they are.

const FORMATS = new Map();

function format(options) {
  const name = JSON.stringify(options);
  if (!FORMATS.has(name)) FORMATS.set(name, new Intl.NumberFormat("en", options));
  return FORMATS.get(name);
}

export const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

// A measured number, with so many digits.
export function number(value, digits = 4) {
  if (!isNumber(value)) return "–";
  const size = Math.abs(value);
  if (size && (size < 1e-4 || size >= 1e9)) return minus(value.toExponential(2));
  return minus(size >= 1000 ? format({ maximumFractionDigits: 0 }).format(value)
    : format({ minimumSignificantDigits: digits, maximumSignificantDigits: digits }).format(value));
}

const minus = (text) => text.replaceAll("-", "−");

// A number on an axis whose neighbours are one `step` away.
export function tick(value, step) {
  if (step < 1e-6 || Math.abs(value) >= 1e9) return minus(value.toExponential(1));
  return minus(format({ maximumFractionDigits: Math.max(0, 2 - Math.floor(Math.log10(step) + 1e-9)) }).format(value));
}

export const count = (value) => (isNumber(value) ? format({ maximumFractionDigits: 0 }).format(value) : "–");

export function percent(value, digits = 0) {
  return isNumber(value) ? `${format({ minimumFractionDigits: digits, maximumFractionDigits: digits })
    .format(100 * value)} %` : "–";
}

export const skill = (value) => (isNumber(value) ? `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(3)}` : "–");

// Seconds that something took: 3.2 ms, 12 s.
export function span(seconds) {
  if (!isNumber(seconds)) return "–";
  if (seconds < 1) return `${number(1000 * seconds, 3)} ms`;
  return seconds < 120 ? `${number(seconds, 3)} s` : age(seconds);
}

// Whole seconds, minutes or hours.
export function age(seconds) {
  if (!isNumber(seconds)) return "–";
  const whole = Math.floor(seconds), [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  if (hours >= 48) return `${Math.floor(hours / 24)} d ${hours % 24} h`;
  return hours ? `${hours} h ${minutes} min` : minutes ? `${minutes} min ${whole % 60} s` : `${whole} s`;
}

// A time since the start, as on a clock: 2:05, 1:02:05; it may be before.
export function clock(seconds) {
  if (Math.round(seconds) < 0) return `−${clock(-seconds)}`;
  const whole = Math.round(seconds), two = (value) => String(value).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

export const at = (id) => document.getElementById(id);

// Says `text`, and how it looks, where that is new.
export function say(node, text, look) {
  if (node.textContent !== text) node.textContent = text;
  if (look !== undefined && node.className !== look) node.className = look;
}

export function make(tag, look = "", text = "") {
  const node = document.createElement(tag);
  if (look) node.className = look;
  if (text) node.textContent = text;
  return node;
}

// As many rows in `body` as there are `items`: `build()` makes one, `fill(row, item)` says the item.
export function rows(body, items, build, fill) {
  while (body.children.length > items.length) body.lastElementChild.remove();
  while (body.children.length < items.length) body.append(build());
  items.forEach((item, index) => fill(body.children[index], item));
}

// A row of a table with such cells.
export const row = (...looks) => {
  const found = make("tr");
  found.append(...looks.map((look) => make("td", look)));
  return found;
};

// Names and values of a list of definitions; each item is [name, value, look].
export function define(list, items) {
  rows(list, items, () => {
    const both = make("div");
    both.append(make("dt"), make("dd"));
    return both;
  }, (both, [name, value, look]) => {
    say(both.firstChild, name);
    say(both.lastChild, value, look || "");
  });
}
