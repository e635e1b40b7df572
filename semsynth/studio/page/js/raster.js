// Pixels of shapes on a grid: each function calls `put(x, y)` for those of its shape.

export function dab(x, y, reach, put) {
  for (let row = Math.ceil(y - reach - 0.01); row <= y + reach + 0.01; row++) {
    for (let column = Math.ceil(x - reach - 0.01); column <= x + reach + 0.01; column++) {
      if ((column - x) ** 2 + (row - y) ** 2 <= (reach + 0.25) ** 2) put(column, row);
    }
  }
}

export function segment([x0, y0], [x1, y1], reach, put) {
  const steps = Math.max(Math.abs(x1 - x0), Math.abs(y1 - y0), 1);
  for (let i = 0; i <= steps; i++) dab(x0 + ((x1 - x0) * i) / steps, y0 + ((y1 - y0) * i) / steps, reach, put);
}

export function rectangle([x0, y0], [x1, y1], put) {
  for (let y = Math.min(y0, y1); y <= Math.max(y0, y1); y++) {
    for (let x = Math.min(x0, x1); x <= Math.max(x0, x1); x++) put(x, y);
  }
}

// The inside, by the even-odd rule, and the outline.
export function polygon(points, put) {
  const edges = points.map((point, i) => [point, points[(i + 1) % points.length]]);
  for (const [from, to] of edges) segment(from, to, 0, put);
  const rows = points.map(([, y]) => y);
  for (let y = Math.min(...rows); y <= Math.max(...rows); y++) {
    const crossed = edges.filter(([[, a], [, b]]) => (a <= y) !== (b <= y));
    const columns = crossed.map(([[x0, y0], [x1, y1]]) => x0 + ((y - y0) / (y1 - y0)) * (x1 - x0)).sort((a, b) => a - b);
    for (let i = 0; i + 1 < columns.length; i += 2) {
      for (let x = Math.ceil(columns[i]); x <= columns[i + 1]; x++) put(x, y);
    }
  }
}

// The connected pixels with the label of the first one.
export function flood(labels, width, height, [x, y], put) {
  const old = labels[y * width + x];
  const seen = new Uint8Array(labels.length);
  const todo = [y * width + x];
  while (todo.length) {
    const i = todo.pop();
    if (seen[i] || labels[i] !== old) continue;
    seen[i] = 1;
    const column = i % width;
    if (column > 0) todo.push(i - 1);
    if (column < width - 1) todo.push(i + 1);
    if (i >= width) todo.push(i - width);
    if (i < width * (height - 1)) todo.push(i + width);
  }
  seen.forEach((inside, i) => inside && put(i % width, Math.floor(i / width)));
}
