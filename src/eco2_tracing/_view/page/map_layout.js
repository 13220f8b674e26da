// Where the nodes of the service map are: in columns from callers to what they call.

const COLUMN = 330;
const ROW = 96;
export const NODE = { width: 176, height: 52 };
const MARGIN = 16;
const BELOW = 24; // for calls that go back
const SWEEPS = 6;

/** Return the size of the map, the middle of each node by its name, and the points through which each call goes. */
export function layoutOf(names, calls) {
  const sorted = [...names].sort();
  const column = columnsOf(sorted, calls);
  const columns = [];
  const put = (key, at) => (columns[at] ??= []).push(key);
  for (const name of sorted) put(name, column.get(name));
  // A call over several columns passes a place in each, so that it does not cross nodes.
  const chains = calls.map(({ from, to }, index) => {
    const [begin, end] = [column.get(from), column.get(to)];
    const chain = [from];
    for (let at = begin + 1; at < end; at += 1) {
      const key = `\u0000${index}:${at}`;
      put(key, at);
      chain.push(key);
    }
    return [...chain, to];
  });
  arrange(columns, chains);
  return placed(columns, chains);
}

// The column of a node is one after the last of its callers. Calls that close a cycle do not count.
function columnsOf(names, calls) {
  const below = new Map(names.map((name) => [name, []]));
  for (const { from, to } of calls) if (from !== to) below.get(from).push(to);
  const called = new Set(calls.filter(({ from, to }) => from !== to).map(({ to }) => to));
  const order = [];
  const forward = new Map(names.map((name) => [name, []]));
  const state = new Map();
  const visit = (name) => {
    state.set(name, "open");
    for (const next of below.get(name).sort()) {
      if (state.get(next) === "open") continue;
      forward.get(name).push(next);
      if (!state.has(next)) visit(next);
    }
    state.set(name, "done");
    order.unshift(name);
  };
  for (const name of [...names.filter((one) => !called.has(one)), ...names]) if (!state.has(name)) visit(name);
  const column = new Map(names.map((name) => [name, 0]));
  for (const name of order) {
    for (const next of forward.get(name)) column.set(next, Math.max(column.get(next), column.get(name) + 1));
  }
  return column;
}

// Each node goes to the mean place of its neighbours, from the left and from the right in turn: few calls cross then.
function arrange(columns, chains) {
  const neighbours = new Map();
  for (const chain of chains) {
    for (let at = 1; at < chain.length; at += 1) {
      for (const [one, other] of [[chain[at - 1], chain[at]], [chain[at], chain[at - 1]]]) {
        if (!neighbours.has(one)) neighbours.set(one, []);
        neighbours.get(one).push(other);
      }
    }
  }
  const place = new Map();
  const number = (keys) => keys.forEach((key, index) => place.set(key, index - keys.length / 2));
  columns.forEach(number);
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    for (const keys of sweep % 2 ? [...columns].reverse() : columns) {
      const mean = new Map(keys.map((key) => [key, meanOf(neighbours.get(key) ?? [], place, place.get(key))]));
      keys.sort((a, b) => mean.get(a) - mean.get(b));
      number(keys);
    }
  }
}

function meanOf(keys, place, otherwise) {
  return keys.length ? keys.reduce((sum, key) => sum + place.get(key), 0) / keys.length : otherwise;
}

function placed(columns, chains) {
  const most = Math.max(1, ...columns.map((keys) => keys.length));
  const points = new Map();
  columns.forEach((keys, at) => {
    const x = MARGIN + NODE.width / 2 + at * COLUMN;
    const top = MARGIN + NODE.height / 2 + ((most - keys.length) * ROW) / 2;
    keys.forEach((key, index) => points.set(key, { x, y: top + index * ROW }));
  });
  return {
    width: 2 * MARGIN + NODE.width + (columns.length - 1) * COLUMN,
    height: 2 * MARGIN + NODE.height + (most - 1) * ROW + BELOW,
    nodes: new Map([...points].filter(([key]) => !key.startsWith("\u0000"))),
    paths: chains.map((chain) => chain.map((key) => points.get(key))),
  };
}
